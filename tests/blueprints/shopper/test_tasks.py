"""Tasks and reviews as a shopper sees and claims them."""

import pytest

CHECK_IN = {"code": "in", "title": "签到", "title_en": "Sign in", "counts": "check_in"}
DAILY = {"title": "每日签到", "title_en": "Sign in daily", "period": "daily", "points": 8}
REVIEW = {"rating": 5, "text": "茶很香，下次还会再来"}


@pytest.fixture
def daily(as_staff):
    """A daily task for signing in; answers its id."""
    task = {**DAILY, "code": "daily", "steps": [CHECK_IN], "publish": True}
    return as_staff("admin").post("/admin/tasks", task).json["task_id"]


@pytest.mark.covers("D4")
def test_a_shopper_does_a_task_and_claims_it_once(app, as_shopper, daily):
    shopper = as_shopper("one")
    (todo,) = shopper.get("/me/tasks").json["items"]
    early = shopper.post(f"/me/tasks/{daily}/claims")

    shopper.post("/me/checkins")
    (ready,) = shopper.get("/me/tasks").json["items"]
    claimed = shopper.post(f"/me/tasks/{daily}/claims")
    again = shopper.post(f"/me/tasks/{daily}/claims")

    assert [todo[name] for name in ("id", "target", "progress", "points")] == [daily, 1, 0, 8]
    assert (todo["state"], ready["state"], todo["title"]) == ("todo", "claimable", "每日签到")
    assert todo["ends_at"].endswith("T00:00:00+08:00")
    assert (early.status_code, early.json["code"]) == (409, "task_unfinished")
    assert early.json["short_by"] == 1 and "还差 1" in early.json["detail"]
    assert (claimed.status_code, claimed.json["points_awarded"]) == (201, 8)
    assert claimed.json["balance_after"] == shopper.get("/me/card").json["points"]["available"]
    assert (again.status_code, again.json["code"]) == (409, "task_claimed")
    entry = shopper.get("/me/points/entries").json["items"][0]
    assert (entry["kind"], entry["delta"], entry["rule"]) == ("task", 8, "每日签到@1")


@pytest.mark.covers("D4")
def test_a_day_that_is_over_can_not_be_claimed(app, as_shopper, daily):
    shopper = as_shopper("one")
    shopper.post("/me/checkins")
    (seen,) = shopper.get("/me/tasks").json["items"]
    app.config["CLOCK_OFFSET_S"] = 86_400
    shopper = as_shopper("one")

    late = shopper.post(f"/me/tasks/{daily}/claims", {"period_key": seen["period_key"]})

    assert (late.status_code, late.json["code"]) == (409, "task_missed")
    assert late.json["ended_at"] == seen["ends_at"]


def test_a_task_that_is_not_there_is_not_found(as_shopper, daily):
    shopper = as_shopper("one")

    answers = [
        shopper.post(f"/me/tasks/{daily + 1}/claims"),
        shopper.post(f"/me/tasks/{daily}/claims", {"period_key": "2020-01-01"}),
    ]

    assert {(each.status_code, each.json["code"]) for each in answers} == {(404, "not_found")}


@pytest.mark.covers("D6")
def test_a_review_is_of_ones_own_purchase(busy_shop, as_shopper):
    clerk, shopper = busy_shop["clerk"], as_shopper("reviewer")
    receipt = {"member_id": shopper.id, "receipt_no": "RV", "amount_fen": 100}
    mine = clerk.post("/clerk/purchases", receipt).json["id"]
    others = busy_shop["reviews"][0]["purchase_id"]

    written = shopper.post("/me/reviews", {**REVIEW, "purchase_id": mine})
    stolen = shopper.post("/me/reviews", {**REVIEW, "purchase_id": others})
    short = shopper.post("/me/reviews", {**REVIEW, "purchase_id": mine, "text": "好"})
    twice = shopper.post("/me/reviews", {**REVIEW, "purchase_id": mine})

    assert (written.status_code, written.json["state"]) == (201, "held")
    assert (stolen.status_code, stolen.json["code"]) == (404, "not_found")
    assert (short.json["code"], short.json["short_by"]) == ("review_too_short", 9)
    assert (twice.status_code, twice.json["code"]) == (409, "review_known")
