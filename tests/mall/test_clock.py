"""The clock: the database's time, the shop's day, and moments written as the contract says."""

import threading
import time
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import DEFAULT, Mock

import pytest

from mall import clock
from models import db
from tests.mall.books import MOMENT
from tests.mall.together import PATIENCE_S, together


def at(text):
    return datetime.fromisoformat(text)


@pytest.fixture
def fresh(app, monkeypatch):
    """A clock that has measured nothing yet."""
    monkeypatch.setattr(clock, "_offsets", {})


# now


def test_now_is_the_databases_time_in_utc(app, fresh):
    before = datetime.now(UTC)
    moment = clock.now()

    assert moment.tzinfo is UTC
    assert abs(moment - before) < timedelta(seconds=5)


def test_now_never_goes_back(app):
    moments = [clock.now() for _ in range(1000)]

    assert moments == sorted(moments)


def test_a_wrong_clock_of_the_machine_changes_nothing_between_measurements(app, fresh, monkeypatch):
    moment = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert timedelta() <= clock.now() - moment < timedelta(seconds=5)


def test_the_offset_is_measured_anew_when_it_is_old(app, fresh, monkeypatch):
    clock.now()
    (offset,) = clock._offsets.values()
    monkeypatch.setattr(clock, "_database_time_s", lambda: 1_000_000_000.0)
    assert clock.now().year > 2001

    offset.measured_at -= clock.RESYNC_S + 1

    assert clock.now() - datetime.fromtimestamp(10**9, UTC) < timedelta(seconds=5)


def test_it_is_measured_between_question_and_answer(app, fresh, monkeypatch):
    ticks = iter([100.0, 104.0])
    monkeypatch.setattr(
        clock, "time", SimpleNamespace(monotonic=lambda: next(ticks, 104.0), time=lambda: 0)
    )
    monkeypatch.setattr(clock, "_database_time_s", lambda: 1_000_000_000.0)

    assert clock.now() == datetime.fromtimestamp(10**9 + 2, UTC)


def test_nobody_is_told_a_time_before_the_first_measurement(app, fresh, monkeypatch):
    measuring, somebody_waits, real = threading.Event(), threading.Event(), clock._database_time_s
    offset = clock._Offset()
    offset.lock = Mock(wraps=offset.lock)
    clock._offsets[str(db.engine.url)] = offset

    def slowly():
        measuring.set()
        assert somebody_waits.wait(PATIENCE_S)
        return real()

    def second():
        assert measuring.wait(PATIENCE_S)
        offset.lock.acquire.side_effect = lambda **_: somebody_waits.set() or DEFAULT
        moment = clock.now()
        somebody_waits.set()
        return moment

    monkeypatch.setattr(clock, "_database_time_s", slowly)
    moments = together(app, [clock.now, second])

    assert [moment.year > 1970 for moment in moments] == [True, True]


def test_while_one_measures_again_the_others_go_by_the_last(app, fresh, monkeypatch):
    clock.now()
    (offset,) = clock._offsets.values()
    offset.measured_at -= clock.RESYNC_S + 1
    monkeypatch.setattr(clock, "_database_time_s", lambda: pytest.fail("another measures"))

    with offset.lock:
        assert clock.now().year > 2001


def test_the_sandbox_moves_the_clock(app):
    moment = clock.now()
    app.config["CLOCK_OFFSET_S"] = 86_400

    assert timedelta(days=1) <= clock.now() - moment < timedelta(days=1, seconds=5)


# the shop's day


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2027-03-01T15:59:59.999999+00:00", "2027-03-01"),
        ("2027-03-01T16:00:00+00:00", "2027-03-02"),
        ("2027-03-01T23:59:59.9+08:00", "2027-03-01"),
        ("2027-03-02T00:00:00+08:00", "2027-03-02"),
        ("2027-12-31T16:00:00+00:00", "2028-01-01"),
        ("2028-02-28T16:00:00+00:00", "2028-02-29"),
        ("2027-03-01T10:00:00-10:00", "2027-03-02"),
    ],
)
def test_the_day_is_the_shops(app, moment, day):
    assert clock.business_day(at(moment)).isoformat() == day


def test_a_day_starts_at_midnight_and_ends_where_the_next_starts(app):
    day = date(2028, 2, 28)

    assert clock.start_of_day(day) == at("2028-02-28T00:00:00+08:00")
    assert clock.end_of_day(day) == clock.start_of_day(date(2028, 2, 29))
    assert clock.business_day(clock.end_of_day(day) - MOMENT) == day
    assert clock.business_day(clock.end_of_day(day)) == date(2028, 2, 29)


def test_a_day_may_have_23_hours_where_the_shops_zone_says_so(app, monkeypatch):
    monkeypatch.setitem(app.config, "SHOP_TIMEZONE", "Europe/Berlin")
    day = date(2027, 3, 28)
    lasts = clock.end_of_day(day).astimezone(UTC) - clock.start_of_day(day).astimezone(UTC)

    assert lasts == timedelta(hours=23)


@pytest.mark.parametrize(
    ("moment", "months", "end"),
    [
        ("2027-01-15T12:00:00+08:00", 0, "2027-02-01"),
        ("2027-01-31T23:59:59+08:00", 1, "2027-03-01"),
        ("2027-01-31T16:00:00+00:00", 1, "2027-04-01"),
        ("2027-11-30T12:00:00+08:00", 1, "2028-01-01"),
        ("2027-12-31T12:00:00+08:00", 0, "2028-01-01"),
        ("2027-12-31T12:00:00+08:00", 12, "2029-01-01"),
        ("2027-02-28T12:00:00+08:00", 12, "2028-03-01"),
        ("2027-06-30T12:00:00+08:00", 30, "2030-01-01"),
    ],
)
def test_the_end_of_a_month_some_months_on(app, moment, months, end):
    assert clock.end_of_month_after(at(moment), months) == at(f"{end}T00:00:00+08:00")


@pytest.mark.parametrize(
    ("end", "day"),
    [
        ("2027-03-01T00:00:00+08:00", "2027-02-28"),
        ("2027-03-01T00:00:00.000001+08:00", "2027-03-01"),
        ("2027-03-01T12:00:00+08:00", "2027-03-01"),
        ("2027-02-28T16:00:00+00:00", "2027-02-28"),
    ],
)
def test_valid_to_is_the_last_day_before_an_end(app, end, day):
    assert clock.last_day_before(at(end)).isoformat() == day


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2027-03-01T16:00:00.999999+00:00", "2027-03-02T00:00:00+08:00"),
        ("2027-03-01T00:00:00+08:00", "2027-03-01T00:00:00+08:00"),
    ],
)
def test_a_moment_is_written_in_the_shops_zone_to_the_second(app, moment, text):
    assert clock.rfc3339(at(moment)) == text
