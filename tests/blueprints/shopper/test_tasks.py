"""Tasks over HTTP: written by an admin, seen and claimed by a shopper."""

import pytest

from tests.blueprints.routes import REVIEW, TASK

STEP = {**TASK["steps"][0], "counts": "check_in", "target": 1, "only": {}}
SIGN = {**TASK, "steps": [STEP], "ordered": False, "audience": {}}
FIELDS = {"id", "title", "period", "target", "progress", "points", "state", "ends_at"}


@pytest.mark.covers("D4")
def test_a_shopper_sees_does_and_claims_a_task(busy_shop):
    admin, shopper = busy_shop["admin"], busy_shop["shopper"]
    written = admin.post("/admin/tasks", SIGN)
    claims = f"/me/tasks/{written.json['task_id']}/claims"

    early = shopper.post(claims)
    shopper.post("/me/checkins")
    (task,) = shopper.get("/me/tasks").json["items"]
    balance = shopper.get("/me/card").json["points"]["available"]
    claimed = shopper.post(claims, {"period_key": task["period_key"]})
    again = shopper.post(claims)

    assert (written.status_code, early.status_code, early.json["code"]) == (
        *(201, 409),
        "task_unfinished",
    )
    assert set(task) >= FIELDS
    assert (task["state"], task["progress"], task["target"]) == ("claimable", 1, 1)
    assert claimed.status_code == 201
    assert claimed.json == {"points_awarded": 10, "balance_after": balance + 10, "gift": None}
    assert (again.status_code, again.json["code"]) == (409, "task_claimed")
    newest = shopper.get("/me/points/entries").json["items"][0]
    assert (newest["kind"], newest["reason"]) == ("task", "完成任务：消费满额")


def test_a_task_speaks_the_shoppers_language(busy_shop):
    busy_shop["admin"].post("/admin/tasks", SIGN)

    (en,) = busy_shop["shopper"].get("/me/tasks", headers={"Accept-Language": "en"}).json["items"]

    assert (en["title"], en["steps"][0]["title"]) == ("Spend so much", "Spend")


def test_a_period_that_is_not_there_is_not_claimed(busy_shop):
    task = busy_shop["admin"].post("/admin/tasks", SIGN).json["task_id"]

    answer = busy_shop["shopper"].post(f"/me/tasks/{task}/claims", {"period_key": "2020-01-01"})

    assert answer.status_code == 404


def test_a_draft_is_looked_at_and_published(busy_shop, stores):
    admin = busy_shop["admin"]
    draft = admin.post("/admin/tasks", {**SIGN, "publish": False}).json

    seen = admin.get(f"/admin/tasks/{draft['id']}/preview").json
    published = admin.post(f"/admin/tasks/{draft['id']}/publication")
    again = admin.post(f"/admin/tasks/{draft['id']}/publication", {})

    assert 1 <= seen["members"] == seen["of_members"]
    assert (draft["state"], published.json["state"]) == ("draft", "published")
    assert again.json["code"] == "rule_published"
    assert admin.get("/admin/tasks/999/preview").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": []},
        {"steps": [{**STEP, "counts": "share"}]},
        {"steps": [{**STEP, "target": 0}]},
        {"points": 0},
        {"code": "Bad Code"},
        {"audience": {"joined_from": "2027-02-01", "joined_until": "2027-01-01"}},
        {"starts_on": "2027-02-01", "ends_on": "2027-01-01"},
    ],
)
def test_a_task_of_nonsense_is_refused(busy_shop, wrong):
    assert busy_shop["admin"].post("/admin/tasks", {**SIGN, **wrong}).status_code == 400


@pytest.mark.covers("D6")
def test_a_review_is_held_until_the_shop_has_read_it(busy_shop, as_shopper):
    admin, shopper, clerk = (busy_shop[who] for who in ("admin", "shopper", "clerk"))
    bill = {"member_id": shopper.id, "receipt_no": "R-1", "amount_fen": 5_000}
    review = {**REVIEW, "purchase_id": clerk.post("/clerk/purchases", bill).json["id"]}

    foreign = as_shopper("other").post("/me/reviews", review)
    held = shopper.post("/me/reviews", review)
    path = f"/admin/reviews/{held.json['id']}/decision"
    silent = admin.post(path, {"approved": False})
    decided = admin.post(path, {"approved": False, "note": "与商品无关"})

    assert (foreign.status_code, held.status_code, silent.status_code) == (404, 201, 400)
    assert admin.get("/admin/reviews?state=held").json["items"] == []
    assert decided.json["state"] == "rejected"
    (mine,) = shopper.get("/me/reviews").json["items"]
    assert (mine["state"], mine["note"]) == ("rejected", "与商品无关")
