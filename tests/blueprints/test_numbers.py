"""Every number in every body is a whole number within its bounds, or the request is refused."""

from blueprints.openapi import LARGEST_ID
from tests.blueprints.routes import CALLS, HEADERS, numbers_in, with_raw

NO_NUMBERS = (
    ["1.0", "1.5", "1e3", "1E0", "-0.0", '"5"', '"x"', '""', "true", "false", "[]", "[1]", "{}"]
    + ["NaN", "Infinity", "-Infinity", "1" + "0" * 400, "9" * 5000, str(2**63), str(-(2**63) - 1)]
    + ["0x1", "01", "+1", "1_000", "１"]
)
LARGEST = {
    "quantity in /me/redemptions": 99,
    "voucher_lasts_days": 3650,
    "lasts_hours": 2160,
    "points in /admin/checkin-rules": 10**6,
    "bonus_points": 10**6,
    "percent": 10_000,
    "new_member_days": 3650,
    "award_after_days": 3650,
    "line_no": 200,
    "rating": 5,
    "weekdays": 7,
    "month_days": 31,
    "birthday_month": 12,
    "lasts": 120,
    "remind_days": 365,
    "max_percent": 100,
    "uses": 1000,
    "discount_percent": 100,
    "points_percent": 1000,
    "early_access_hours": 720,
    "growth_per_yuan": 1000,
    "growth_per_visit": 10**6,
    "spend_weight_percent": 1000,
    "visit_weight_percent": 1000,
    "activity_weight_percent": 1000,
    "window_days": 3660,
    "grace_days": 366,
    "pending_days": 365,
    "attribution_days": 365,
    "keep_days": 365,
    "friends": 100_000,
    "per_day": 100_000,
    "for_life": 100_000,
    "device_joins_per_day": 10_000,
    "address_joins_per_hour": 10_000,
    "inviter_joins_per_hour": 10_000,
}
SMALLEST = {"percent": 101, "points_percent": 100}
IDS = (
    "last_id",
    "purchase_id",
    "stores in /admin/tasks",
    "rewards",
    "reward_id",
    "store_id",
    "from_store_id",
    "to_store_id",
    "member_id",
    "from_member_id",
    "draft_ids",
    "tier_rule_id",
)
PRICES = ("price_points", "price_fen", "unit_cost_fen", "low_stock_units")
PRICES += ("bonus_points", "points in /admin/checkin-rules")
PRICES += ("min_amount_fen", "gold")
PRICES += ("growth in /admin/tier-rules", "growth in /admin/tier-rules/1", "min_amount_fen")
PRICES += ("discount_percent", "early_access_hours", "growth_per_yuan", "growth_per_visit")
PRICES += ("spend_weight_percent", "visit_weight_percent", "activity_weight_percent")
PRICES += ("grace_days", "growth_min in /admin/tier-rules", "growth_min in /admin/tier-rules/1")
PRICES += ("growth_min in /admin/tiers/silver", "points in /admin/tasks/999")
PRICES += ("points in /admin/referral-rules", "pending_days")
PRICES += ("cost_fen in /admin/channels", "cost_fen in /admin/channels/999")
PRICES += ("amount_fen of items", "points in /me/closure")
SIGNED = (
    "points in /admin/members/1/points-adjustments",
    "quantity in /admin/rewards/1/stock-moves",
)
NULL_MEANS_NONE = ("per_member_limit", "unit_cost_fen", "daily_cap", "per_day", "for_life")
DECIDED = (200, 201, 202, 404, 409)  # read, and granted or refused by a rule
NUMBERS = [(call, place) for call in CALLS for place in numbers_in(call.body)]


def named(call, place, table) -> str | None:
    """A number's name in a table: alone, or with its path."""
    own = next(part for part in reversed(place) if isinstance(part, str))  # a list's, of its items
    names = (own, f"{own} in {call.path}", f"{own} of items" if "items" in place else own)
    return next((name for name in names if name in table), None)


def bounds(call, place) -> tuple[int, int]:
    """The smallest and the largest that a number may be, by the contract."""
    if named(call, place, IDS):
        return 1, LARGEST_ID
    largest = LARGEST.get(named(call, place, LARGEST) or "", 10**9)
    if named(call, place, SIGNED) or place[-1] in ("sort", "priority"):
        return -largest, largest
    smallest = SMALLEST.get(named(call, place, SMALLEST) or "", 1)
    return (0 if named(call, place, PRICES) else smallest), largest


def wrong_for(call, place) -> list[str]:
    """What this number can't be."""
    low, high = bounds(call, place)
    wrong = [*NO_NUMBERS, str(low - 1), str(high + 1)]
    if not named(call, place, NULL_MEANS_NONE):
        wrong.append("null")
    if named(call, place, SIGNED):
        wrong.append("0")
    return wrong


def send(caller, call, place, raw: str):
    data = with_raw(call.body, place, raw)
    if call.method == "PATCH":
        return caller.call("PATCH", call.path, data=data, headers=HEADERS)
    return caller.post(call.path, data=data, headers=HEADERS)


def test_what_is_no_whole_number_in_bounds_is_refused(as_role):
    asked = {
        (call.name, place, raw): send(as_role(call.role), call, place, raw)
        for call, place in NUMBERS
        for raw in wrong_for(call, place)
    }

    refused = (400, "application/problem+json", "malformed")

    said = {
        case: (answer.status_code, answer.content_type, answer.json.get("code"))
        for case, answer in asked.items()
    }
    assert {case: answer for case, answer in said.items() if answer != refused} == {}
    assert len(said) > len(NUMBERS) * len(NO_NUMBERS)


def test_the_smallest_and_the_largest_number_are_taken(as_role):
    asked = {
        (call.name, place, edge): send(as_role(call.role), call, place, str(edge)).status_code
        for call, place in NUMBERS
        for edge in bounds(call, place)
    }

    not_looked_at = {case: status for case, status in asked.items() if status not in DECIDED}

    assert not_looked_at == {}


def test_there_are_numbers_to_be_tried():
    found = {place[-1] for _, place in NUMBERS}

    assert found >= {"reward_id", "quantity", "amount_fen", "points", "price_points", "member_id"}
