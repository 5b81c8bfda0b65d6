"""What a ledger entry is called, for shopper and clerk alike."""

from blueprints.errors import language
from models import LedgerEntry

KINDS = {
    "purchase": ("消费获得积分", "Points for a purchase"),
    "check_in": ("每日签到", "Daily sign-in"),
    "check_in_bonus": ("连续签到奖励", "Sign-in streak bonus"),
    "make_up": ("补签", "A day made up"),
    "make_up_back": ("停服补偿，补签积分退回", "The shop was down, a make-up's price returned"),
    "event": ("活动奖励", "Points for taking part"),
    "redeem": ("兑换礼品", "Traded for a reward"),
    "cancel": ("取消兑换，积分退回", "Redemption cancelled, points returned"),
    "bundle": ("礼包", "A gift"),
    "bundle_back": ("礼包收回", "A gift taken back"),
    "expire": ("积分到期", "Points expired"),
    "adjust": ("人工调整", "Adjusted by the shop"),
    "pay": ("积分抵现", "Paid with points"),
    "pay_back": ("抵现积分退回", "Points that paid a bill, returned"),
    "pay_again": ("退款撤销，重新抵现", "A refund undone, the bill is paid with points again"),
    "refund": ("退款扣回积分", "Taken back with a refund"),
    "pay_debt": ("偿还欠积分", "Paid towards points owed"),
    "hold": ("积分冻结", "Set aside"),
    "hold_void": ("冻结解除，积分退回", "No longer set aside, points returned"),
    "transfer_out": ("转赠好友", "Given to a friend"),
    "transfer_in": ("好友转赠", "From a friend"),
    "referral": ("邀请好友首次消费", "A friend you invited made a first purchase"),
    "referral_welcome": ("受邀首次消费", "First purchase after an invitation"),
    "referral_join": ("邀请好友入会", "A friend you invited joined"),
    "referral_join_welcome": ("受邀入会", "Joined by an invitation"),
    "referral_step": ("邀请好友达标", "So many friends invited"),
    "campaign": ("活动赠送", "Given by the shop"),
    "closure": ("账号注销", "The account was closed"),
    "merge_out": ("并入另一会员", "Became part of another membership"),
    "merge_in": ("会员合并转入", "From a membership merged into this one"),
    "task": ("完成任务", "A task was done"),
    "task_back": ("退款后任务未达成，奖励收回", "A task's points taken back after a refund"),
    "undo_purchase": ("小票撤销", "A receipt undone"),
    "undo_refund": ("退款撤销，积分退回", "A refund undone, points returned"),
}
LOCKED = {
    "sold_out": ("已兑完", "Sold out"),
    "not_open_yet": ("尚未开始", "Not open yet"),
    "closed": ("已结束", "No longer on offer"),
    "tier_too_low": ("{tier}及以上会员专享", "For {tier} members and above"),
    "limit_reached": ("已达每人限兑数量", "You have had your share"),
    "price_in_money": ("需到门店加价购买", "Also has a price in money"),
}


def reason_of(entry: LedgerEntry) -> str:
    """Why points moved, in the caller's language, with what it was about."""
    zh, en = KINDS[entry.kind]
    said = en if language() == "en" else zh
    return f"{said}：{entry.reason}" if entry.reason else said


def locked(code: str, **details: str) -> str:
    zh, en = LOCKED[code]
    return (en if language() == "en" else zh).format(**details)
