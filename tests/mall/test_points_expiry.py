"""Points that expire: never spent when due, written off once."""

import pytest

from mall import jobs, points
from mall.errors import NotEnoughPoints
from models import LedgerEntry
from tests.mall.books import DAY, MOMENT, book_of, count, entries, give, left, spend, uses, wrong
from tests.mall.together import together


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


def test_every_date_on_which_points_expire_is_told_the_first_first(app, now):
    lots_left = [(now + 2 * DAY, 5), (None, 9), (now + DAY, 3), (now + 2 * DAY, 4)]

    assert points.expiring(lots_left) == [(now + DAY, 3), (now + 2 * DAY, 9)]
