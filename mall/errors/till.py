"""What is refused at the till: codes, receipts, vouchers."""

from mall.errors.families import Malformed, Refused, TooMany


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


class NothingAwaitsPickup(Refused):
    code = "nothing_awaits_pickup"
    zh = "这张小票没有等待提货的积分：已提货、已退款或积分已到账"
    en = "No points of this receipt wait for a pickup: it was picked up, refunded, or paid at once."


class NameTaken(Refused):
    code, zh, en = "name_taken", "名称或编号已被使用", "That name is taken."


class RulePublished(Refused):
    code = "rule_published"
    zh = "此规则已有第 {version} 版生效"
    en = "Version {version} of this rule is in force already."


class TooManyReceipts(Refused):
    code = "too_many_receipts"
    zh = "共 {receipts} 张小票，一次最多试算 {limit} 张，请缩短日期范围"
    en = "{receipts} receipts, of which {limit} can be tried at once. Choose fewer days."
