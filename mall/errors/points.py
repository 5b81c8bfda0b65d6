"""What the ledger refuses."""

from mall.errors.families import Refused


class NotEnoughPoints(Refused):
    code, zh, en = "not_enough_points", "积分不足，还差 {short_by} 分", "{short_by} points short."


class AccountFrozen(Refused):
    code, zh, en = (
        "account_frozen",
        "积分账户核对中，暂不能使用",
        "This points account is frozen for a check.",
    )


class TooManyPoints(Refused):
    code, zh, en = (
        "too_many_points",
        "积分将超过账户上限 {limit}",
        "The account may hold {limit} points at most.",
    )


class HoldEnded(Refused):
    code, zh, en = "hold_ended", "该冻结已结束", "This hold has ended already."


class TransfersOff(Refused):
    code, zh, en = "transfers_off", "本店未开放积分转赠", "Points can't be given away here."


class TransferToSelf(Refused):
    code, zh, en = "transfer_to_self", "不能转赠给自己", "You can't give points to yourself."


class TransferLimit(Refused):
    code = "transfer_limit"
    zh, en = (
        "每天最多转赠 {limit} 分，今天还可转 {left} 分",
        "{limit} points a day at most, {left} left today.",
    )


class RefundTooLarge(Refused):
    code = "refund_too_large"
    zh, en = "此小票最多还可退 {left_yuan} 元", "{left_yuan} yuan of this receipt are left."


class StillWrong(Refused):
    code, zh, en = "still_wrong", "核对仍不一致，不能解除", "The proof still finds this mismatch."


class ReviewerIsAuthor(Refused):
    code, zh, en = (
        "second_person_needed",
        "需由另一位管理员审批",
        "Another admin must approve this.",
    )


class AlreadyReviewed(Refused):
    code, zh, en = "already_reviewed", "该申请已处理", "This request has been decided already."
