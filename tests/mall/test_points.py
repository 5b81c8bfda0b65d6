"""Points: spent first-expiring first, never spent when due, never paid twice for one cause."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, jobs, points
from mall.atomic import atomic
from mall.errors import AccountFrozen, MemberClosed, NotEnoughPoints, NotFound, TooManyPoints
from mall.points import Promise
from models import Account, LedgerEntry, Lot, PendingGrant
from models.points import MAX_BALANCE_POINTS
from tests.mall.books import (
    DAY,
    MOMENT,
    a_cause,
    balance,
    book_of,
    by_hand,
    count,
    entries,
    give,
    lots,
    one,
    spend,
    uses,
    wrong,
)
from tests.mall.together import together

GRACE = 7 * DAY


@pytest.fixture
def now(app):
    return clock.now()


def left(member_id):
    return [points_left for points_left, _ in lots(member_id)]


def give_back(member_id, spent, *, now, grace=GRACE):
    entry_id = one(LedgerEntry.id, LedgerEntry.ref_id == spent, LedgerEntry.kind == "redeem")
    with book_of(member_id, now=now) as book:
        return book.give_back(member_id, entry_id, a_cause(f"back-{spent}", "cancel"), grace=grace)


# spending


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


# expiry


def test_a_lot_is_due_at_its_end_to_the_moment(a_member, now):
    member, end = a_member(), now + DAY
    give(member, 10, "short-lived", expires_at=end, now=now)

    with book_of(member, now=end - MOMENT) as book:
        book.check_spend(member, 10)
    with book_of(member, now=end) as book, pytest.raises(NotEnoughPoints):
        book.check_spend(member, 1)


def test_due_points_are_not_spent_however_late_the_job_is(a_member, now):
    member, later = a_member(), now + 30 * DAY
    give(member, 70, "dead by then", expires_at=now + DAY, now=now)
    give(member, 30, "alive", expires_at=now + 90 * DAY, now=now)

    with pytest.raises(NotEnoughPoints) as refusal:
        spend(member, 31, "dead points", now=later)

    assert refusal.value.details == {"short_by": 1}
    assert spend(member, 30, "living points", now=later) == 0
    assert entries(member)[2:] == [("expire", -70, 30), ("redeem", -30, 0)]
    assert points.expire_due(now=later) == 0
    assert wrong() == []


def test_the_job_writes_a_due_lot_off_once_with_an_entry_of_its_own(a_member, now):
    member, later = a_member(), now + 2 * DAY
    give(member, 70, "dead", expires_at=now + DAY, now=now)
    give(member, 20, "dead too", expires_at=now + DAY, now=now)
    give(member, 30, "alive", expires_at=now + 3 * DAY, now=now)

    assert points.expire_due(now=later) == 90
    assert points.expire_due(now=later) == 0

    assert entries(member)[3:] == [("expire", -70, 50), ("expire", -20, 30)]
    assert [amount for _, amount in uses("expire")] == [70, 20]
    assert left(member) == [0, 0, 30]
    assert wrong() == []


def test_jobs_side_by_side_write_a_lot_off_once(app, a_member, now):
    members = [a_member() for _ in range(5)]
    for member in members:
        give(member, 10, f"dead-{member}", expires_at=now + DAY, now=now)

    gone = together(app, [lambda: points.expire_due(now=now + 2 * DAY)] * 6)

    assert sum(gone) == 50
    assert count(LedgerEntry, LedgerEntry.kind == "expire") == 5
    assert wrong() == []


def test_the_job_goes_on_until_nothing_is_due(app, a_member, now, monkeypatch):
    monkeypatch.setattr(points.expiry, "EXPIRED_AT_ONCE", 2)
    for _ in range(5):
        give(a_member(), 10, f"dead-{_}", expires_at=now + DAY, now=now)
    app.config["CLOCK_OFFSET_S"] = 2 * 86_400

    assert jobs.expire_points() == 50
    assert jobs.expire_points() == 0


# giving back


def test_what_is_given_back_returns_to_the_very_lots_it_came_from(a_member, now):
    member = a_member()
    ends = [now + 10 * DAY, now + 20 * DAY, None]
    for number, end in enumerate(ends):
        give(member, 10, f"lot-{number}", expires_at=end, now=now)
    spend(member, 25, "trade", now=now)

    assert give_back(member, "trade", now=now + DAY) == 30

    assert lots(member) == [(10, ends[0]), (10, ends[1]), (10, ends[2])]
    assert wrong() == []


def test_a_lot_that_lives_keeps_its_end_when_points_come_back(a_member, now):
    member, end = a_member(), now + 2 * DAY
    give(member, 100, "ends soon", expires_at=end, now=now)
    spend(member, 1, "trade", now=now)

    give_back(member, "trade", now=now + DAY)

    assert lots(member) == [(100, end)]


def test_a_lot_that_has_died_comes_back_with_grace(a_member, now):
    member, later = a_member(), now + 5 * DAY
    give(member, 100, "dies", expires_at=now + DAY, now=now)
    spend(member, 40, "trade", now=now)
    points.expire_due(now=later)

    give_back(member, "trade", now=later)

    assert lots(member) == [(40, later + GRACE)]
    assert spend(member, 40, "within the grace", now=later + GRACE - MOMENT) == 0
    assert wrong() == []


def test_points_that_died_unnoticed_do_not_rise_with_those_given_back(a_member, now):
    member, later = a_member(), now + 5 * DAY
    give(member, 100, "dies", expires_at=now + DAY, now=now)
    spend(member, 40, "trade", now=now)

    give_back(member, "trade", now=later)

    assert lots(member) == [(40, later + GRACE)]
    assert entries(member)[2:] == [("expire", -60, 0), ("cancel", 40, 40)]
    assert wrong() == []


def test_a_lot_given_grace_can_die_a_second_time(a_member, now):
    member, later = a_member(), now + 5 * DAY
    give(member, 100, "dies twice", expires_at=now + DAY, now=now)
    spend(member, 40, "trade", now=now)
    points.expire_due(now=later)
    give_back(member, "trade", now=later)

    assert points.expire_due(now=later + GRACE) == 40
    assert points.expire_due(now=later + GRACE) == 0

    assert [delta for kind, delta, _ in entries(member) if kind == "expire"] == [-60, -40]
    assert wrong() == []


def test_without_grace_points_come_back_dead(a_member, now):
    member, later = a_member(), now + 5 * DAY
    give(member, 100, "dies", expires_at=now + DAY, now=now)
    spend(member, 40, "trade", now=now)

    give_back(member, "trade", now=later, grace=timedelta())

    with pytest.raises(NotEnoughPoints):
        spend(member, 1, "nothing left", now=later)
    assert points.expire_due(now=later) == 40
    assert wrong() == []


# promises


def promise(member, name, amount, due_at, now):
    points.promise_many([Promise(member, amount, a_cause(name, "gift"), due_at)], now=now)


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


def test_promised_points_wait_until_their_moment_and_are_granted_once(a_member, now):
    member, due = a_member(), now + DAY
    promise(member, "gift", 50, due, now)

    assert (balance(member), pending(member)) == (0, 50)
    assert points.activate_due(now=due - MOMENT, expires_at=None) == []

    assert len(points.activate_due(now=due, expires_at=None)) == 1
    assert points.activate_due(now=due, expires_at=None) == []
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
        return len(points.activate_due(now=now, expires_at=None))

    outcomes = together(app, [grant] * 6)
    assert sum(outcomes) == 4, outcomes
    assert [balance(member) for member in members] == [10] * 4
    assert wrong() == []


def test_a_promise_to_a_closed_account_does_not_hold_up_the_others(a_member, now):
    closed, open_one = a_member(), a_member()
    promise(closed, "to the closed", 10, now, now)
    promise(open_one, "to the open", 10, now, now)
    by_hand(sa.update(Account).where(Account.member_id == closed).values(state="closed"))

    granted = points.activate_due(now=now, expires_at=None)

    assert [each.member_id for each in granted] == [open_one]
    assert (balance(closed), pending(closed)) == (0, 0)
    assert balance(open_one) == 10
    assert one(PendingGrant.state, PendingGrant.member_id == closed) == "voided"
    assert wrong() == []


# views


def test_every_date_on_which_points_expire_is_told_the_first_first(app, now):
    lots_left = [(now + 2 * DAY, 5), (None, 9), (now + DAY, 3), (now + 2 * DAY, 4)]

    assert points.expiring(lots_left) == [(now + DAY, 3), (now + 2 * DAY, 9)]


def test_a_book_that_was_not_written_changes_nothing(a_member, now):
    member = a_member(points=10)

    with atomic():
        book = points.open_book([member], now=now, lots=True)
        book.spend(member, 5, a_cause("forgotten"))

    assert balance(member) == 10 and count(Lot, Lot.points_left == 10) == 1
