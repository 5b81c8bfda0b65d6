"""Every refusal: a stable code, a sentence in Chinese and in English, and the numbers behind it.

HTTP learns its status from the family. Anything raised that is not one of these is a bug and a 500.
"""


class MallError(Exception):
    """Something the caller can be told: `code` is stable, `details` are the numbers behind it."""

    code = "error"
    zh = "操作未完成"
    en = "That could not be done."
    retry_after_s: int | None = None

    def __init__(self, *, retry_after_s: int | None = None, **details: object) -> None:
        self.details = details
        self.retry_after_s = retry_after_s or type(self).retry_after_s
        super().__init__(f"{self.code} {details}" if details else self.code)

    def sentence(self, language: str = "zh") -> str:
        """The sentence a shopper can be shown, in `zh` or `en`."""
        return (self.en if language == "en" else self.zh).format(**self.details)


# families, from which HTTP learns its status


class Malformed(MallError):
    """400: the request itself can't be read."""

    code, zh, en = "malformed", "请求格式不正确", "The request is malformed."


class Unauthenticated(MallError):
    """401: no token, or one that is not ours or no longer good."""

    code, zh, en = "unauthenticated", "请先登录", "Please log in."


class Forbidden(MallError):
    """403: the caller is known and may not do this."""

    code, zh, en = "forbidden", "没有权限进行此操作", "You are not allowed to do this."


class NotFound(MallError):
    """404: it does not exist, or is somebody else's."""

    code, zh, en = "not_found", "没有找到", "Not found."


class Refused(MallError):
    """409: a rule of the shop says no; nothing was changed."""

    code, zh, en = "refused", "操作被拒绝", "Refused."


class TooMany(MallError):
    """429: too often; `retry_after_s` says when to come back."""

    code, zh, en = (
        "too_many_requests",
        "操作太频繁，请稍后再试",
        "Too many requests, please wait a moment.",
    )
    retry_after_s = 1


class Unavailable(MallError):
    """503: not now; the same request may be sent again."""

    code, zh, en = "unavailable", "服务繁忙，请稍后再试", "The service is busy, please try again."
    retry_after_s = 2


# who asks


class WrongAudience(Forbidden):
    code, zh, en = "wrong_audience", "此账号不能使用该功能", "This account has no access to that."


class LoginRefused(Unauthenticated):
    code, zh, en = "login_refused", "用户名或密码不正确", "Wrong user name or password."


class TooManyLogins(TooMany):
    code = "too_many_logins"
    zh, en = (
        "密码错误次数过多，请 {minutes} 分钟后再试",
        "Too many wrong passwords, try again in {minutes} minutes.",
    )


class MemberClosed(Forbidden):
    code, zh, en = "member_closed", "该会员账号已注销", "This membership has been closed."


# WeChat


class WeChatCodeInvalid(Unauthenticated):
    code, zh, en = (
        "wechat_code_invalid",
        "微信登录凭证无效，请重新登录",
        "WeChat did not accept the code.",
    )


class PhoneCodeInvalid(Malformed):
    code, zh, en = (
        "phone_code_invalid",
        "手机号授权已失效，请重新点击授权",
        "WeChat did not accept the phone code, please press the button again.",
    )


class WeChatRiskUser(Forbidden):
    code, zh, en = (
        "wechat_risk_user",
        "微信提示账号存在风险，暂不能登录",
        "WeChat reports a risk on this account.",
    )


class WeChatUnavailable(Unavailable):
    code, zh, en = (
        "wechat_unavailable",
        "微信服务暂不可用，请稍后再试",
        "WeChat does not answer right now.",
    )


# idempotency keys


class KeyMissing(Malformed):
    code, zh, en = "idempotency_key_missing", "缺少 Idempotency-Key", "Idempotency-Key is missing."


class KeyInvalid(Malformed):
    code = "idempotency_key_invalid"
    zh, en = (
        "Idempotency-Key 应为 16 至 64 位字母、数字、_ 或 -",
        "Idempotency-Key takes 16 to 64 of A-Za-z0-9_-.",
    )


class KeyReused(MallError):
    """422: the key was used with another body."""

    code = "idempotency_key_reused"
    zh, en = "此 Idempotency-Key 已用于另一请求", "This Idempotency-Key was used with another body."


class KeyInProgress(Refused):
    code = "idempotency_key_in_progress"
    zh, en = "同一请求正在处理，请稍候", "The first request with this key is still running."
    retry_after_s = 1


class KeyExpired(Refused):
    code = "idempotency_key_expired"
    zh, en = "此请求早已处理完毕", "This key was used over a week ago."


# points


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


# rewards and redemptions


class SoldOut(Refused):
    """Fewer units are left than were asked for; often none."""

    code, zh, en = "sold_out", "已兑完", "Sold out."
    some_left = {"zh": "库存不足，仅剩 {units_left} 件", "en": "Only {units_left} left."}

    def sentence(self, language: str = "zh") -> str:
        if self.details.get("units_left"):
            return self.some_left[language].format(**self.details)
        return super().sentence(language)


class LimitReached(Refused):
    code, zh, en = "limit_reached", "每人限兑 {limit} 件，已达上限", "Limited to {limit} a member."
    each = {"day": "每日", "week": "每周", "month": "每月"}

    def sentence(self, language: str = "zh") -> str:
        said, period = super().sentence(language), str(self.details.get("period"))
        if period not in self.each:
            return said
        return f"{said[:-1]} a {period}." if language == "en" else f"{self.each[period]}{said}"


