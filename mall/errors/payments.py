"""What is refused where points pay a bill. Each says the rule, the numbers and the next step."""

from mall.errors.families import Refused


class PaymentsOff(Refused):
    code = "points_payments_off"
    zh, en = "本店未开放积分抵现", "Points can't be used as cash here."


class BillTooSmall(Refused):
    code = "bill_too_small"
    zh = "满 {min_yuan} 元可用积分抵现，还差 {short_yuan} 元"
    en = "Points pay bills of {min_yuan} yuan and more; {short_yuan} are missing."


class ShareTooSmall(Refused):
    code = "share_too_small"
    zh = "本单最多可抵 {max_percent}%，不足 {step} 分的一档，请用其他方式支付"
    en = (
        "{max_percent} % of this bill is less than one step of {step} points; please pay otherwise."
    )


class MoreThanShare(Refused):
    code = "more_than_share"
    zh = "本单最多可用 {limit} 分（账单的 {max_percent}% 以内），请减少积分"
    en = "At most {limit} points on this bill ({max_percent} % of it); please use fewer."


class NotInSteps(Refused):
    code = "not_in_steps"
    zh = "积分抵现以 {step} 分为一档，本单可用 {fits} 分"
    en = "Points are taken in steps of {step}; {fits} would fit."


class ReceiptPaid(Refused):
    code = "receipt_paid"
    zh = "此小票已用 {points} 分抵现，请先取消再重新抵现"
    en = "{points} points have paid this receipt; cancel that first to pay anew."


class ReceiptOfAnother(Refused):
    code = "receipt_of_another"
    zh, en = "此小票已记在其他会员名下", "This receipt is another member's."


class PaymentReturned(Refused):
    code = "payment_returned"
    zh, en = "此笔抵现的积分已全部退回", "All points of this payment have gone back."


class ReceiptRecorded(Refused):
    code = "receipt_recorded"
    zh = "此小票已录入，请在小票上办理退款，积分将按比例退回"
    en = "This receipt is recorded; refund it, and its points go back in proportion."


class ItemsNotOnReceipt(Refused):
    code = "items_not_on_receipt"
    zh = "商品 {sku} 在此小票上还可退 {left} 件"
    en = "{left} of {sku} are left to refund on this receipt."


class StepNotWhole(Refused):
    code = "step_not_whole"
    zh = "每档 {step_points} 分须抵整数分钱（{rate_points} 分 = {rate_fen} 分钱）"
    en = "A step of {step_points} points must be worth whole fen ({rate_points} for {rate_fen})."
