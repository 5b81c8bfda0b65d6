"""A year of check-ins in Redis: a bit a day, and one that says the year is loaded."""

from datetime import date

import pytest

from mall.guards import streaks
from mall.guards.client import client

MEMBER = 7


@pytest.fixture(autouse=True)
def context(app):
    """Redis is the application's."""


@pytest.mark.parametrize(
    "days",
    [
        [],
        [date(2027, 1, 1)],
        [date(2027, 12, 31)],
        [date(2028, 2, 29), date(2028, 12, 31)],
        [date(2027, 1, 1), date(2027, 1, 7), date(2027, 1, 8), date(2027, 12, 30)],
    ],
    ids=len,
)
def test_a_loaded_year_tells_its_days(days):
    year = days[0].year if days else 2027
    streaks.load(MEMBER, year, days)

    assert streaks.days_of(MEMBER, year) == days
    assert all(streaks.marked(MEMBER, day) for day in days)
    assert streaks.days_of(MEMBER, year + 1) is streaks.days_of(MEMBER + 1, year) is None


def test_a_day_is_marked_in_a_year_that_is_loaded():
    streaks.load(MEMBER, 2027, [date(2027, 3, 1)])

    streaks.mark(MEMBER, date(2027, 3, 2))

    assert streaks.days_of(MEMBER, 2027) == [date(2027, 3, 1), date(2027, 3, 2)]
    assert not streaks.marked(MEMBER, date(2027, 3, 3))


def test_a_year_that_is_not_loaded_stays_unloaded():
    streaks.mark(MEMBER, date(2027, 3, 2))

    assert streaks.days_of(MEMBER, 2027) is None and client().keys("*") == []


def test_a_year_without_its_mark_is_not_believed():
    client().setbit(f"{{m:{MEMBER}}}:ci:2027", 60, 1)

    assert streaks.days_of(MEMBER, 2027) is None
    streaks.mark(MEMBER, date(2027, 3, 2))
    assert not streaks.marked(MEMBER, date(2027, 3, 2))


def test_loading_a_year_anew_forgets_what_was_there():
    streaks.load(MEMBER, 2027, [date(2027, 3, 1)])
    streaks.load(MEMBER, 2027, [date(2027, 3, 5)])

    assert streaks.days_of(MEMBER, 2027) == [date(2027, 3, 5)]


def test_a_year_takes_46_bytes_and_goes_after_it_is_over():
    streaks.load(MEMBER, 2027, [date(2027, 12, 31)])
    key = f"{{m:{MEMBER}}}:ci:2027"

    assert client().strlen(key) <= 46
    assert 366 * 86_400 < client().ttl(key) <= streaks.KEPT_S


def test_a_mark_keeps_the_year_for_as_long_again():
    streaks.load(MEMBER, 2027, [])
    key = f"{{m:{MEMBER}}}:ci:2027"
    client().expire(key, 10)

    streaks.mark(MEMBER, date(2027, 3, 1))

    assert client().ttl(key) > 86_400
