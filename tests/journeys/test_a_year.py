"""A year of one member, day by day; every figure of the table below was worked out by hand."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from tests.journeys.year import Year, days_from

JOINED = date(2027, 1, 10)
MONTHS = {"kind": "rolling", "unit": "month", "round_up_to": "month"}
LIVES = {"terms": {**MONTHS, "lasts": 6}, "by_tier": {"silver": {**MONTHS, "lasts": 9}}}
TABLE: list[tuple[date, str, int, int, str]] = [
    # day, what happens, points after, growth after, tier after
    (date(2027, 1, 10), "joins", 30, 0, "base"),  # the welcome pack, till 31 July
    (date(2027, 1, 12), "buys 200.00", 230, 200, "base"),  # till 31 July
    (date(2027, 2, 8), "buys 150.50", 530, 350, "base"),  # every 8th counts double; till 31 Aug
    # 100.00 of 150.50 stay: 300 × 100 / 150.5 = 199.3 → 199 points, 150 × … = 99.7 → 99 growth
    (date(2027, 2, 20), "refunds 50.50", 429, 299, "base"),
    (date(2027, 2, 28), "birthday", 479, 299, "base"),  # born on 29 February; till 31 August
    # 800 till 30 September; 1,099 growth are silver from 1,000, whose gift of 88 lives till 31 Dec
    (date(2027, 3, 5), "buys 800.00", 1367, 1099, "silver"),
    (date(2027, 4, 8), "buys 100.00", 1567, 1199, "silver"),  # 200 %, not 120 % too; till 31 Jan
    # 230 of July, 249 of August, 21 of September
    (date(2027, 4, 20), "redeems 500", 1067, 1199, "silver"),
    # 300 of September pay 3.00; 97 by the rule and 20 % of them, 19.4 → 19
    (date(2027, 5, 15), "pays 300 of 100.00", 883, 1296, "silver"),
    (date(2027, 5, 20), "corrects the birthday", 883, 1296, "silver"),
    (date(2027, 6, 1), "refunds all of it", 1067, 1199, "silver"),  # 300 come back, 116 go
    (date(2027, 6, 15), "new birthday", 1067, 1199, "silver"),  # brings nothing in the same year
    # 180 whole days from 6 March to 1 September: 100 growth; ten days of grace till 11 September
    (date(2027, 9, 2), "is reviewed", 1067, 1199, "silver"),
    (date(2027, 9, 12), "falls", 1067, 1199, "base"),
    (date(2027, 10, 1), "loses 779", 288, 1199, "base"),  # of the 800 of March
    (date(2027, 10, 8), "buys 60.00", 408, 1259, "base"),  # double again; till 30 April
    *((date(2027, 11, day), "signs in", 408 + 5 * day, 1259, "base") for day in range(1, 7)),
    (date(2027, 11, 7), "signs in", 463, 1259, "base"),  # the seventh day in a row: 20 more
    (date(2027, 12, 10), "a receipt by mistake", 463, 1259, "base"),  # 999.00, undone
    (date(2028, 1, 1), "loses 88", 375, 1259, "base"),  # silver's gift
]
REMINDED = [  # (told on, points, their last day, days before)
    (date(2027, 8, 31), 779, "2027-09-30", 30),
    (date(2027, 9, 23), 779, "2027-09-30", 7),
    (date(2027, 9, 29), 779, "2027-09-30", 1),
    (date(2027, 12, 1), 88, "2027-12-31", 30),
    (date(2027, 12, 24), 88, "2027-12-31", 7),
    (date(2027, 12, 30), 88, "2027-12-31", 1),
    (date(2028, 1, 1), 200, "2028-01-31", 30),
]
LOTS = [("2028-01-31", 200), ("2028-04-30", 120), ("2028-05-31", 55)]


@pytest.fixture
def year(app, as_staff, as_shopper) -> Year:
    """The shop as its admin sets it up on the day it opens."""
    year = Year(app, as_staff, as_shopper)
    year.at(JOINED, 8)
    set_up(year)
    return year


def set_up(year: Year) -> None:
    def admin(path: str, body: Any, status: int = 201) -> Any:
        return year.post("admin", path, body, status=status)

    for code, points in (("welcome", 30), ("birthday", 50), ("silver", 88)):
        admin("/admin/bundles", {"code": code, "name": code, "points": points})
    admin("/admin/settings/welcome_bundle", {"value": "welcome"}, 200)
    admin("/admin/settings/birthday_bundles", {"value": {"": "birthday"}}, 200)
    admin("/admin/settings/birthday_window", {"value": "day"}, 200)
    admin("/admin/expiry-policies", LIVES)
    double = {"code": "day8", "name": "会员日", "kind": "multiply", "percent": 200}
    admin("/admin/earning-rules", {**double, "window": {"month_days": [8]}, "publish": True})
    pays = {"rate_points": 100, "rate_fen": 100, "max_percent": 30, "step_points": 100}
    admin("/admin/payment-rules", pays)
    steps = [{"points": 5, "bonus_points": 20 if day == 7 else 0} for day in range(1, 8)]
    admin("/admin/checkin-rules", {"items": steps})
    console = year._as_staff("admin")
    etag = console.get("/admin/tiers/silver").headers["ETag"]
    perks = {"points_percent": 120, "gift_bundle": "silver"}
    changed = console.patch("/admin/tiers/silver", perks, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.json
    window = {"window_kind": "rolling", "window_days": 180, "grace_days": 10}
    draft = admin("/admin/tier-rules", {**window, "review_policy": "one_step"})
    admin(f"/admin/tier-rules/{draft['id']}/publication", {}, 200)
    reward = admin("/admin/rewards", {"title": "杯子", "kind": "pickup", "price_points": 500})
    admin(f"/admin/rewards/{reward['id']}/stock-moves", {"quantity": 3, "reason": "purchase"})
    year.reward_id = reward["id"]
    year.at(JOINED, 8, 1)
    year.night(JOINED)


def act(year: Year, what: str) -> None:
    """Do what a line of the table says, over HTTP."""
    number = f"r-{what}-{year.app.config['CLOCK_OFFSET_S']}"[:64]
    words = what.split()
    if words[0] == "buys":
        year.bought = buy(year, number, fen(words[1]))
    elif words[0] == "refunds":
        asked = {"whole": True} if words[1] == "all" else {"amount_fen": fen(words[1])}
        year.post("clerk-a", f"/clerk/purchases/{year.bought}/refunds", asked)
    elif words[0] == "pays":
        bill = {"member_id": year.member_id, "receipt_no": number, "bill_fen": fen(words[3])}
        paid = year.post("clerk-a", "/clerk/points-payments", {**bill, "points": int(words[1])})
        year.bought = buy(year, number, paid["to_pay_fen"])
    elif what in ACTS:
        ACTS[what](year)


def fen(yuan: str) -> int:
    return int(yuan.replace(".", ""))


def buy(year: Year, number: str, amount_fen: int) -> int:
    receipt = {"member_id": year.member_id, "receipt_no": number, "amount_fen": amount_fen}
    return year.post("clerk-a", "/clerk/purchases", receipt)["id"]


def join(year: Year) -> None:
    changed = year.shopper().patch("/me", {"birthday": "2000-02-29"})
    assert changed.status_code == 200


def redeem(year: Year) -> None:
    answer = year.shopper().post("/me/redemptions", {"reward_id": year.reward_id, "quantity": 1})
    assert answer.status_code == 201, answer.text


def sign_in(year: Year) -> None:
    assert year.shopper().post("/me/checkins").status_code == 201


def correct(year: Year) -> None:
    admin = year._as_staff("admin")
    body = {"birthday": "2000-06-15", "reason": "登记错误"}
    assert admin.patch(f"/admin/members/{year.member_id}", body).status_code == 200


def err(year: Year) -> None:
    """A receipt that is undone: while it stands the member is silver again, without another gift."""
    bought = buy(year, "mistake", 99_900)
    year.tell()
    assert year.stands() == (463 + 999, 1259 + 999, "silver")
    mine = year._as_staff("clerk-a").get("/clerk/actions").json["items"]
    action = next(each for each in mine if each["ref_id"] == bought)
    year.post("clerk-a", f"/clerk/actions/{action['id']}/undo", {"reason": "录错"}, status=200)


ACTS: dict[str, Callable[[Year], None]] = {
    "joins": join,
    "redeems 500": redeem,
    "signs in": sign_in,
    "corrects the birthday": correct,
    "a receipt by mistake": err,
}


@pytest.mark.covers("A3", "B2", "B5", "B7", "B11", "B12", "C2", "C9", "C12", "H1", "H2", "H4")
def test_a_year_of_one_member_is_what_was_worked_out_by_hand(year):
    lines = {day: (what, *figures) for day, what, *figures in TABLE}
    points, growth, tier = 0, 0, "base"
    for day in days_from(JOINED, 365):
        year.night(day)
        year.at(day)
        if day in lines:
            what, points, growth, tier = lines[day]
            act(year, what)
        year.tell()
        assert year.stands() == (points, growth, tier), day
        if day.day == 1 or day in lines:
            proof = year._as_staff("admin").get("/admin/ledger/verification").json
            assert proof["mismatches"] == [], day

    assert reminders(year) == REMINDED
    assert lots(year) == LOTS
    assert tiers(year) == [
        ("base", "silver", "growth"),
        ("silver", "base", "review"),
        ("base", "silver", "growth"),
        ("silver", "base", "refund"),
    ]


def reminders(year: Year) -> list[tuple[date, int, str, int]]:
    path, found = f"/admin/points-reminders?member_id={year.member_id}&limit=100", []
    for row in year._as_staff("admin").get(path).json["items"]:
        told = date.fromisoformat(row["created_at"][:10])
        found.append((told, row["points"], row["expires_on"], row["step_days"]))
    return sorted(found)


def lots(year: Year) -> list[tuple[str, int]]:
    expiring = year.shopper().get("/me/assets").json["points"]["expiring"]
    return [(each["expires_on"], each["points"]) for each in expiring]


def tiers(year: Year) -> list[tuple[str, str, str]]:
    changes = year.shopper().get("/me/tier/changes").json["items"]
    found = [(each["tier_before"], each["tier_after"], each["source"]) for each in changes]
    return list(reversed(found))
