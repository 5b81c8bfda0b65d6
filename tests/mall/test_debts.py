"""Debts: what is taken back comes from its own lot, then from others, and the rest is owed."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, points
from models import Account, DebtEntry, LedgerEntry
from tests.mall.books import (
    DAY,
    a_cause,
    balance,
    book_of,
    by_hand,
    entries,
    give,
    lots,
    one,
    rows,
    spend,
    uses,
    wrong,
)

BACK = "refund"


@pytest.fixture
def now(app):
    return clock.now()


def granted(name):
    """The entry that a grant of this name made."""
    return one(LedgerEntry.id, LedgerEntry.kind == "adjust", LedgerEntry.ref_id == name)


def take_back(member, name, amount, *, from_others=True, cause="back"):
    entry = granted(name)
    with book_of(member) as book:
        taken = book.take_back(member, entry, amount, a_cause(cause, BACK), from_others=from_others)
    return taken.points, taken.debt_points


def debt(member):
    return one(Account.debt_points, Account.member_id == member)


@pytest.mark.covers("C12")
def test_points_that_are_still_there_are_taken_from_their_own_lot(a_member, now):
    member = a_member()
    give(member, 100, "first", expires_at=now + DAY, now=now)
    give(member, 50, "later", expires_at=now + 2 * DAY, now=now)

    assert take_back(member, "later", 50) == (50, 0)

    assert [left for left, _ in lots(member)] == [100, 0]
    assert (balance(member), debt(member)) == (100, 0) and wrong() == []


@pytest.mark.covers("C12")
def test_what_is_spent_comes_from_other_lots_first_expiring_first(a_member, now):
    member = a_member()
    give(member, 60, "bought", expires_at=now + DAY, now=now)
    spend(member, 50, "spent", now=now)
    give(member, 30, "late", expires_at=now + 9 * DAY, now=now)
    give(member, 30, "soon", expires_at=now + 3 * DAY, now=now)

    assert take_back(member, "bought", 60) == (60, 0)

    assert [left for left, _ in lots(member)] == [0, 10, 0]
    assert uses(BACK) == [(1, 10), (2, 20), (3, 30)]
    assert balance(member) == 10 and wrong() == []


@pytest.mark.covers("C12")
def test_a_policy_may_leave_other_lots_alone(a_member, now):
    member = a_member()
    give(member, 60, "bought", expires_at=now + DAY, now=now)
    spend(member, 50, "spent", now=now)
    give(member, 30, "other", expires_at=now + 3 * DAY, now=now)

    assert take_back(member, "bought", 60, from_others=False) == (10, 50)

    assert (balance(member), debt(member)) == (30, 50) and wrong() == []


@pytest.mark.covers("C12")
def test_what_is_nowhere_is_owed_and_later_points_pay_it_first(a_member, now):
    member = a_member()
    give(member, 100, "bought", expires_at=now + DAY, now=now)
    spend(member, 100, "spent", now=now)

    assert take_back(member, "bought", 100) == (0, 100)
    give(member, 30, "next", expires_at=now + DAY, now=now)
    half_paid = (balance(member), debt(member))
    give(member, 90, "after", expires_at=now + DAY, now=now)

    assert half_paid == (0, 70)
    assert (balance(member), debt(member)) == (20, 0)
    assert [left for left, _ in lots(member)] == [0, 0, 20]
    assert entries(member)[2:] == [
        ("adjust", 30, 30),
        ("pay_debt", -30, 0),
        ("adjust", 90, 90),
        ("pay_debt", -70, 20),
    ]
    columns = (DebtEntry.kind, DebtEntry.delta_points, DebtEntry.debt_after_points)
    assert rows(*columns, order=DebtEntry.id) == [
        (BACK, 100, 100),
        ("pay_debt", -30, 70),
        ("pay_debt", -70, 0),
    ]
    assert wrong() == []


def test_points_that_come_back_pay_a_debt_too(a_member, now):
    member = a_member()
    give(member, 100, "bought", expires_at=now + DAY, now=now)
    spend(member, 80, "spent", now=now)
    spent = one(LedgerEntry.id, LedgerEntry.kind == "redeem")
    take_back(member, "bought", 100)

    with book_of(member) as book:
        book.give_back(member, spent, a_cause("cancelled", "cancel"), grace=DAY)

    assert (balance(member), debt(member)) == (0, 0) and wrong() == []


def test_debt_alone_moves_no_entry(a_member, now):
    member = a_member()
    give(member, 10, "bought", expires_at=now + DAY, now=now)
    spend(member, 10, "spent", now=now)
    before = entries(member)

    take_back(member, "bought", 10)

    assert entries(member) == before and debt(member) == 10 and wrong() == []


def test_the_same_is_taken_back_once(a_member, now):
    member = a_member()
    give(member, 10, "bought", expires_at=now + DAY, now=now)
    spend(member, 10, "spent", now=now)
    take_back(member, "bought", 10)

    with pytest.raises(Exception, match="(?i)unique"):
        take_back(member, "bought", 10)

    assert debt(member) == 10 and wrong() == []


def test_due_points_are_written_off_before_anything_is_taken_back(a_member, now):
    member = a_member()
    give(member, 40, "old", expires_at=now + DAY, now=now)
    give(member, 60, "bought", expires_at=now + 9 * DAY, now=now)
    spend(member, 70, "spent", now=now)

    entry = granted("bought")
    with book_of(member, now=now + 2 * DAY) as book:
        taken = book.take_back(member, entry, 60, a_cause("back", BACK), from_others=True)

    assert (taken.points, taken.debt_points) == (30, 30) and wrong() == []


@pytest.mark.parametrize("state", ["frozen", "closed"])
def test_what_was_never_earned_is_taken_from_any_account(a_member, now, state):
    member = a_member()
    give(member, 10, "bought", expires_at=now + timedelta(days=1), now=now)
    by_hand(sa.update(Account).where(Account.member_id == member).values(state=state))

    assert take_back(member, "bought", 10) == (10, 0)


def test_a_book_is_written_once(a_member, now):
    member = a_member()
    with pytest.raises(AssertionError, match="written once"), book_of(member) as book:
        book.grant(member, 1, a_cause("x"), expires_at=None)
        book.write()

    assert points.due_points(member, now=now) == 0
