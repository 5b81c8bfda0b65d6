"""Reminders of points that end soon: once for each lot and step, the nearest step that has come."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, jobs, points
from models import Account, PointsReminder, RemindedLot
from tests.makers import points_live
from tests.mall.books import DAY, a_cause, book_of, by_hand, count, give, rows, spend
from tests.mall.together import together


@pytest.fixture
def noon(now):
    """Noon of today in the shop, so that days can be added."""
    return clock.start_of_day(clock.business_day(now)) + DAY / 2


def end_of(noon, days):
    return clock.end_of_day(clock.business_day(noon) + timedelta(days=days))


def told():
    """(member, points, lots, days before) of each reminder, in order."""
    reminder = PointsReminder
    columns = (reminder.member_id, reminder.points, reminder.lots, reminder.step_days)
    return rows(*columns, order=reminder.id)


def remind(at):
    return jobs._until_done(lambda: points.remind_due(now=at))


@pytest.mark.covers("C9")
def test_a_lot_is_told_of_once_at_each_step(a_member, noon):
    member = a_member()
    give(member, 40, "a lot", expires_at=end_of(noon, 60), now=noon)

    days = {n: remind(noon + n * DAY) + remind(noon + n * DAY) for n in range(62)}

    assert {n for n, made in days.items() if made} == {30, 53, 59}
    assert told() == [(member, 40, 1, 30), (member, 40, 1, 7), (member, 40, 1, 1)]
    assert {on for (on,) in rows(PointsReminder.expires_on)} == {
        clock.business_day(noon) + timedelta(days=60)
    }


@pytest.mark.covers("C9")
def test_a_day_that_ends_several_lots_is_one_reminder(a_member, noon):
    one, other = a_member(), a_member()
    for n, who in enumerate([one, one, other]):
        give(who, 10 + n, f"lot {n}", expires_at=end_of(noon, 40), now=noon)
    give(one, 99, "later", expires_at=end_of(noon, 90), now=noon)

    assert remind(noon + 10 * DAY) == 2

    assert told() == [(one, 21, 2, 30), (other, 12, 1, 30)]


def test_days_that_were_missed_are_made_up_by_the_nearest_step_alone(a_member, noon):
    member = a_member()
    give(member, 5, "a lot", expires_at=end_of(noon, 60), now=noon)

    remind(noon + 55 * DAY)
    remind(noon + 56 * DAY)

    assert told() == [(member, 5, 1, 7)]


def test_the_last_day_still_tells_and_the_day_after_does_not(a_member, noon):
    first, second = a_member(), a_member()
    give(first, 5, "today", expires_at=end_of(noon, 20), now=noon)
    give(second, 5, "yesterday", expires_at=end_of(noon, 19), now=noon)

    remind(noon + 20 * DAY)

    assert told() == [(first, 5, 1, 1)]


def test_a_lot_that_was_not_there_on_a_steps_day_skips_it(a_member, noon):
    member = a_member()
    give(member, 5, "short", expires_at=end_of(noon, 10), now=noon)

    days = [n for n in range(12) if remind(noon + n * DAY)]

    assert days == [3, 9] and [step for *_, step in told()] == [7, 1]


def test_what_is_spent_by_then_is_not_told_of(a_member, noon):
    member = a_member()
    give(member, 40, "a lot", expires_at=end_of(noon, 60), now=noon)
    remind(noon + 30 * DAY)
    spend(member, 25, "some", now=noon + 31 * DAY)
    remind(noon + 53 * DAY)
    spend(member, 15, "the rest", now=noon + 54 * DAY)

    remind(noon + 59 * DAY)

    assert told() == [(member, 40, 1, 30), (member, 15, 1, 7)]


def test_an_end_that_was_moved_is_told_of_anew(a_member, noon):
    """Inactivity: the warning comes before, and again before the next end."""
    member = a_member()
    points_live(kind="inactivity", days=60, resets=["purchase"])
    with book_of(member, now=noon) as book:
        book.earn(member, 8, a_cause("some", "event"))
    remind(noon + 30 * DAY)
    with book_of(member, now=noon + 40 * DAY) as book:
        book.act(member, "purchase")

    days = [n for n in range(41, 105) if remind(noon + n * DAY)]

    assert days == [70, 93, 99]
    assert points.expire_due(now=noon + 101 * DAY) == 8


def test_nobody_is_told_who_has_left_or_has_nothing_that_ends(a_member, noon):
    gone, rich = a_member(), a_member()
    give(gone, 5, "a lot", expires_at=end_of(noon, 40), now=noon)
    give(rich, 5, "for ever", expires_at=None, now=noon)
    by_hand(sa.update(Account).where(Account.member_id == gone).values(state="closed"))

    assert remind(noon + 10 * DAY) == 0


def test_the_shop_says_how_many_days_before(a_member, noon, monkeypatch):
    member = a_member()
    give(member, 5, "a lot", expires_at=end_of(noon, 60), now=noon)
    by_hand(sa.text("UPDATE expiry_policies SET remind_days = '[14]'"))

    days = [n for n in range(62) if remind(noon + n * DAY)]

    assert days == [46]


def test_many_members_are_told_in_bounded_batches_and_once_side_by_side(
    app, a_member, noon, monkeypatch
):
    monkeypatch.setattr(points.reminders, "REMINDED_AT_ONCE", 2)
    for n in range(5):
        give(a_member(), 5, f"lot {n}", expires_at=end_of(noon, 40), now=noon)

    made = together(app, [lambda: points.remind_due(now=noon + 10 * DAY)] * 4)
    rest = remind(noon + 10 * DAY)

    assert sum(made) + rest == count(PointsReminder) == count(RemindedLot) == 5


def test_the_job_tells_by_the_shops_clock(app, a_member, noon):
    give(a_member(), 5, "a lot", expires_at=end_of(noon, 40), now=noon)
    app.config["CLOCK_OFFSET_S"] = 12 * 86_400

    assert (jobs.remind_points(), jobs.remind_points()) == (1, 0)
