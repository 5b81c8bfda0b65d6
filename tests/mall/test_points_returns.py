"""Points given back: to the very lots they came from, with grace where those have died."""

from datetime import timedelta

import pytest

from mall import points
from mall.errors import NotEnoughPoints
from models import LedgerEntry
from tests.mall.books import DAY, MOMENT, a_cause, book_of, entries, give, lots, one, spend, wrong

GRACE = 7 * DAY


def give_back(member_id, spent, *, now, grace=GRACE):
    entry_id = one(LedgerEntry.id, LedgerEntry.ref_id == spent, LedgerEntry.kind == "redeem")
    with book_of(member_id, now=now) as book:
        return book.give_back(member_id, entry_id, a_cause(f"back-{spent}", "cancel"), grace=grace)


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
