"""The console's ladder and its versions; days of outage, and the member whose streak they spared."""

from datetime import timedelta

import pytest

from mall import checkins, clock
from mall.checkins import outages
from tests.makers import a_key

LADDER = {"items": [{"points": 3}, {"points": 4, "bonus_points": 9}]}
OUTAGE = {
    "id",
    "day",
    "note",
    "state",
    "members_marked",
    "declared_by",
    "declared_at",
    "repaired_at",
}


def day_ago(days: int) -> str:
    return str(clock.business_day(clock.now()) - timedelta(days=days))


@pytest.mark.covers("D2")
def test_a_published_ladder_pays_at_once_and_the_old_one_stays_to_be_seen(as_staff, as_shopper):
    admin = as_staff("admin")
    before = admin.get("/admin/checkin-rules").json

    made = admin.post("/admin/checkin-rules", LADDER)
    paid = as_shopper("one").post("/me/checkins", key=None).json

    assert (made.status_code, made.json["version"], before["version"]) == (201, 2, 1)
    assert made.json["items"] == [
        {"streak_day": 1, "points": 3, "bonus_points": 0},
        {"streak_day": 2, "points": 4, "bonus_points": 9},
    ]
    assert (paid["points_awarded"], paid["next_bonus"]) == (3, {"in_days": 1, "points": 9})
    assert admin.get("/admin/checkin-rules").json == made.json
    assert admin.get("/admin/checkin-rules?version=1").json == before
    assert admin.get("/admin/checkin-rules?version=3").status_code == 404


def test_a_ladder_of_more_than_a_year_or_of_nonsense_is_refused(as_staff):
    step = {"points": 1}
    wrong = [{}, {"items": None}, {"items": [step] * 367}, {"items": [{"bonus_points": 1}]}]
    wrong += [{"items": [{**step, "streak_day": 1}]}, {"items": [{"points": -1}]}]

    answers = [as_staff("admin").post("/admin/checkin-rules", body) for body in wrong]
    longest = as_staff("admin").post("/admin/checkin-rules", {"items": [step] * 366})

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert (longest.status_code, len(longest.json["items"])) == (201, 366)


@pytest.mark.covers("D3")
def test_a_day_of_outage_is_named_once_and_mended_in_everybodys_calendar(
    app, as_staff, as_shopper, hired
):
    shopper, now = as_shopper("one"), clock.now()
    checkins.check_in(shopper.id, key=a_key(shopper.id, None), now=now - timedelta(days=2))
    admin, body = as_staff("admin"), {"day": day_ago(1), "note": "机房断电"}

    named, again = admin.post("/admin/outages", body), admin.post("/admin/outages", body)
    checkins.repair(now=clock.now() + outages.SETTLES)
    signed = shopper.post("/me/checkins", key=None).json

    assert (named.status_code, set(named.json)) == (201, OUTAGE)
    assert (named.json["state"], named.json["declared_by"]) == ("repairing", hired["admin"])
    assert (again.status_code, again.json["code"]) == (409, "outage_known")
    assert signed["streak_days"] == 3
    (listed,) = admin.get("/admin/outages").json["items"]
    assert (listed["state"], listed["members_marked"]) == ("repaired", 1)
    seen = admin.get(f"/admin/members/{shopper.id}").json["checkins"]
    assert seen == {
        "streak_days": 3,
        "longest_streak_days": 3,
        "marks": [
            {"day": day_ago(0), "kind": "normal"},
            {"day": day_ago(1), "kind": "outage"},
            {"day": day_ago(2), "kind": "normal"},
        ],
    }


def test_today_and_what_is_long_past_are_no_outages(as_staff):
    admin = as_staff("admin")

    answers = [
        admin.post("/admin/outages", {"day": day_ago(days), "note": "断电"}) for days in (-1, 0, 32)
    ]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(409, "outage_outside_window")}
    assert admin.post("/admin/outages", {"day": day_ago(31), "note": "断电"}).status_code == 201
