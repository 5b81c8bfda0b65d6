"""Every call that takes a body: who may make it, and a body it takes. Rules for all are tried on each."""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.caller import BASE

ADDRESS = {"name": "小明", "phone": "13800000001", "region": "上海市", "detail": "人民路 1 号"}
ITEM = {"sku": "s1", "quantity": 1, "amount_fen": 1}
RECEIPT = {"member_id": 1, "receipt_no": "R1", "amount_fen": 10**9, "items": [ITEM]}
REWARD = {
    "title": "杯子",
    "kind": "pickup",
    "price_points": 1,
    "price_fen": 1,
    "per_member_limit": 1,
    "sort": 1,
    "low_stock_units": 1,
    "voucher_lasts_days": 1,
    "tier_prices": {"gold": 1},
}

POLICY = {
    "kind": "privacy",
    "title_zh": "隐私政策",
    "body_zh": "我们只收集必要的信息。",
    "title_en": "Privacy",
    "body_en": "We collect what is needed.",
}
PASSWORDS = {"password": "p", "new_password": "another long one"}
HIRED = {"username": "new", "name": "小王", "role": "analyst", "password": "a longer word"}
ROLLING = {"kind": "rolling", "lasts": 12, "unit": "month", "round_up_to": "month"}
BILL = {"member_id": 1, "receipt_no": "R1", "bill_fen": 10**9}
PAYS = {"rate_points": 100, "rate_fen": 100, "max_percent": 30, "step_points": 100}
LIVES = {"terms": ROLLING, "by_tier": {"gold": {"kind": "never"}}, "remind_days": [30, 7]}
QUOTA = {"code": "trial", "name": "试用", "uses": 1, "period": "month"}
TIER = {
    "name": "白金会员",
    "growth_min": 9000,
    "discount_percent": 1,
    "points_percent": 200,
    "early_access_hours": 1,
    "quotas": [QUOTA],
}
TASK = {
    "title": "一周三次",
    "title_en": "Three times a week",
    "steps": [
        {
            "code": "buy",
            "title": "消费",
            "title_en": "Buy",
            "counts": "purchase_count",
            "target": 3,
            "only": {"skus": ["tea"], "min_amount_fen": 1},
        }
    ],
    "audience": {"new_member_days": 30},
    "points": 1,
    "sort": 1,
}
TEMPLATE = {
    "occasion": "thanks",
    "title_zh": "谢谢光临",
    "body_zh": "{nickname}，本次消费获得{points}积分",
    "title_en": "Thank you",
    "body_en": "{nickname}, you earned {points} points",
}
TIER_RULE = {
    "growth_per_yuan": 1,
    "growth_per_visit": 1,
    "min_amount_fen": 1,
    "activities": [{"kind": "check_in", "growth": 1, "daily_cap": 1}],
    "spend_weight_percent": 1,
    "visit_weight_percent": 1,
    "activity_weight_percent": 1,
    "window_days": 1,
    "grace_days": 1,
    "thresholds": [{"tier": "silver", "growth_min": 2}],
}

GAINS = {"points": 1, "bundle": ""}
INVITING = {
    "join": {"inviter": GAINS, "friend": GAINS, "pending_days": 1},
    "purchase": {"inviter": GAINS, "friend": GAINS, "pending_days": 1, "min_amount_fen": 1},
    "ladder": [{"friends": 1, "points": 1, "bundle": ""}],
    "caps": {"per_day": 1, "for_life": 1},
    "attribution_days": 1,
    "holds": {
        "device_joins_per_day": 1,
        "address_joins_per_hour": 1,
        "inviter_joins_per_hour": 1,
        "keep_days": 1,
    },
}
CHANNEL = {"code": "poster", "name": "海报", "kind": "online", "cost_fen": 1, "owner": "小王"}


class Call(NamedTuple):
    """A call with a JSON body; the numbers in its path may be nobody's."""

    method: str
    path: str
    role: str
    body: dict[str, Any]
    keyed: bool = True

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def documented_as(self, path: str) -> bool:
        """Whether this is the call that the OpenAPI document has under a path."""
        ours, theirs = f"{BASE}{self.path}".split("/"), path.split("/")
        pairs = list(zip(ours, theirs, strict=False))
        return len(ours) == len(theirs) and all(a == b or b[0] == "{" for a, b in pairs[1:])


