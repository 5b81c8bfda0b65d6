"""Until when points live: months' ends, leap days, quarters, fixed dates, the shop's own zone."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mall import clock, expiry_policies
from mall.expiry_policies.terms import ACTS, Terms, bits, read

days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
units = st.sampled_from(["day", "month", "year"])
roundings = st.sampled_from(["day", "month", "quarter", "year"])


def rolling(lasts, unit, round_up_to="day"):
    return Terms("rolling", lasts=lasts, unit=unit, round_up_to=round_up_to)


@pytest.mark.covers("C9")
@pytest.mark.parametrize(
    ("terms", "earned", "last"),
    [
        (rolling(30, "day"), date(2026, 2, 10), date(2026, 3, 12)),
        (rolling(1, "month"), date(2026, 1, 31), date(2026, 2, 28)),
        (rolling(1, "month"), date(2028, 1, 31), date(2028, 2, 29)),
        (rolling(13, "month"), date(2026, 12, 31), date(2028, 1, 31)),
        (rolling(1, "year"), date(2028, 2, 29), date(2029, 2, 28)),
        (rolling(4, "year"), date(2028, 2, 29), date(2032, 2, 29)),
        (rolling(12, "month", "month"), date(2026, 2, 1), date(2027, 2, 28)),
        (rolling(1, "month", "quarter"), date(2026, 2, 28), date(2026, 3, 31)),
        (rolling(1, "day", "quarter"), date(2026, 9, 30), date(2026, 12, 31)),
        (rolling(1, "year", "year"), date(2026, 1, 1), date(2027, 12, 31)),
        (Terms("fixed", dates=("12-31",)), date(2026, 12, 30), date(2026, 12, 31)),
        (Terms("fixed", dates=("12-31",)), date(2026, 12, 31), date(2027, 12, 31)),
        (Terms("fixed", dates=("12-31", "06-30")), date(2026, 6, 29), date(2026, 6, 30)),
        (Terms("fixed", dates=("06-30",), min_days=90), date(2026, 4, 2), date(2027, 6, 30)),
        (Terms("fixed", dates=("02-29",)), date(2026, 3, 1), date(2027, 2, 28)),
        (Terms("fixed", dates=("02-29",)), date(2027, 3, 1), date(2028, 2, 29)),
        (Terms("inactivity", days=365), date(2027, 3, 1), date(2028, 2, 29)),
        (Terms("never"), date(2026, 1, 1), None),
    ],
)
def test_the_last_day_is_what_a_calendar_says(terms, earned, last):
    assert terms.last_day(earned) == last


@given(earned=days, lasts=st.integers(1, 120), round_up_to=roundings)
def test_months_later_is_the_same_day_of_its_month_or_the_months_last(earned, lasts, round_up_to):
    last = rolling(lasts, "month", round_up_to).last_day(earned)

    months = (last.year - earned.year) * 12 + last.month - earned.month
    if round_up_to == "day":
        assert months == lasts
        assert last.day == min(earned.day, monthrange(last.year, last.month)[1])
    else:
        size = {"month": 1, "quarter": 3, "year": 12}[round_up_to]
        assert lasts <= months < lasts + size
        assert last.month % size == 0 and (last + timedelta(days=1)).day == 1


@given(earned=days, later=st.integers(0, 400), lasts=st.integers(1, 60), unit=units, to=roundings)
def test_what_is_earned_later_never_ends_earlier(earned, later, lasts, unit, to):
    terms = rolling(lasts, unit, to)

    first, second = (terms.last_day(earned + timedelta(days=n)) for n in (0, later))

    assert earned < first <= second


@given(earned=days, dates=st.lists(days, min_size=1, max_size=20), least=st.integers(0, 800))
def test_fixed_dates_are_the_next_one_that_is_far_enough(earned, dates, least):
    texts = tuple(f"{day:%m-%d}" for day in dates)

    last = Terms("fixed", dates=texts, min_days=least).last_day(earned)

    first = earned + timedelta(days=least)
    assert first <= last <= first + timedelta(days=366)
    named = {f"{last:%m-%d}"} | ({"02-29"} if f"{last:%m-%d}" == "02-28" else set())
    assert named & set(texts)
    between = [first + timedelta(days=n) for n in range((last - first).days)]
    assert not {f"{day:%m-%d}" for day in between} & set(texts)


@given(earned=days, idle=st.integers(1, 3_650))
def test_inactivity_counts_whole_days(earned, idle):
    terms = Terms("inactivity", days=idle, resets=frozenset(ACTS))

    assert (terms.last_day(earned) - earned).days == idle == terms.idle_days
    assert terms.kept_by == bits(ACTS) == 15


@pytest.mark.parametrize(
    ("zone", "at", "ends"),
    [
        ("Asia/Shanghai", datetime(2026, 1, 31, 15, 59, tzinfo=UTC), "2026-02-28T16:00:00+00:00"),
        ("Asia/Shanghai", datetime(2026, 1, 31, 16, 0, tzinfo=UTC), "2026-03-31T16:00:00+00:00"),
        ("America/New_York", datetime(2026, 3, 1, 4, 0, tzinfo=UTC), "2026-04-01T04:00:00+00:00"),
    ],
)
@pytest.mark.covers("C9")
def test_the_day_is_the_shops_and_its_end_too(app, monkeypatch, zone, at, ends):
    """New York: still 28 February there, and the last day of March ends in summer time."""
    monkeypatch.setitem(app.config, "SHOP_TIMEZONE", zone)
    terms = rolling(1, "month", "month")
    policies = expiry_policies.Policies(1, terms)

    life = policies.life("base", at)

    assert life.expires_at.astimezone(UTC) == datetime.fromisoformat(ends)
    assert clock.last_day_before(life.expires_at) == terms.last_day(clock.business_day(at))


def test_terms_are_read_as_they_were_kept():
    kept = {"kind": "fixed", "dates": ["12-31"], "min_days": 3}

    assert read(kept) == Terms("fixed", dates=("12-31",), min_days=3)
    assert read({"kind": "inactivity", "days": 9, "resets": ["earn"]}).kept_by == 1
