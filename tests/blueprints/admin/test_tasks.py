"""Tasks and reviews in the console: drafts, versions, previews, the queue of reviews."""

import pytest

from tests.blueprints.routes import TASK

VISIT = {"code": "visit", "title": "到店", "title_en": "Visit", "counts": "visit"}
TWICE = {**TASK, "code": "twice", "steps": [VISIT], "audience": {}}


@pytest.mark.covers("D4", "D8")
def test_a_task_is_drafted_changed_looked_at_published_and_ended(as_staff, as_shopper):
    admin, shopper = as_staff("admin"), as_shopper("one")
    draft = admin.post("/admin/tasks", TWICE).json
    path = f"/admin/tasks/{draft['id']}"

    changed = admin.patch(path, {"points": 5, "audience": {"tiers": ["base"]}}).json
    preview = admin.get(f"{path}/preview").json
    published = admin.post(f"{path}/publication").json
    late = admin.patch(path, {"points": 6})
    shown = shopper.get("/me/tasks").json["items"]
    ended = admin.post(f"{path}/retirement")

    assert (draft["state"], changed["points"], published["state"]) == ("draft", 5, "published")
    assert preview == {"members": 1, "members_total": 1}
    assert (late.status_code, late.json["code"]) == (409, "rule_published")
    assert [each["code"] for each in shown] == ["twice"]
    assert (ended.status_code, ended.json["state"], ended.json["version"]) == (201, "retired", 2)
    assert shopper.get("/me/tasks").json == {"items": [], "next_cursor": None}
    versions = [each["version"] for each in admin.get("/admin/tasks").json["items"]]
    assert versions == [2, 1]


def test_tasks_of_nonsense_are_refused(as_staff):
    admin = as_staff("admin")
    wrong = [
        {},
        {**TWICE, "steps": []},
        {**TWICE, "steps": [VISIT] * 11},
        {**TWICE, "points": 0},
        {**TWICE, "period": "hourly"},
        {**TWICE, "period": "window"},
        {**TWICE, "steps": [{**VISIT, "counts": "share_clicked"}]},
        {**TWICE, "steps": [{**VISIT, "only": {"colour": "red"}}]},
        {**TWICE, "steps": [{**VISIT, "only": {"skus": ["x"]}}]},
        {**TWICE, "audience": {"joined_from": "2026-02-02", "joined_until": "2026-02-01"}},
        {**TWICE, "bundle_code": "none"},
    ]

    answers = [admin.post("/admin/tasks", body) for body in wrong]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert admin.get("/admin/tasks").json["items"] == []


@pytest.mark.covers("D6")
def test_reviews_wait_in_a_queue_and_a_rejected_one_says_why(busy_shop):
    admin, shopper = busy_shop["admin"], busy_shop["shopper"]
    first, second, _ = (f"/admin/reviews/{each['id']}/decision" for each in busy_shop["reviews"])

    silent = admin.post(first, {"approved": False})
    rejected = admin.post(first, {"approved": False, "note": "与商品无关"})
    approved = admin.post(second, {"approved": True})
    again = admin.post(second, {"approved": False, "note": "不当"})

    assert (silent.status_code, silent.json["code"]) == (400, "malformed")
    assert (rejected.json["state"], rejected.json["note"]) == ("rejected", "与商品无关")
    assert (approved.json["state"], approved.json["member_id"]) == ("approved", shopper.id)
    assert (again.status_code, again.json["code"]) == (409, "review_decided")
    waiting = admin.get("/admin/reviews?state=held").json["items"]
    assert [each["id"] for each in waiting] == [busy_shop["reviews"][2]["id"]]
    mine = shopper.get("/me/reviews").json["items"]
    assert [each["state"] for each in mine] == ["held", "approved", "rejected"]
    assert mine[2]["note"] == "与商品无关" and "decided_by" not in mine[2]
