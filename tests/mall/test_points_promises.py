"""Promised points: granted once, when their moment has come."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import points
from mall.points import Promise
from models import Account, PendingGrant
from tests.mall.books import DAY, MOMENT, a_cause, balance, by_hand, count, one, wrong
from tests.mall.together import together


def promise(member, name, amount, due_at, now):
    points.promise_many([Promise(member, amount, a_cause(name, "gift"), due_at)], now=now)


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


def test_promised_points_wait_until_their_moment_and_are_granted_once(a_member, now):
    member, due = a_member(), now + DAY
    promise(member, "gift", 50, due, now)

    assert (balance(member), pending(member)) == (0, 50)
    assert points.activate_due(now=due - MOMENT) == []

    assert len(points.activate_due(now=due)) == 1
    assert points.activate_due(now=due) == []
    assert (balance(member), pending(member)) == (50, 0)
    assert wrong() == []


def test_nothing_promised_changes_nothing(app, now):
    points.promise_many([], now=now)

    assert count(PendingGrant) == 0


def test_a_promise_of_one_cause_is_made_once(a_member, now):
    member = a_member()
    promise(member, "gift", 50, now + DAY, now)

    with pytest.raises(IntegrityError):
        promise(member, "gift", 50, now + DAY, now)

    assert pending(member) == 50


def test_promises_granted_side_by_side_are_granted_once(app, a_member, now):
    members = [a_member() for _ in range(4)]
    for member in members:
        promise(member, f"gift-{member}", 10, now, now)

    def grant():
        return len(points.activate_due(now=now))

    outcomes = together(app, [grant] * 6)
    assert sum(outcomes) == 4, outcomes
    assert [balance(member) for member in members] == [10] * 4
    assert wrong() == []


def test_a_promise_to_a_closed_account_does_not_hold_up_the_others(a_member, now):
    closed, open_one = a_member(), a_member()
    promise(closed, "to the closed", 10, now, now)
    promise(open_one, "to the open", 10, now, now)
    by_hand(sa.update(Account).where(Account.member_id == closed).values(state="closed"))

    granted = points.activate_due(now=now)

    assert [each.member_id for each in granted] == [open_one]
    assert (balance(closed), pending(closed)) == (0, 0)
    assert balance(open_one) == 10
    assert one(PendingGrant.state, PendingGrant.member_id == closed) == "voided"
    assert wrong() == []
