"""Limits: counted in rows of their own, never past the limit, whatever came before."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import limits
from mall.atomic import atomic
from mall.limits import EVER, Take
from models import LimitCounter
from tests.mall.books import DAY, MOMENT, by_hand, rows, taken
from tests.mall.together import together


@pytest.fixture
def take(a_member, a_reward):
    """Count units for one member and reward; answers whether they stayed within the limit."""
    member, reward = a_member(), a_reward().id

    def count(quantity, limit, period=EVER):
        return not limits.take_many([Take(member, reward, period, quantity, limit)])

    count.member, count.reward = member, reward
    return count


def test_up_to_the_limit_and_not_one_more(take):
    """PEERS 19: > where >= is meant, and a batch that overshoots."""
    assert [take(2, 5), take(2, 5), take(2, 5), take(1, 5), take(1, 5)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert taken(take.member, take.reward) == 5


def test_more_than_the_limit_at_first_is_refused_before_there_is_a_row(take):
    assert not take(3, 2)

    assert rows(LimitCounter.quantity) == []


def test_without_a_limit_all_is_counted(take):
    assert take(99, None) and take(99, None)

    assert taken(take.member, take.reward) == 198


def test_a_limit_brought_in_later_counts_what_came_before(take):
    take(3, None)

    assert not take(1, 3) and take(1, 4)


def test_each_period_is_counted_by_itself(take):
    assert take(2, 2, "2026-11") and take(2, 2, "2026-12") and not take(1, 2, "2026-12")


def test_of_many_at_once_each_is_judged_by_itself(a_member, a_reward):
    cup, bag = a_reward().id, a_reward().id
    members = [a_member() for _ in range(3)]
    limits.take_many([Take(members[1], cup, EVER, 2, 2)])
    takes = [Take(member, cup, EVER, 1, 2) for member in members]
    takes += [Take(members[0], bag, EVER, 9, None), Take(members[1], bag, EVER, 4, 3)]

    assert limits.take_many(takes) == {takes[1], takes[4]}
    assert [taken(member, cup) for member in members] == [1, 2, 1]
    assert limits.take_many([]) == set()


def test_parallel_takes_never_pass_the_limit(app, take):
    outcomes = together(app, [lambda: take(1, 3)] * 20)

    assert outcomes.count(True) == 3 and taken(take.member, take.reward) == 3


def test_what_is_given_back_can_be_taken_again(take):
    take(2, 2)
    limits.give_back(take.member, take.reward, EVER, 1)

    assert take(1, 2) and not take(1, 2)


def test_more_than_was_taken_can_not_be_given_back(take):
    take(1, 2)

    with pytest.raises(IntegrityError), atomic():
        limits.give_back(take.member, take.reward, EVER, 2)

    assert taken(take.member, take.reward) == 1


def test_the_database_itself_refuses_a_count_below_nothing(take):
    take(1, 2)

    with pytest.raises(IntegrityError):
        by_hand(sa.update(LimitCounter).values(quantity=-1))


# periods


def shop_time(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("moment", "day", "week", "month"),
    [
        ("2026-11-23T00:00:00", "2026-11-23", "2026-W48", "2026-11"),
        ("2026-11-22T23:59:59.999999", "2026-11-22", "2026-W47", "2026-11"),
        ("2026-11-30T23:59:59", "2026-11-30", "2026-W49", "2026-11"),
        ("2026-12-01T00:00:00", "2026-12-01", "2026-W49", "2026-12"),
        ("2027-01-03T23:59:59", "2027-01-03", "2026-W53", "2027-01"),
        ("2027-01-04T00:00:00", "2027-01-04", "2027-W01", "2027-01"),
        ("2028-02-29T12:00:00", "2028-02-29", "2028-W09", "2028-02"),
    ],
)
def test_a_period_begins_with_the_shops_day(app, moment, day, week, month):
    now = shop_time(moment).astimezone(UTC)

    assert limits.periods_of(now) == {"ever": "ever", "day": day, "week": week, "month": month}


@pytest.mark.parametrize(
    ("period", "end"),
    [
        ("2026-11-23", "2026-11-24T00:00:00"),
        ("2026-12-31", "2027-01-01T00:00:00"),
        ("2026-W53", "2027-01-04T00:00:00"),
        ("2026-12", "2027-01-01T00:00:00"),
        ("2028-02", "2028-03-01T00:00:00"),
    ],
)
def test_a_period_ends_where_the_next_begins_and_its_counts_two_days_later(app, period, end):
    first_after = shop_time(end)
    kind = {10: "day", 8: "week", 7: "month"}[len(period)]

    assert limits.end_of(period) == first_after
    assert limits.period_of(kind, first_after - MOMENT) == period
    assert limits.period_of(kind, first_after) != period
    assert limits.forget_at(period) == first_after + 2 * DAY


def test_ever_has_no_end(app):
    assert limits.end_of(EVER) is limits.forget_at(EVER) is None


def test_a_kind_of_period_that_nobody_knows_is_a_bug(app):
    with pytest.raises(AssertionError):
        limits.period_of("year", datetime.now(UTC))
