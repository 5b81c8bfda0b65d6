"""Adjustments: points by hand at once up to a limit, above it with a second admin's word."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import adjustments, clock
from mall.errors import AlreadyReviewed, NotEnoughPoints, NotFound, ReviewerIsAuthor
from mall.idempotency import Answer, Replayed
from models import LedgerEntry, Lot, PointsAdjustment
from tests.makers import a_key
from tests.mall.books import balance, by_hand, count, entries, one, rows, said, wrong
from tests.mall.together import together

LIMIT = 100_000


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def adjust(hired, now):
    def by(member, points, who="admin", key=None):
        change = {"points": points, "reason": "核对", "note": "电话里说好的"}
        key = key or a_key(None, None)
        return adjustments.adjust(member, change, staff_id=hired[who], key=key, now=now)

    return by


@pytest.fixture
def review(hired, now):
    def by(waiting, approved=True, who="owner", key=None):
        key = key or a_key(None, None)
        return adjustments.review(waiting, approved=approved, staff_id=hired[who], key=key, now=now)

    return by


@pytest.mark.parametrize("points", [1, LIMIT, -300])
def test_up_to_the_limit_points_change_at_once(a_member, adjust, hired, now, points):
    member = a_member(points=300)

    answer = adjust(member, points)

    assert answer.status == 201 and balance(member) == 300 + points
    assert said(answer) == {
        "id": one(PointsAdjustment.id),
        "member_id": member,
        "points": points,
        "reason": "核对",
        "note": "电话里说好的",
        "state": "posted",
        "asked_by": hired["admin"],
        "asked_at": clock.rfc3339(now),
        "reviewed_by": None,
        "balance_after": 300 + points,
    }
    entry = LedgerEntry
    columns = (entry.ref_kind, entry.ref_id, entry.actor, entry.reason)
    assert rows(*columns, where=[entry.seq == 2]) == [
        ("adjustment", str(one(PointsAdjustment.id)), f"staff:{hired['admin']}", "核对")
    ]
    assert wrong() == []


@pytest.mark.covers("C10")
@pytest.mark.parametrize("points", [LIMIT + 1, -LIMIT - 1])
def test_above_the_limit_they_wait_for_another_admin(a_member, adjust, review, hired, points):
    member = a_member(points=2 * LIMIT)

    answer = adjust(member, points)
    assert (answer.status, said(answer)["state"]) == (202, "pending")
    assert said(answer)["balance_after"] is None and balance(member) == 2 * LIMIT

    decided = review(said(answer)["id"])
    assert (decided.status, said(decided)["state"]) == (200, "posted")
    assert said(decided)["reviewed_by"] == hired["owner"]
    assert said(decided)["balance_after"] == balance(member) == 2 * LIMIT + points
    assert wrong() == []


@pytest.mark.covers("C10")
@pytest.mark.parametrize("approved", [True, False])
def test_nobody_decides_his_own(a_member, adjust, review, approved):
    member = a_member()
    waiting = said(adjust(member, LIMIT + 1))["id"]

    with pytest.raises(ReviewerIsAuthor):
        review(waiting, approved, who="admin")

    assert one(PointsAdjustment.state) == "pending" and balance(member) == 0


def test_the_database_itself_refuses_one_person_in_both_places(a_member, adjust, hired):
    adjust(a_member(), LIMIT + 1)

    with pytest.raises(IntegrityError):
        by_hand(sa.update(PointsAdjustment).values(reviewed_by=hired["admin"]))


@pytest.mark.parametrize("first", [True, False])
def test_what_was_decided_stays_decided(a_member, adjust, review, first):
    member = a_member()
    waiting = said(adjust(member, LIMIT + 1))["id"]
    review(waiting, first)

    for again in (True, False):
        with pytest.raises(AlreadyReviewed):
            review(waiting, again)

    assert balance(member) == (LIMIT + 1 if first else 0)
    assert one(PointsAdjustment.state) == ("posted" if first else "rejected")


def test_what_was_posted_at_once_can_not_be_reviewed(a_member, adjust, review):
    with pytest.raises(AlreadyReviewed):
        review(said(adjust(a_member(), 5))["id"])


def test_two_admins_at_once_decide_once(app, a_member, adjust, review):
    member = a_member()
    waiting = said(adjust(member, LIMIT + 1))["id"]

    outcomes = together(app, [lambda n=n: review(waiting, n % 2 == 0) for n in range(10)])

    (decided,) = [each for each in outcomes if isinstance(each, Answer)]
    assert sum(isinstance(each, AlreadyReviewed) for each in outcomes) == 9
    posted = said(decided)["state"] == "posted"
    assert balance(member) == posted * (LIMIT + 1) and wrong() == []


def test_more_than_there_is_can_not_be_taken(a_member, adjust):
    member = a_member(points=100)

    with pytest.raises(NotEnoughPoints) as refusal:
        adjust(member, -101)

    assert refusal.value.details == {"short_by": 1}
    assert balance(member) == 100 and count(PointsAdjustment) == 0


def test_more_than_there_is_waits_on_until_there_is(a_member, adjust, review):
    member = a_member(points=LIMIT)
    waiting = said(adjust(member, -LIMIT - 1))["id"]

    with pytest.raises(NotEnoughPoints):
        review(waiting)
    assert one(PointsAdjustment.state) == "pending"
    adjust(member, 1)

    assert said(review(waiting))["balance_after"] == 0 and wrong() == []


def test_the_limit_is_the_shops_own(a_member, adjust, tune):
    tune("adjustment_limit_points", 10)

    assert [adjust(a_member(points=50), points).status for points in (10, 11, -11)] == [
        201,
        202,
        202,
    ]


def test_points_given_by_hand_expire_as_all_others(a_member, adjust, now):
    adjust(a_member(), 10)

    assert one(Lot.expires_at) == clock.end_of_month_after(now, 12)


def test_told_twice_with_one_key_it_happens_once(a_member, adjust, review):
    member, key = a_member(), a_key(route="POST /adjustments")
    first = adjust(member, 10, key=key)
    with pytest.raises(Replayed) as twin:
        adjust(member, 10, key=key)
    assert twin.value.answer.body == first.body and balance(member) == 10

    waiting, key = said(adjust(member, LIMIT + 1))["id"], a_key(route="POST /reviews")
    review(waiting, key=key)
    with pytest.raises(Replayed):
        review(waiting, key=key)
    assert len(entries(member)) == 2


def test_nobodys_points_and_nobodys_request_are_not_found(adjust, review):
    with pytest.raises(NotFound):
        adjust(404, 10)
    with pytest.raises(NotFound):
        review(404)

    assert count(PointsAdjustment) == 0
