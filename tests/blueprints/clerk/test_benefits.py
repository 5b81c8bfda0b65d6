"""Benefits at the till: seen, used, verified, undone."""

import pytest

from tests.blueprints.shopper.test_tiers import bought

TRIAL = {"code": "trial", "name": "新品试用", "uses": 1, "period": "month"}


@pytest.fixture
def silver(as_shopper, as_staff):
    """A shopper with one trial this month."""
    values = {"quotas": [TRIAL], "discount_percent": 5}
    headers = {"If-Match": '"0"'}
    changed = as_staff("admin").patch("/admin/tiers/silver", values, headers=headers)
    assert changed.status_code == 200
    shopper = as_shopper("silver")
    bought(shopper, 1000)
    return shopper


@pytest.mark.covers("B7", "B11")
def test_a_clerk_sees_uses_verifies_and_undoes_a_benefit(silver, as_staff):
    clerk = as_staff("clerk-a")
    code = silver.get("/me/card").json["code"]["payload"]
    scan_token = clerk.post("/clerk/scans", {"code": code}).json["scan_token"]

    seen = clerk.get(f"/clerk/members/{silver.id}/benefits").json
    used = clerk.post("/clerk/benefits/trial/use", {"scan_token": scan_token})
    empty = clerk.post("/clerk/benefits/trial/use", {"member_id": silver.id})
    path = f"/clerk/benefit-uses/{used.json['use']['id']}"
    verified = clerk.get(path).json
    undone = clerk.post(f"{path}/undo")
    again = clerk.post(f"{path}/undo")

    assert (seen["tier"]["code"], seen["tier"]["discount_percent"]) == ("silver", 5)
    assert [each["uses_left"] for each in seen["items"]] == [1]
    assert (used.status_code, used.json["benefit"]["uses_left"]) == (201, 0)
    assert (empty.status_code, empty.json["code"]) == (409, "benefit_used_up")
    assert "后重新发放" in empty.json["detail"] and empty.json["uses"] == 1
    assert (verified["store"], verified["used_by"], verified["undone_at"]) == (
        "A店",
        "clerk-a",
        None,
    )
    assert (undone.status_code, again.json["code"]) == (200, "benefit_use_undone")
    assert silver.get("/me/benefits").json["items"][0]["uses_left"] == 1


def test_another_store_may_use_but_not_see_or_undo_what_was_used_here(silver, as_staff):
    used = as_staff("clerk-a").post("/clerk/benefits/trial/use", {"member_id": silver.id})
    path = f"/clerk/benefit-uses/{used.json['use']['id']}"

    other = as_staff("clerk-b")

    assert [other.get(path).status_code, other.post(f"{path}/undo").status_code] == [404, 404]


def test_a_use_names_one_member_and_a_benefit_that_is_there(silver, as_staff):
    clerk = as_staff("clerk-a")

    answers = [
        clerk.post("/clerk/benefits/trial/use", {}),
        clerk.post("/clerk/benefits/trial/use", {"member_id": silver.id, "scan_token": "x"}),
        clerk.post("/clerk/benefits/lounge/use", {"member_id": silver.id}),
        clerk.post("/clerk/benefits/trial/use", {"member_id": 999}),
        clerk.get("/clerk/members/999/benefits"),
    ]

    assert [each.status_code for each in answers] == [400, 400, 404, 404, 404]


def test_a_use_asked_for_twice_with_one_key_is_one_use(silver, as_staff):
    clerk, key = as_staff("clerk-a"), "k" * 16

    first, second = (
        clerk.post("/clerk/benefits/trial/use", {"member_id": silver.id}, key=key) for _ in range(2)
    )

    assert first.data == second.data and second.headers["Idempotent-Replayed"] == "true"
