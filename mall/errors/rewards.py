"""What rewards, their stock and their redemptions refuse."""

from mall.errors.families import Malformed, Refused, Unavailable


class SoldOut(Refused):
    """Fewer units are left than were asked for; often none."""

    code, zh, en = "sold_out", "已兑完", "Sold out."
    some_left = {"zh": "库存不足，仅剩 {units_left} 件", "en": "Only {units_left} left."}
    at_store = {"zh": "{store}已兑完", "en": "Sold out at {store}."}
    some_at_store = {
        "zh": "{store}库存不足，仅剩 {units_left} 件",
        "en": "Only {units_left} left at {store}.",
    }

    def sentence(self, language: str = "zh") -> str:
        some, where = self.details.get("units_left"), self.details.get("store")
        if where:
            said = self.some_at_store if some else self.at_store
        elif some:
            said = self.some_left
        else:
            return super().sentence(language)
        return said[language].format(**self.details)


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


class StockFixed(Refused):
    code, zh, en = (
        "stock_fixed",
        "已有库存，不能更改库存方式",
        "Take its units out of stock first, to stock it another way.",
    )


class StoreNeeded(Refused):
    code, zh, en = "store_needed", "请选择门店", "Each store has its own: choose one."


class OneStock(Refused):
    code, zh, en = "one_stock", "该礼品库存不分门店", "This reward has one stock for all stores."


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
