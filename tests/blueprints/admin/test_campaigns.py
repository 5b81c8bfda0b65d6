"""A points campaign over HTTP, from its draft to its last point."""

import pytest

from mall import jobs


@pytest.mark.covers("C11")
def test_an_admin_drafts_previews_runs_and_the_worker_gives(as_staff, as_shopper):
    admin, shopper = as_staff("admin"), as_shopper("one")
    as_shopper("two")
    shopper.patch("/me", {"city": "上海"})
    body = {"name": "老客关怀", "points": 66, "budget_points": 100, "filters": {"city": "上海"}}

    drafted = admin.post("/admin/points-campaigns", body).json
    path = f"/admin/points-campaigns/{drafted['id']}"
    early = admin.post(f"{path}/run")
    seen = admin.post(f"{path}/preview").json
    started = admin.post(f"{path}/run")
    done = jobs.run_campaigns()

    assert (early.status_code, early.json["code"]) == (409, "not_previewed")
    assert (seen["members"], seen["cost_points"], seen["needs_second_person"]) == (1, 66, False)
    assert (started.status_code, started.json["state"], done) == (200, "running", 1)
    (listed,) = admin.get("/admin/points-campaigns?state=done").json["items"]
    assert (listed["members_given"], listed["points_given"]) == (1, 66)
    (entry,) = shopper.get("/me/points/entries").json["items"]
    assert (entry["delta"], entry["reason"]) == (66, "活动赠送：老客关怀")


def test_a_large_one_waits_for_another_admin(as_staff, as_shopper):
    admin, owner = as_staff("admin"), as_staff("owner")
    as_shopper("one")
    body = {"name": "大奖", "points": 100_001, "budget_points": 200_000}
    path = f"/admin/points-campaigns/{admin.post('/admin/points-campaigns', body).json['id']}"
    admin.post(f"{path}/preview")

    waits = admin.post(f"{path}/run")
    own = admin.post(f"{path}/review", {"approved": True})
    other = owner.post(f"{path}/review", {"approved": True})

    assert (waits.status_code, waits.json["state"]) == (202, "pending")
    assert (own.status_code, own.json["code"]) == (409, "second_person_needed")
    assert (other.status_code, other.json["state"]) == (200, "running")


@pytest.mark.parametrize(
    "filters",
    [
        {"joined_from": "2026-02-01", "joined_until": "2026-01-01"},
        {"birthday_month": 13},
        {"tiers": []},
        {"age": 30},
    ],
)
def test_filters_that_make_no_sense_are_malformed(filters, as_staff):
    body = {"name": "关怀", "points": 1, "budget_points": 1, "filters": filters}

    assert as_staff("admin").post("/admin/points-campaigns", body).status_code == 400
