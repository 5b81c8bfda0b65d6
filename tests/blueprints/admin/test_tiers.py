"""Tiers, their rules and grants in the console."""

from datetime import timedelta

import pytest

from mall import clock, jobs
from tests.blueprints.shopper.test_tiers import bought

MATCH = {"If-Match": '"0"'}
GOLD = {
    "colour": "#d4af37",
    "discount_percent": 5,
    "points_percent": 200,
    "early_access_hours": 24,
    "contact_name": "小金",
    "quotas": [{"code": "trial", "name": "新品试用", "uses": 1, "period": "month"}],
}


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.mark.covers("B1", "B7")
def test_a_tier_is_tuned_by_whoever_read_it_last(admin):
    seen = admin.get("/admin/tiers/gold")
    assert seen.headers["ETag"] == '"0"'

    changed = admin.patch("/admin/tiers/gold", GOLD, headers=MATCH)
    late = admin.patch("/admin/tiers/gold", {"name": "x"}, headers=MATCH)

    assert (changed.status_code, changed.headers["ETag"]) == (200, '"1"')
    assert {name: changed.json[name] for name in GOLD} == GOLD
    assert (late.status_code, late.json["code"]) == (409, "changed_meanwhile")
    assert admin.get("/admin/tiers/gold").json == changed.json
    assert changed.json in admin.get("/admin/tiers").json["items"]


@pytest.mark.covers("B1")
def test_a_tier_is_added_and_nonsense_is_refused(admin):
    body = {"code": "platinum", "name": "白金会员", "growth_min": 9000}
    wrong = [
        {**body, "growth_min": 0},
        {**body, "code": "PLATINUM"},
        {**body, "colour": "red"},
        {**body, "points_percent": 99},
        {**body, "quotas": GOLD["quotas"] * 2},
        {"name": "x"},
    ]

    assert {admin.post("/admin/tiers", each).status_code for each in wrong} == {400}
    made = admin.post("/admin/tiers", body)
    twice = admin.post("/admin/tiers", body)

    assert made.status_code == 201 and made.json["name"] == "白金会员"
    assert (twice.status_code, twice.json["code"]) == (409, "tier_taken")
    assert "9000" in twice.json["detail"]
    codes = [each["code"] for each in admin.get("/admin/tiers").json["items"]]
    assert codes == ["base", "silver", "gold", "platinum", "diamond"]


def test_a_change_without_a_version_or_of_a_tier_that_is_not_there_is_refused(admin):
    answers = [
        admin.patch("/admin/tiers/gold", {}),
        admin.patch("/admin/tiers/gold", {}, headers={"If-Match": "x"}),
        admin.patch("/admin/tiers/tin", {}, headers=MATCH),
        admin.get("/admin/tiers/tin"),
    ]

    assert [each.status_code for each in answers] == [400, 400, 404, 404]


@pytest.mark.covers("B14")
def test_rules_are_drafted_looked_at_and_published(admin, as_shopper):
    shopper = as_shopper("one")
    bought(shopper, 600)
    body = {"thresholds": [{"tier": "silver", "growth_min": 500}], "note": "降低门槛"}

    drafted = admin.post("/admin/tier-rules", body)
    path = f"/admin/tier-rules/{drafted.json['id']}"
    changed = admin.patch(path, {"grace_days": 3})
    seen = admin.get(f"{path}/preview").json
    published = admin.post(f"{path}/publication")
    jobs.review_tiers()

    assert (drafted.status_code, drafted.json["version"]) == (201, None)
    assert (changed.json["grace_days"], changed.json["thresholds"]) == (3, body["thresholds"])
    assert (seen["up"], seen["down"]) == (1, 0)
    assert seen["samples"][0] == {
        "member_id": shopper.id,
        "tier_before": "base",
        "tier_after": "silver",
        "growth_value": 600,
        "direction": "up",
    }
    assert (published.status_code, published.json["version"]) == (200, 2)
    assert shopper.get("/me/tier").json["now"]["code"] == "silver"
    again = [admin.post(f"{path}/publication"), admin.patch(path, {"grace_days": 4})]
    assert [(each.status_code, each.json["code"]) for each in again] == [
        (409, "tier_rule_published")
    ] * 2
    assert [each["version"] for each in admin.get("/admin/tier-rules").json["items"]] == [2, 1]
    assert admin.get(path).json["settled_at"]


def test_rules_of_nonsense_are_refused(admin):
    wrong = [
        {"window_kind": "moon"},
        {"activities": [{"kind": "sleep", "growth": 1}]},
        {"activities": [{"kind": "check_in", "growth": 1}] * 2},
        {"thresholds": [{"tier": "silver", "growth_min": 1}] * 2},
        {"thresholds": [{"tier": "tin", "growth_min": 1}]},
    ]

    answers = [admin.post("/admin/tier-rules", each) for each in wrong]

    assert [each.status_code for each in answers] == [400] * 5
    assert answers[-1].json["code"] == "tier_unknown"


@pytest.mark.covers("B5", "A9")
def test_a_tier_by_hand_shows_who_gave_it_why_and_until_when(admin, as_shopper):
    shopper = as_shopper("one")
    until = clock.rfc3339(clock.now() + timedelta(days=9))
    path = f"/admin/members/{shopper.id}/tier-grants"

    given = admin.post(path, {"tier": "gold", "until": until, "reason": "投诉补偿"})
    seen = shopper.get("/me/tier").json
    revoked = admin.post(f"/admin/tier-grants/{given.json['id']}/revocation")

    assert (given.status_code, given.json["until"], given.json["state"]) == (201, until, "active")
    assert seen["now"]["code"] == "gold" and seen["keep"]["granted"] is True
    assert (revoked.json["state"], shopper.get("/me/tier").json["now"]["code"]) == (
        "revoked",
        "base",
    )
    changes = admin.get(f"/admin/tier-changes?member_id={shopper.id}").json["items"]
    assert [(e["tier_before"], e["tier_after"], e["source"], e["reason"]) for e in changes] == [
        ("gold", "base", "grant", "revoked"),
        ("base", "gold", "grant", "投诉补偿"),
    ]
    assert changes[0]["actor"] == f"staff:{given.json['granted_by']}"
    assert admin.get("/admin/tier-grants?member_id=999").json["items"] == []


def test_a_grant_that_ends_in_the_past_or_of_nobody_is_refused(admin, as_shopper):
    shopper = as_shopper("one")
    past = clock.rfc3339(clock.now() - timedelta(days=1))
    path = "/admin/members/{}/tier-grants"

    answers = [
        admin.post(path.format(shopper.id), {"tier": "gold", "until": past, "reason": "x"}),
        admin.post(path.format(shopper.id), {"tier": "tin", "reason": "x"}),
        admin.post(path.format(999), {"tier": "gold", "reason": "x"}),
    ]

    assert [(each.status_code, each.json["code"]) for each in answers] == [
        (409, "tier_grant_past"),
        (400, "tier_unknown"),
        (404, "not_found"),
    ]