class NotOpenYet(Refused):
    code, zh, en = "not_open_yet", "兑换尚未开始，{opens_at} 开放", "Opens at {opens_at}."


class Closed(Refused):
    code, zh, en = "closed", "兑换已结束", "No longer on offer."


class TierTooLow(Refused):
    code, zh, en = "tier_too_low", "{tier_name}及以上会员专享", "For {tier_name} members and above."


class AddressNeeded(Refused):
    code, zh, en = "address_needed", "请填写收货地址", "A delivery needs an address."


class AddressNotNeeded(Malformed):
    code, zh, en = (
        "address_not_needed",
        "该礼品无需收货地址",
        "Nothing is sent, so no address is kept.",
    )


class PaymentNeeded(Refused):
    code, zh, en = (
        "payment_needed",
        "该礼品需加价购买，请到门店兑换",
        "This reward also has a price in money.",
    )


class NotDelivered(Refused):
    code, zh, en = "not_a_delivery", "该礼品不需要发货", "This reward is not one that is sent."


class KindFixed(Refused):
    code, zh, en = (
        "kind_fixed",
        "已有兑换记录，不能更改礼品类型",
        "The kind can't change any more: somebody has redeemed this reward.",
    )


class AlreadyUsed(Refused):
    code, zh, en = "already_used", "礼品已领取，不能取消", "Already handed over."


class AlreadyCancelled(Refused):
    code, zh, en = "already_cancelled", "兑换已取消", "Already cancelled."


class StockPromised(Refused):
    code = "stock_promised"
    zh, en = "库存不足，最多可减 {units_left} 件", "Only {units_left} units are not promised yet."


class TooManyUnits(Refused):
    code = "too_many_units"
    zh, en = "库存最多 {limit} 件", "A reward holds {limit} units at most."


class RewardBusy(Unavailable):
    code, zh, en = (
        "reward_busy",
        "兑换火爆，请稍后再试",
        "This reward is in great demand, please retry.",
    )


class OutcomeUnknown(Unavailable):
    code = "outcome_unknown"
    zh, en = (
        "结果确认中，请用同一请求重试",
        "The outcome is being settled; repeat with the same key.",
    )


class ChangedMeanwhile(Refused):
    code, zh, en = (
        "changed_meanwhile",
        "内容已被他人修改，请刷新后再试",
        "Somebody changed it meanwhile.",
    )


class IfMatchMissing(Malformed):
    code, zh, en = "if_match_missing", "缺少 If-Match", "If-Match is missing."


# check-ins, profile


class AlreadyCheckedIn(Refused):
    code, zh, en = "already_checked_in", "{day} 已签到", "You are signed in for {day} already."


class MakeUpOutsideWindow(Refused):
    code = "make_up_outside_window"
    zh, en = (
        "只能补签本月最近 {window_days} 天内、入会之后的日子",
        "Only past days of this month, {window_days} back at most and since you joined.",
    )


class NoMakeUpsLeft(Refused):
    code, zh, en = (
        "no_make_ups_left",
        "本月 {limit} 次补签机会已用完",
        "All {limit} make-ups of this month are used.",
    )


class OutageKnown(Refused):
    code, zh, en = "outage_known", "{day} 已登记停机", "The outage of {day} is known already."


class OutageOutsideWindow(Refused):
    code = "outage_outside_window"
    zh, en = (
        "只能登记 {earliest_day} 至 {latest_day} 的停机",
        "Outages can be named from {earliest_day} to {latest_day}.",
    )


class BirthdayFixed(Refused):
    code, zh, en = (
        "birthday_fixed",
        "生日只能设置一次，修改请联系店员",
        "A birthday can be set once.",
    )


class PhoneTaken(Refused):
    code, zh, en = "phone_taken", "该手机号已绑定其他会员", "This phone belongs to another member."


# the till


class CodeInvalid(Malformed):
    code, zh, en = "code_invalid", "无法识别的码", "This code is not one of ours."


class CodeExpired(Refused):
    code, zh, en = "code_expired", "会员码已过期，请刷新后重试", "This member code has expired."


class CodeUsed(Refused):
    code, zh, en = "code_used", "会员码已使用，请刷新后重试", "This member code has been used."


class ScanExpired(Refused):
    code, zh, en = "scan_expired", "扫码已超时，请重新扫码", "Please scan the member again."


class ReceiptKnown(Refused):
    code = "receipt_known"
    zh, en = "小票已于 {at} 由 {by} 录入", "This receipt was recorded at {at} by {by}."


class VoucherUsed(Refused):
    code = "voucher_used"
    zh, en = "已于 {used_at} 在 {store} 由 {clerk} 核销", "Used at {used_at} in {store} by {clerk}."


class VoucherExpired(Refused):
    code, zh, en = "voucher_expired", "券已过期", "This voucher has expired."


class VoucherVoid(Refused):
    code, zh, en = "voucher_void", "券已取消", "This voucher was cancelled."


class VoucherLocked(TooMany):
    code, zh, en = (
        "voucher_guessing",
        "错误次数过多，请稍后再试",
        "Too many wrong codes, please wait.",
    )
    retry_after_s = 600


class NameTaken(Refused):
    code, zh, en = "name_taken", "名称或编号已被使用", "That name is taken."
