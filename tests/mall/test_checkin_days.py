"""Which day it is: the database's, taken once, at whatever moment the storm comes (X15, X16, X17)."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest

from mall import checkins, clock, expiry_policies
from mall.checkins import month, sign
from mall.guards import streaks
from mall.guards.client import client
from models import CheckIn, db
from tests.makers import a_key
from tests.mall.books import DAY, MOMENT, balance, rows, said, wrong
from tests.mall.together import Halt, together

MIDNIGHT = datetime(2027, 3, 1, 16, tzinfo=UTC)
DAY_S = 86_400
STORM = 50


def sign_in(member, moment):
    return said(checkins.check_in(member, key=a_key(member, None), now=moment))


# X15


@pytest.mark.parametrize("wrong_s", [DAY_S, -3600, -DAY_S])
def test_a_wrong_clock_of_the_machine_moves_no_day_no_expiry_and_no_streak(
    app, a_member, monkeypatch, wrong_s
):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite goes by the machine's clock")
    member, real = a_member(), time.time
    right = clock.business_day(clock.now())
    first = sign_in(member, clock.now())
    monkeypatch.setattr(clock, "_offsets", {})
    monkeypatch.setattr(time, "time", lambda: real() + wrong_s)

    moment = clock.now()
    again = sign_in(member, moment)

    assert abs((moment - datetime.fromtimestamp(real(), UTC)).total_seconds()) < 60
    assert clock.business_day(moment) in (right, right + DAY)
    assert again["already"] or again["day"] != first["day"]
    assert again["streak_days"] == (1 if again["already"] else 2)
    life = expiry_policies.in_force().life("base", moment)
    assert life.expires_at == clock.end_of_month_after(moment, 12)
    assert abs(clock.skew_ms() - wrong_s * 1000) < 60_000


# X16


@pytest.mark.covers("D1", "D2")
def test_a_storm_over_midnight_signs_in_once_a_day_and_counts_on(app, a_member):
    member = a_member()
    app.config["CLOCK_OFFSET_S"] = 0
    works = [lambda s=s: sign_in(member, MIDNIGHT + timedelta(milliseconds=s - STORM // 2))
             for s in range(STORM)]  # fmt: skip

    outcomes = together(app, works)

    days = {each["day"]: each["streak_days"] for each in outcomes}
    assert set(days) == {"2027-03-01", "2027-03-02"}
    kept = rows(CheckIn.day, CheckIn.streak_days, order=CheckIn.day)
    assert kept == [(date(2027, 3, 1), 1), (date(2027, 3, 2), 2)]
    assert [each["already"] for each in outcomes].count(False) == 2
    assert balance(member) == 5 + 5
    assert wrong() == []


def test_while_the_shops_clock_passes_midnight_a_storm_makes_two_days_at_most(app, a_member):
    """The clock itself moves, as CLOCK_OFFSET_S moves it for every thread."""
    member, now = a_member(), clock.now()
    to_midnight_s = (clock.end_of_day(clock.business_day(now)) - now).total_seconds()

    def work(number):
        if number == STORM // 2:
            app.config["CLOCK_OFFSET_S"] = int(to_midnight_s) + 5
        return sign_in(member, clock.now())

    app.config["CLOCK_OFFSET_S"] = int(to_midnight_s) - 60
    together(app, [lambda number=number: work(number) for number in range(STORM)])
    last = sign_in(member, clock.now())

    kept = [streak for (streak,) in rows(CheckIn.streak_days, order=CheckIn.day)]
    assert kept in ([1], [1, 2]) and last["already"]
    assert wrong() == []


def test_who_waits_past_midnight_for_a_lock_has_signed_in_on_the_day_before(
    app, a_member, monkeypatch
):
    member, halt = a_member(), Halt("late")
    monkeypatch.setattr(sign, "in_force", halt.before(sign.in_force))

    with halt.holding(app, lambda: sign_in(member, MIDNIGHT - timedelta(seconds=0.1))) as finish:
        app.config["CLOCK_OFFSET_S"] = DAY_S
        late = finish()

    assert (late["day"], late["already"]) == ("2027-03-01", False)
    assert sign_in(member, MIDNIGHT)["streak_days"] == 2


def test_a_day_before_one_that_is_signed_already_is_joined_to_it(a_member):
    """A clock that was set back: the day after is there before the day itself."""
    member = a_member()
    sign_in(member, MIDNIGHT)
    sign_in(member, MIDNIGHT + DAY)

    assert sign_in(member, MIDNIGHT - MOMENT)["streak_days"] == 1
    assert rows(CheckIn.streak_days, order=CheckIn.day) == [(1,), (2,), (3,)]
    assert wrong() == []


# X17


def bit_of(number):
    return date(2027, 3, number).timetuple().tm_yday


@pytest.mark.covers("D2")
@pytest.mark.parametrize(
    "bits",
    [
        [(bit_of(2), 0), (bit_of(9), 1)],  # lost and stray: as many days as before
        [(bit_of(1), 0), (bit_of(4), 0), (bit_of(2), 1), (bit_of(3), 1)],  # and the same sum
        [(bit_of(5), 1)],
        [(bit_of(1), 0)],
        [(0, 0)],
        [(0, 0), (bit_of(4), 0), (bit_of(5), 1)],
        [(366, 1)],
        [(bit_of(1), 0), (366, 1)],
    ],
)
def test_wrong_bits_are_noticed_in_the_request_that_meets_them(a_member, bits):
    member, key = a_member(), "{m:%s}:ci:2027"
    days = [date(2027, 3, 1), date(2027, 3, 4)]
    for day in days:
        sign_in(member, datetime(2027, 3, day.day, 4, tzinfo=UTC))
    sign_in(member, datetime(2027, 3, 2, 4, tzinfo=UTC)) if bits[0] == (bit_of(2), 0) else None
    right = month.calendar(member, date(2027, 3, 1), now=MIDNIGHT + 4 * DAY)
    for bit, value in bits:
        client().setbit(key % member, bit, value)

    seen = month.calendar(member, date(2027, 3, 1), now=MIDNIGHT + 4 * DAY)

    assert seen == right
    assert [day.isoformat() for day in streaks.days_of(member, 2027)] == right["days"]


@pytest.mark.covers("D2")
def test_a_day_that_the_year_does_not_have_stands_for_no_other(a_member):
    """Day 366 of 2027 is the first of 2028, whose number, sum and square are those of the first."""
    member, key = a_member(), "{m:%s}:ci:2027"
    for number in (1, 2):
        sign_in(member, datetime(2027, 1, number, 4, tzinfo=UTC))
    first, now = date(2027, 1, 1), datetime(2027, 1, 2, 5, tzinfo=UTC)
    right = month.calendar(member, first, now=now)
    client().setbit(key % member, 1, 0)
    client().setbit(key % member, 366, 1)

    assert month.calendar(member, first, now=now) == right
    assert right["days"] == ["2027-01-01", "2027-01-02"]


def test_a_wrong_bit_of_today_neither_pays_twice_nor_denies_the_day(a_member):
    member, key = a_member(), "{m:%s}:ci:2027"
    month.calendar(member, date(2027, 3, 1), now=MIDNIGHT)
    client().setbit(key % member, bit_of(2), 1)

    first = sign_in(member, MIDNIGHT)
    client().setbit(key % member, bit_of(2), 0)
    second = sign_in(member, MIDNIGHT)

    assert (first["already"], second["already"], balance(member)) == (False, True, 5)