CALLS = (
    Call("POST", "/auth/wechat", "nobody", {"code": "user-x"}, keyed=False),
    Call("POST", "/auth/staff", "nobody", {"username": "u", "password": "p"}, keyed=False),
    Call("POST", "/auth/me/password", "manager", PASSWORDS, keyed=False),
    Call("POST", "/auth/me/second-factor", "manager", {"password": "p"}, keyed=False),
    Call("POST", "/auth/me/second-factor/confirmation", "manager", {"otp": "000000"}, keyed=False),
    Call(
        "POST",
        "/auth/me/second-factor/removal",
        "manager",
        {"password": "p", "otp": "000000"},
        keyed=False,
    ),
    Call("POST", "/me/consents", "shopper", {"kind": "terms", "version": 1, "granted": True}),
    Call("POST", "/admin/policies", "admin", POLICY),
    Call("POST", "/admin/members/999/closure", "admin", {"reason": "书面申请"}),
    Call("POST", "/admin/staff", "owner", HIRED),
    Call("PATCH", "/admin/staff/999", "owner", {"name": "小王"}, keyed=False),
    Call("POST", "/admin/staff/999/password-reset", "owner", {}),
    Call("POST", "/admin/staff/999/second-factor-removal", "owner", {}),
    Call("PATCH", "/me", "shopper", {"nickname": "小明"}, keyed=False),
    Call("POST", "/me/phone", "shopper", {"code": "phone-13800000001"}),
    Call("POST", "/me/checkins", "shopper", {}, keyed=False),
    Call("POST", "/me/checkins/make-ups", "shopper", {"day": "2020-01-01"}),
    Call(
        "POST",
        "/me/redemptions",
        "shopper",
        {"reward_id": 1, "quantity": 1, "store_id": 1, "address": ADDRESS},
    ),
    Call("POST", "/me/redemptions/1/cancellation", "shopper", {}),
    Call("POST", "/me/transfers", "shopper", {"card_no": "888800000000", "points": 1}),
    Call("POST", "/clerk/scans", "clerk", {"code": "888800000000"}, keyed=False),
    Call("POST", "/clerk/purchases", "clerk", RECEIPT),
    Call("POST", "/clerk/purchases/1/pickup", "clerk", {}),
    Call("POST", "/clerk/purchases/1/refunds", "clerk", {"amount_fen": 1}),
    Call("POST", "/clerk/vouchers/0000/use", "clerk", {}),
    Call("POST", "/clerk/actions/1/undo", "clerk", {"reason": "录错"}),
    Call("POST", "/admin/rewards", "admin", REWARD),
    Call("PATCH", "/admin/rewards/1", "admin", REWARD, keyed=False),
    Call(
        "POST",
        "/admin/rewards/1/stock-moves",
        "admin",
        {"quantity": 1, "reason": "purchase", "unit_cost_fen": 1, "store_id": 1},
    ),
    Call(
        "POST",
        "/admin/rewards/1/stock-transfers",
        "admin",
        {"from_store_id": 1, "to_store_id": 2, "quantity": 1},
    ),
    Call(
        "POST",
        "/admin/redemptions/1/shipment",
        "admin",
        {"carrier": "顺丰", "tracking_no": "SF1"},
    ),
    Call("POST", "/admin/members/1/points-adjustments", "admin", {"points": 1, "reason": "补偿"}),
    Call("POST", "/admin/members/1/phone-views", "admin", {"reason": "回访"}),
    Call("PATCH", "/admin/members/1", "admin", {"city": "上海", "reason": "更正"}, keyed=False),
    Call(
        "POST",
        "/admin/points-campaigns",
        "admin",
        {
            "name": "关怀",
            "points": 1,
            "budget_points": 1,
            "filters": {"tiers": ["base"], "store_id": 1, "birthday_month": 1},
        },
    ),
    Call("POST", "/admin/points-campaigns/1/preview", "admin", {}),
    Call("POST", "/admin/points-campaigns/1/run", "admin", {}),
    Call("POST", "/admin/points-campaigns/1/review", "admin", {"approved": True}),
    Call("POST", "/admin/members/2/merge", "admin", {"from_member_id": 3, "reason": "同一人"}),
    Call("POST", "/admin/points-adjustments/1/review", "admin", {"approved": True}),
    Call(
        "POST", "/admin/members/1/holds", "admin", {"points": 1, "reason": "争议", "lasts_hours": 1}
    ),
    Call("POST", "/admin/holds/1/posting", "admin", {}),
    Call("POST", "/admin/holds/1/voiding", "admin", {}),
    Call("POST", "/admin/ledger/alarms/1/clearance", "admin", {"note": "已核对"}),
    Call("POST", "/admin/checkin-rules", "admin", {"items": [{"points": 1, "bonus_points": 1}]}),
    Call("POST", "/clerk/points-payments", "clerk", {**BILL, "points": 100, "dry_run": False}),
    Call("POST", "/clerk/points-payments/1/cancellation", "clerk", {}),
    Call("POST", "/admin/payment-rules", "admin", {**PAYS, "note": "积分抵现"}),
    Call("POST", "/admin/expiry-policies", "admin", {**LIVES, "note": "新规"}),
    Call("POST", "/admin/expiry-policies/previews", "admin", LIVES),
    Call("POST", "/admin/bundles", "admin", {"code": "b", "name": "礼包", "points": 1}),
    Call(
        "POST",
        "/admin/earning-rules",
        "admin",
        {
            "code": "double",
            "name": "双倍",
            "kind": "multiply",
            "trigger": "category",
            "matches": ["茶"],
            "priority": 1,
            "active": True,
            "rate": {"points": 1, "per_fen": 100, "rounding": "floor"},
            "points": 1,
            "percent": 200,
            "min_amount_fen": 0,
            "caps": {"transaction": 1, "day": 1, "period": 1, "period_kind": "month"},
            "excluded_categories": ["烟"],
            "excluded_skus": ["x"],
            "audience": {"tiers": ["gold"], "stores": [], "new_member_days": 30},
            "window": {
                "starts_on": "2026-01-01",
                "ends_on": "2026-12-31",
                "weekdays": [1],
                "month_days": [8],
                "birthday": "day",
            },
            "award": "later",
            "award_after_days": 7,
            "publish": False,
        },
    ),
    Call("POST", "/admin/earning-rules/999/publication", "admin", {}),
    Call(
        "POST",
        "/admin/earning-rules/dry-runs",
        "admin",
        {
            "member_id": 1,
            "amount_fen": 10**9,
            "store_id": 1,
            "day": "2026-01-01",
            "items": [{"sku": "x", "quantity": 1, "amount_fen": 1}],
            "draft_ids": [],
        },
    ),
    Call(
        "POST",
        "/admin/earning-rules/back-tests",
        "admin",
        {"draft_ids": [1], "first_day": "2026-01-01", "last_day": "2026-01-02"},
    ),
    Call("POST", "/admin/settings/shop_name", "admin", {"value": "店"}),
    Call("POST", "/admin/tiers", "admin", {"code": "platinum", **TIER}),
    Call("PATCH", "/admin/tiers/silver", "admin", TIER, keyed=False),
    Call("POST", "/admin/tier-rules", "admin", TIER_RULE),
    Call("PATCH", "/admin/tier-rules/1", "admin", TIER_RULE, keyed=False),
    Call("POST", "/admin/tier-rules/1/publication", "admin", {}),
    Call("POST", "/admin/members/1/tier-grants", "admin", {"tier": "gold", "reason": "补偿"}),
    Call("POST", "/admin/tier-grants/1/revocation", "admin", {}),
    Call("POST", "/clerk/benefits/trial/use", "clerk", {"member_id": 1}),
    Call("POST", "/clerk/benefit-uses/1/undo", "clerk", {}),
    Call("POST", "/me/tasks/1/claims", "shopper", {"period_key": "once"}),
    Call(
        "POST",
        "/me/reviews",
        "shopper",
        {"purchase_id": 1, "line_no": 1, "rating": 5, "text": "很好喝"},
    ),
    Call("POST", "/admin/tasks", "admin", {**TASK, "code": "thrice", "period": "weekly"}),
    Call("PATCH", "/admin/tasks/999", "admin", TASK, keyed=False),
    Call("POST", "/admin/tasks/999/publication", "admin", {}),
    Call("POST", "/admin/tasks/999/retirement", "admin", {}),
    Call("POST", "/admin/reviews/999/decision", "admin", {"approved": False, "note": "不当"}),
    Call("POST", "/admin/message-templates", "admin", TEMPLATE),
    Call("PATCH", "/admin/message-templates/999", "admin", {"title_zh": "欢迎"}, keyed=False),
    Call("POST", "/admin/message-templates/999/publication", "admin", {}),
    Call("POST", "/me/messages/reads", "shopper", {"last_id": 1}),
    Call("POST", "/admin/outages", "admin", {"day": "2020-01-01", "note": "机房断电"}),
    Call("POST", "/touches", "nobody", {"channel_code": "nobody", "device": "a-device-1"}),
    Call("POST", "/admin/referral-rules", "admin", {"terms": INVITING, "note": "新规"}),
    Call("POST", "/admin/referral-rules/999/publication", "admin", {}),
    Call("POST", "/admin/referrals/999/review", "admin", {"approved": True, "reason": "家人共用"}),
    Call("POST", "/admin/channels", "admin", CHANNEL),
    Call("POST", "/admin/channels/999", "admin", {"cost_fen": 1, "owner": "小李"}),
    Call("POST", "/admin/stores", "admin", {"code": "D", "name": "D店"}),
    Call("POST", "/me/closure", "shopper", {"points": 10**9}),  # the last thing a shopper does
)
FILES = (  # POSTs whose body is not JSON
    Call("POST", "/admin/imports/members", "admin", {}, keyed=False),
    Call("POST", "/admin/imports/purchases", "admin", {}, keyed=False),
)
HEADERS = {"Content-Type": "application/json", "If-Match": '"1"'}


def numbers_in(body: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a body its numbers stand."""
    items = body.items() if isinstance(body, dict) else enumerate(body)
    for name, value in items:
        if isinstance(value, dict | list):
            yield from numbers_in(value, (*place, name))
        elif type(value) is int:
            yield (*place, name)


def with_raw(body: dict[str, Any], place: tuple[Any, ...], raw: str) -> bytes:
    """A body as JSON with some raw text at a place."""
    changed = copy.deepcopy(body)
    inner: Any = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = "\0"
    return json.dumps(changed).replace(json.dumps("\0"), raw).encode()
