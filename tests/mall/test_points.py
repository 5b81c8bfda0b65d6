"""Points: spent first-expiring first, never beyond what is there, never paid twice for one cause."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import points
from mall.atomic import atomic
from mall.errors import AccountFrozen, MemberClosed, NotEnoughPoints, NotFound, TooManyPoints
from models import Account, Lot
from models.points import MAX_BALANCE_POINTS
from tests.mall.books import (
    DAY,
    a_cause,
    balance,
    book_of,
    by_hand,
    count,
    entries,
    give,
    left,
    spend,
    uses,
    wrong,
)
from tests.mall.together import together


def test_points_are_taken_from_the_lot_that_expires_first_and_from_the_endless_last(a_member, now):
    """PEERS 31: consumption by date of creation lets the sooner expiring points die."""
    member = a_member()
    give(member, 50, "endless", expires_at=None, now=now)
    give(member, 100, "late", expires_at=now + 90 * DAY, now=now)
    give(member, 30, "soon", expires_at=now + 5 * DAY, now=now)

    assert spend(member, 60, "first", now=now) == 120
    assert left(member) == [50, 70, 0]

    assert spend(member, 100, "second", now=now) == 20
    assert left(member) == [20, 0, 0]
    assert wrong() == []


def test_of_two_lots_with_one_end_the_older_goes_first(a_member, now):
    member, end = a_member(), now + 5 * DAY
    give(member, 10, "older", expires_at=end, now=now)
    give(member, 10, "newer", expires_at=end, now=now)

    spend(member, 15, "some", now=now)

    assert left(member) == [0, 5]


def test_what_was_taken_from_which_lot_is_remembered(a_member, now):
    member = a_member()
    give(member, 10, "soon", expires_at=now + DAY, now=now)
    give(member, 10, "late", expires_at=now + 2 * DAY, now=now)
    give(member, 10, "untouched", expires_at=now + 3 * DAY, now=now)

    spend(member, 15, "some", now=now)

    assert [amount for _, amount in uses("redeem")] == [10, 5]


def test_a_shortage_is_an_error_that_says_how_much_and_takes_nothing(a_member, now):
    """PEERS 14, 34: a shortage that is only logged, or a debit that is quietly reduced."""
    member = a_member(points=80)

    with pytest.raises(NotEnoughPoints) as refusal:
        spend(member, 100, "too much", now=now)

    assert refusal.value.details == {"short_by": 20}
    assert "还差 20 分" in refusal.value.sentence()
    assert balance(member) == 80 and left(member) == [80]


def test_nothing_spent_leaves_no_entry(a_member, now):
    member = a_member(points=80)

    assert spend(member, 0, "nothing", now=now) == 80

    assert len(entries(member)) == 1


@pytest.mark.parametrize("wanted", [-1, -100])
def test_less_than_nothing_can_be_neither_spent_nor_granted(a_member, now, wanted):
    """PEERS 1: a negative quantity that adds points."""
    member = a_member(points=80)

    with pytest.raises(AssertionError):
        spend(member, wanted, "negative", now=now)
    with pytest.raises(AssertionError):
        give(member, wanted, "negative", expires_at=None, now=now)

    assert entries(member) == [("adjust", 80, 80)]


def test_a_frozen_account_earns_but_does_not_spend(a_member, now):
    member = a_member(points=80)
    by_hand(sa.update(Account).values(state="frozen"))

    with pytest.raises(AccountFrozen):
        spend(member, 10, "frozen", now=now)
    give(member, 5, "still earning", expires_at=None, now=now)

    assert balance(member) == 85


def test_a_closed_account_neither_earns_nor_spends(a_member, now):
    member = a_member(points=80)
    by_hand(sa.update(Account).values(state="closed"))

    with pytest.raises(MemberClosed):
        spend(member, 10, "closed", now=now)
    with pytest.raises(MemberClosed):
        give(member, 5, "closed", expires_at=None, now=now)

    assert balance(member) == 80


def test_an_account_that_does_not_exist_is_not_found(app, now):
    with pytest.raises(NotFound):
        spend(404, 1, "nobody", now=now)


def test_an_account_is_full_at_its_limit_to_the_point(a_member, now):
    member = a_member()
    give(member, MAX_BALANCE_POINTS - 1, "nearly all", expires_at=None, now=now)
    give(member, 1, "the last", expires_at=None, now=now)

    with pytest.raises(TooManyPoints) as refusal:
        give(member, 1, "one more", expires_at=None, now=now)

    assert refusal.value.details == {"limit": MAX_BALANCE_POINTS}
    assert balance(member) == MAX_BALANCE_POINTS


def test_the_database_itself_refuses_a_second_entry_of_one_cause(a_member, now):
    member, other = a_member(), a_member()
    give(member, 10, "once", expires_at=None, now=now)

    for again in (member, other):
        with pytest.raises(IntegrityError):
            give(again, 10, "once", expires_at=None, now=now)

    assert (balance(member), balance(other)) == (10, 0)
    assert wrong() == []


def test_the_database_itself_refuses_a_balance_below_nothing(a_member):
    """PEERS 15, 26: a balance that goes negative under a stale reading."""
    a_member(points=5)

    with pytest.raises(IntegrityError):
        by_hand(sa.update(Account).values(balance_points=-1))


def test_parallel_changes_of_one_balance_all_count(app, a_member, now):
    """PEERS 4, 22, 24: balances computed in memory and written back whole lose one of two."""
    member = a_member(points=100)
    grants = [
        lambda n=n: give(member, 10, f"grant-{n}", expires_at=None, now=now) for n in range(10)
    ]
    spends = [lambda n=n: spend(member, 5, f"spend-{n}", now=now) for n in range(10)]

    outcomes = together(app, [*grants, *spends])

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert balance(member) == 100 + 100 - 50
    assert wrong() == []


def test_books_on_the_same_accounts_in_opposite_order_never_wait_in_a_ring(app, a_member, now):
    first, second = a_member(points=100), a_member(points=100)

    def move(source, target, name):
        with book_of(source, target, now=now) as book:
            book.spend(source, 1, a_cause(name, "redeem"))
            book.grant(target, 1, a_cause(name), expires_at=None)

    there = [lambda n=n: move(first, second, f"there-{n}") for n in range(10)]
    back = [lambda n=n: move(second, first, f"back-{n}") for n in range(10)]

    assert together(app, there + back) == [None] * 20
    assert balance(first) + balance(second) == 200
    assert wrong() == []


def test_a_book_that_was_not_written_changes_nothing(a_member, now):
    member = a_member(points=10)

    with atomic():
        book = points.open_book([member], now=now, lots=True)
        book.spend(member, 5, a_cause("forgotten"))

    assert balance(member) == 10 and count(Lot, Lot.points_left == 10) == 1
