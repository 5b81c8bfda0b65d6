"""How long points live, as an admin sets it and a shopper sees it."""

import pytest

from mall import clock, points
from tests.mall.books import DAY

ROLLING = {"kind": "rolling", "lasts": 30, "unit": "day"}
WRONG = [
    {"kind": "rolling", "lasts": 1},
    {"kind": "rolling", "lasts": 121, "unit": "month"},
    {"kind": "rolling", "lasts": 11, "unit": "year"},
    {"kind": "never", "days": 3},
    {"kind": "fixed", "dates": ["02-30"]},
    {"kind": "fixed", "dates": ["13-01"]},
    {"kind": "fixed", "dates": ["2-1"]},
    {"kind": "fixed", "dates": []},
    {"kind": "inactivity", "days": 30},
    {"kind": "inactivity", "days": 30, "resets": ["sleep"]},
    {"kind": "hourly"},
    {},
]


@pytest.mark.covers("C9")
def test_a_version_is_published_and_listed_newest_first(as_staff):
    admin = as_staff("admin")
    terms = {"kind": "fixed", "dates": ["12-31", "02-29"], "min_days": 90}
    body = {"terms": terms, "by_tier": {"gold": {"kind": "never"}}, "remind_days": [14]}

    made = admin.post("/admin/expiry-policies", {**body, "note": "年底清零"})

    assert made.status_code == 201, made.json
    assert made.json["version"] == 2 and made.json["terms"] == terms
    listed = admin.get("/admin/expiry-policies").json["items"]
    assert [each["version"] for each in listed] == [2, 1] and listed[0] == made.json
    assert listed[1]["terms"]["lasts"] == 12 and listed[1]["published_by"] is None


@pytest.mark.parametrize("terms", WRONG, ids=str)
def test_terms_that_say_nothing_or_too_much_are_refused(terms, as_staff):
    answer = as_staff("admin").post("/admin/expiry-policies", {"terms": terms})

    assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_a_tier_that_is_not_there_is_refused(as_staff):
    body = {"terms": ROLLING, "by_tier": {"wood": ROLLING}}

    answers = [
        as_staff("admin").post(f"/admin/expiry-policies{p}", body) for p in ("", "/previews")
    ]

    assert [each.status_code for each in answers] == [400, 400]


@pytest.mark.covers("C9")
def test_the_card_says_when_points_end_and_the_list_who_was_told(app, as_staff, as_shopper, stores):
    admin, shopper, clerk = as_staff("admin"), as_shopper("one"), as_staff("clerk-a")
    admin.post("/admin/expiry-policies", {"terms": ROLLING, "remind_days": [7]})
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 1_000}
    clerk.post("/clerk/purchases", receipt)
    today = clock.business_day(clock.now())
    last = str(today + 30 * DAY)

    seen = admin.post("/admin/expiry-policies/previews", {"terms": {"kind": "never"}}).json
    assert shopper.get("/me/card").json["points"]["expiring"] == [
        {"points": 10, "expires_on": last}
    ]
    assert [each["month"] for each in seen["now"]] == [last[:7]]
    assert seen["draft"] == [{"month": "never", "points": 10, "members": 1, "over": False}]
    assert shopper.get("/me/points/entries").json["items"][0]["expires_at"][:10] == str(
        today + 31 * DAY
    )

    points.remind_due(now=clock.now() + 23 * DAY)
    (reminder,) = admin.get("/admin/points-reminders").json["items"]
    assert (reminder["points"], reminder["expires_on"], reminder["step_days"]) == (10, last, 7)
    assert (reminder["state"], reminder["member_id"]) == ("waiting", shopper.id)
