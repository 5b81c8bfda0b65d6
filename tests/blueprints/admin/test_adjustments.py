"""Points by hand, and the second pair of eyes over large ones."""

import pytest

LIMIT = 100_000


@pytest.fixture
def adjust(as_shopper, as_staff):
    """Ask for an adjustment of a shopper's points."""
    shopper = as_shopper("one")

    def post(points: int, reason: str = "补偿", *, by: str = "admin", **more):
        path = f"/admin/members/{shopper.id}/points-adjustments"
        return as_staff(by).post(path, {"points": points, "reason": reason, **more})

    post.shopper = shopper
    return post


@pytest.fixture
def review(as_staff):
    def post(adjustment_id: int, approved: bool, *, by: str = "owner"):
        path = f"/admin/points-adjustments/{adjustment_id}/review"
        return as_staff(by).post(path, {"approved": approved})

    return post


def available(shopper) -> int:
    return shopper.get("/me/card").json["points"]["available"]


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("C10")
def test_points_are_given_and_taken_with_a_reason(adjust, hired):
    given, taken = adjust(500, note="系统故障"), adjust(-200, "多记积分")

    assert (given.status_code, taken.status_code) == (201, 201)
    assert given.json | {"id": 0, "asked_at": ""} == {
        "id": 0,
        "member_id": adjust.shopper.id,
        "points": 500,
        "reason": "补偿",
        "note": "系统故障",
        "state": "posted",
        "asked_by": hired["admin"],
        "asked_at": "",
        "reviewed_by": None,
        "balance_after": 500,
    }
    assert (taken.json["balance_after"], available(adjust.shopper)) == (300, 300)


@pytest.mark.covers("C10")
def test_above_the_limit_it_waits_for_another_admin(adjust, review, hired):
    waiting = adjust(LIMIT + 1)
    before = available(adjust.shopper)

    approved = review(waiting.json["id"], True)

    assert (waiting.status_code, waiting.json["state"]) == (202, "pending")
    assert (waiting.json["balance_after"], before) == (None, 0)
    assert (approved.status_code, approved.json["state"]) == (200, "posted")
    assert approved.json["reviewed_by"] == hired["owner"]
    assert approved.json["balance_after"] == available(adjust.shopper) == LIMIT + 1


@pytest.mark.covers("C10")
def test_the_limit_holds_for_taking_too_and_is_the_shops_own(adjust, tune):
    tune("adjustment_limit_points", 10)

    statuses = [adjust(points).status_code for points in (10, 11, -10, -11)]

    assert statuses == [201, 202, 201, 202]


@pytest.mark.covers("C10")
def test_the_limit_of_a_new_shop_is_a_hundred_thousand(adjust):
    statuses = [adjust(points).status_code for points in (LIMIT, LIMIT + 1)]

    assert statuses == [201, 202]


@pytest.mark.covers("C10")
def test_nobody_approves_his_own_and_nothing_is_decided_twice(adjust, review):
    waiting = adjust(LIMIT + 1).json["id"]

    own = review(waiting, True, by="admin")
    first, second = review(waiting, False), review(waiting, True)

    assert refused(own) == (409, "second_person_needed")
    assert (first.status_code, first.json["state"]) == (200, "rejected")
    assert refused(second) == (409, "already_reviewed")
    assert available(adjust.shopper) == 0


@pytest.mark.covers("C10", "C7")
def test_more_than_there_is_is_not_taken(adjust, review):
    adjust(50)

    now, later = adjust(-51), adjust(-LIMIT - 1)
    approved = review(later.json["id"], True)

    assert refused(now) == (409, "not_enough_points")
    assert now.json["short_by"] == 1
    assert refused(approved) == (409, "not_enough_points")
    assert available(adjust.shopper) == 50


def test_those_that_wait_can_be_listed(adjust, review, as_staff):
    posted, waiting, rejected = adjust(1).json, adjust(LIMIT + 1).json, adjust(LIMIT + 2).json
    review(rejected["id"], False)
    admin = as_staff("admin")

    def ids(query: str) -> list[int]:
        items = admin.get(f"/admin/points-adjustments{query}").json["items"]
        return [row["id"] for row in items]

    assert ids("?state=pending") == [waiting["id"]]
    assert ids("?state=posted") == [posted["id"]]
    assert ids("?state=rejected") == [rejected["id"]]
    assert ids("") == [rejected["id"], waiting["id"], posted["id"]]


def test_a_reason_is_a_short_text_and_needed(adjust):
    long_enough = adjust(1, "理" * 40)

    answers = [adjust(1, reason) for reason in ("", " ", "理" * 41, None, 5)]
    answers.append(adjust(1, note="注" * 201))

    assert long_enough.status_code == 201
    assert {refused(answer) for answer in answers} == {(400, "malformed")}


def test_an_approval_is_true_or_false(adjust, as_staff):
    waiting = adjust(LIMIT + 1).json["id"]
    path = f"/admin/points-adjustments/{waiting}/review"

    answers = [as_staff("owner").post(path, {"approved": a}) for a in ("true", 1, 0, None, "", [])]

    assert {refused(answer) for answer in answers} == {(400, "malformed")}
