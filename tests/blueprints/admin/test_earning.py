"""The console's earning rules: a draft, its trial on one receipt and on the past, its publication."""

import pytest

from mall import clock

DOUBLE = {
    "code": "member-day",
    "name": "会员日双倍",
    "kind": "multiply",
    "percent": 200,
    "window": {"month_days": [8, 18, 28]},
}


def receipt(clerk, shopper, number, amount_fen=1_000, **more):
    body = {"member_id": shopper.id, "receipt_no": number, "amount_fen": amount_fen, **more}
    return clerk.post("/clerk/purchases", body).json


@pytest.mark.covers("C8", "H4")
def test_a_draft_is_tried_and_published_and_then_pays_at_the_till(as_staff, as_shopper):
    admin, clerk, shopper = as_staff("admin"), as_staff("clerk-a"), as_shopper("one")
    draft = admin.post("/admin/earning-rules", DOUBLE).json
    on_the_eighth = {"member_id": shopper.id, "amount_fen": 1_000, "day": "2026-10-08"}
    with_draft = {**on_the_eighth, "draft_ids": [draft["id"]]}
    path = "/admin/earning-rules/dry-runs"

    plain, tried, another_day = (
        admin.post(path, body).json["points"]
        for body in (on_the_eighth, with_draft, {**with_draft, "day": "2026-10-09"})
    )
    published = admin.post(f"/admin/earning-rules/{draft['id']}/publication").json
    paid_at = {"paid_at": "2026-10-18T12:00:00+08:00"}
    bought = receipt(clerk, shopper, "r-1", **paid_at)

    assert (plain, tried, another_day) == (10, 20, 10)
    assert (draft["state"], published["state"]) == ("draft", "published")
    assert bought["points_awarded"] == 20
    assert [line["reason"] for line in bought["lines"]] == [
        "消费 ¥10.00 按此规则计分",
        "基础积分按 200% 计",
    ]
    assert bought["lines"][1]["reason_en"] == "Base points count at 200 %."
    listed = admin.get("/admin/earning-rules").json["items"]
    assert [(rule["code"], rule["state"]) for rule in listed] == [
        ("member-day", "published"),
        ("purchase", "published"),
    ]


@pytest.mark.covers("B14")
def test_a_back_test_says_what_a_draft_would_have_cost(as_staff, as_shopper):
    admin, clerk, shopper = as_staff("admin"), as_staff("clerk-a"), as_shopper("one")
    receipt(clerk, shopper, "r-1", 10_000)
    draft = admin.post("/admin/earning-rules", {**DOUBLE, "window": {}}).json["id"]
    today = str(clock.business_day(clock.now()))

    body = {"draft_ids": [draft], "first_day": today, "last_day": today}
    found = admin.post("/admin/earning-rules/back-tests", body).json

    assert (found["points_before"], found["points_after"], found["cost_fen"]) == (100, 200, 100)
    assert found["winners"] == {
        "members": 1,
        "most": [{"member_id": shopper.id, "points": 100}],
    }


def test_rules_of_nonsense_are_refused_with_what_is_wrong(as_staff):
    admin = as_staff("admin")
    wrong = [
        {**DOUBLE, "kind": "add"},
        {**DOUBLE, "percent": 100},
        {**DOUBLE, "window": {"month_days": [32]}},
        {**DOUBLE, "window": {"starts_on": "2026-02-02", "ends_on": "2026-02-01"}},
        {**DOUBLE, "audience": {"tiers": ["wood"]}},
        {**DOUBLE, "caps": {"hour": 1}},
        {**DOUBLE, "award": "some day"},
    ]

    answers = [admin.post("/admin/earning-rules", body) for body in wrong]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert answers[0].json["errors"] == {"points": ["a rule that adds needs points"]}
