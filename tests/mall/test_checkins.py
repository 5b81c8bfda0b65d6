"""Check-ins: one a business day, a ladder that wraps, a streak that neither Redis nor a clock breaks."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import checkins, clock, idempotency
from mall.checkins import month, sign
from mall.errors import MemberClosed, NotFound
from mall.guards import streaks
from mall.guards.client import client
from mall.idempotency import Replayed
from models import Account, CheckIn, CheckInRule, Event, LedgerEntry, db
from tests.makers import a_key
from tests.mall.books import DAY, MOMENT, balance, by_hand, count, entries, rows, said, wrong
from tests.mall.together import together

MARCH = datetime(2027, 3, 1, 4, 0, tzinfo=UTC)  # noon in Shanghai
LADDER = [5, 5, 10, 10, 15, 15, 20]
BONUS = 50


@pytest.fixture
def sign_in(app):
    """Sign in at a moment; each time with a key of its own, unless told."""

    def at(member, moment, key=None):
        return checkins.check_in(member, key=key or a_key(member, None), now=moment)

    return at


def on(day: str, hour=12):
    """A moment of a shop's day."""
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00+08:00")


def streak(member, moment):
    today = clock.business_day(moment)
    return checkins.calendar(member, today.replace(day=1), now=moment)["streak_days"]


# once a day


@pytest.mark.covers("D1")
def test_fifty_at_once_sign_in_once_and_are_paid_once(app, a_member, sign_in):
    """PEERS 9, 17: the last record is read, then one inserted, and nothing makes the day unique."""
    member = a_member()

    outcomes = together(app, [lambda: sign_in(member, MARCH)] * 50)

    assert sorted(each.status for each in outcomes) == [200] * 49 + [201]
    assert len({said(each)["points_awarded"] for each in outcomes}) == 1
    assert [said(each)["already"] for each in outcomes].count(False) == 1
    assert count(CheckIn) == 1 and balance(member) == LADDER[0]
    assert count(Event, Event.kind == "checked_in") == 1
    assert wrong() == []


def test_the_second_time_says_the_same_and_that_it_is_the_second(a_member, sign_in):
    member = a_member()
    first, again = sign_in(member, MARCH), sign_in(member, MARCH + timedelta(hours=2))

    assert (first.status, again.status) == (201, 200)
    assert said(first) == {
        "day": "2027-03-01",
        "streak_days": 1,
        "points_awarded": 5,
        "bonus_points": 0,
        "next_bonus": {"in_days": 6, "points": 50},
        "already": False,
    }
    assert said(again) == {**said(first), "already": True}


def test_a_key_gets_its_own_answer_again_even_after_midnight(a_member, sign_in):
    member = a_member()
    key = a_key(member, route="POST /me/checkins")
    first = sign_in(member, MARCH, key)

    with pytest.raises(Replayed) as twin:
        sign_in(member, MARCH + DAY, key)

    assert twin.value.answer.body == first.body and count(CheckIn) == 1


def test_a_key_used_for_the_second_time_of_a_day_is_kept_too(a_member, sign_in):
    member, key = a_member(), None
    sign_in(member, MARCH)
    key = a_key(member, route="POST /me/checkins")
    again = sign_in(member, MARCH, key)

    assert again.status == 200 and idempotency.find(key).body == again.body


def test_the_day_ends_at_midnight_in_shanghai(a_member, sign_in):
    member, midnight = a_member(), datetime(2027, 3, 1, 16, 0, tzinfo=UTC)

    before = sign_in(member, midnight - timedelta(seconds=0.1))
    last = sign_in(member, midnight - MOMENT)
    after = sign_in(member, midnight)

    assert [said(each)["day"] for each in (before, last, after)] == [
        "2027-03-01",
        "2027-03-01",
        "2027-03-02",
    ]
    assert [said(each)["already"] for each in (before, last, after)] == [False, True, False]
    assert said(after)["streak_days"] == 2


def test_another_shops_midnight_is_its_own(app, a_member, sign_in, monkeypatch):
    monkeypatch.setitem(app.config, "SHOP_TIMEZONE", "America/New_York")

    answer = sign_in(a_member(), datetime(2027, 3, 2, 4, 59, tzinfo=UTC))

    assert said(answer)["day"] == "2027-03-01"


def test_the_database_itself_refuses_a_second_row_of_a_day(a_member, sign_in):
    member = a_member()
    sign_in(member, MARCH)
    row = {"member_id": member, "day": date(2027, 3, 1), "created_at": MARCH}

    with pytest.raises(sa.exc.IntegrityError):
        by_hand(sa.insert(CheckIn).values(**row, streak_days=9, points_awarded=9, bonus_points=0))


def test_each_part_of_the_pay_is_an_entry_that_says_why(a_member, sign_in):
    member = a_member()
    by_hand(sa.update(CheckInRule).values(bonus_points=7))

    sign_in(member, MARCH)

    assert entries(member) == [("check_in", 5, 5), ("check_in_bonus", 7, 12)]
    assert set(rows(LedgerEntry.rule, LedgerEntry.ref_id)) == {
        ("连签第1天 v1", f"{member}:2027-03-01"),
        ("连签第1天 v1", f"{member}:2027-03-01:1"),
    }


def test_nobody_signs_in_for_an_account_that_is_closed_or_is_none(a_member, sign_in):
    member = a_member()
    by_hand(sa.update(Account).values(state="closed"))

    with pytest.raises(MemberClosed):
        sign_in(member, MARCH)
    with pytest.raises(NotFound):
        sign_in(404, MARCH)

    assert count(CheckIn) == 0


# the ladder


@pytest.mark.covers("D2")
def test_seven_days_climb_the_ladder_and_the_eighth_starts_it_over(a_member, sign_in):
    """PEERS 9: the reward for seven days came on the eighth, or never."""
    member = a_member()

    days = [said(sign_in(member, MARCH + n * DAY)) for n in range(15)]

    assert [each["streak_days"] for each in days] == list(range(1, 16))
    assert [each["points_awarded"] for each in days] == (LADDER * 3)[:15]
    assert [n for n, each in enumerate(days, 1) if each["bonus_points"]] == [7, 14]
    assert [each["next_bonus"]["in_days"] for each in days[:8]] == [6, 5, 4, 3, 2, 1, 7, 6]
    assert balance(member) == sum((LADDER * 3)[:15]) + 2 * BONUS
    assert wrong() == []


@pytest.mark.covers("D2")
def test_a_day_missed_starts_the_streak_over(a_member, sign_in):
    member = a_member()
    for n in (0, 1, 2):
        sign_in(member, MARCH + n * DAY)

    after_gap = said(sign_in(member, MARCH + 4 * DAY))

    assert (after_gap["streak_days"], after_gap["points_awarded"]) == (1, 5)
    seen = checkins.calendar(member, date(2027, 3, 1), now=MARCH + 4 * DAY)
    assert (seen["streak_days"], seen["longest_streak_days"]) == (1, 3)


@pytest.mark.parametrize(
    "days",
    [
        ["2027-01-30", "2027-01-31", "2027-02-01"],
        ["2027-12-31", "2028-01-01", "2028-01-02"],
        ["2028-02-28", "2028-02-29", "2028-03-01"],
        ["2027-02-27", "2027-02-28", "2027-03-01"],
        ["2028-12-30", "2028-12-31", "2029-01-01"],
    ],
)
def test_a_streak_runs_over_the_ends_of_months_and_years(a_member, sign_in, days):
    member = a_member()

    streaks_seen = [said(sign_in(member, on(day)))["streak_days"] for day in days]

    assert streaks_seen == [1, 2, 3]
    first = date.fromisoformat(days[0]).replace(day=1)
    for _ in range(2):
        found = checkins.calendar(member, first, now=on(days[-1]))
        assert found["days"] == [day for day in days if day.startswith(f"{first:%Y-%m}")]


def test_the_29th_of_february_is_missed_where_there_is_one(a_member, sign_in):
    member = a_member()
    sign_in(member, on("2028-02-28"))

    assert said(sign_in(member, on("2028-03-01")))["streak_days"] == 1


def test_a_streak_lasts_through_the_day_after_and_no_longer(a_member, sign_in):
    member = a_member()
    sign_in(member, MARCH)

    assert [streak(member, MARCH + n * DAY) for n in range(3)] == [1, 1, 0]


def test_a_shop_without_a_ladder_pays_nothing_and_does_not_break(a_member, sign_in):
    """PEERS 17: signing in failed with a null error while no rule was enabled."""
    member = a_member()
    by_hand(sa.delete(CheckInRule))

    answer = said(sign_in(member, MARCH))

    assert (answer["points_awarded"], answer["next_bonus"], answer["streak_days"]) == (0, None, 1)
    assert entries(member) == [] and count(CheckIn) == 1


def test_a_ladder_without_a_bonus_promises_none(a_member, sign_in):
    by_hand(sa.update(CheckInRule).values(bonus_points=0))

    assert said(sign_in(a_member(), MARCH))["next_bonus"] is None


# Redis


def calendar(member, moment=MARCH):
    return checkins.calendar(member, date(2027, 3, 1), now=moment)


@pytest.fixture
def a_month(a_member, sign_in):
    """A member who signed in on some days of March 2027."""
    member = a_member()
    for n in (0, 1, 2, 5, 6):
        sign_in(member, MARCH + n * DAY)
    return member


DAYS = ["2027-03-01", "2027-03-02", "2027-03-03", "2027-03-06", "2027-03-07"]


@pytest.mark.covers("D2")
def test_redis_emptied_shows_the_same_calendar_and_streak(a_month):
    seen = calendar(a_month, MARCH + 6 * DAY)
    client().flushall()

    assert calendar(a_month, MARCH + 6 * DAY) == seen
    assert calendar(a_month, MARCH + 6 * DAY) == seen, "and from what Redis has learnt"
    assert seen["days"] == DAYS
    assert (seen["streak_days"], seen["longest_streak_days"]) == (2, 3)


def test_a_month_of_another_year_is_empty_and_a_month_of_this_its_own(a_month, sign_in):
    sign_in(a_month, on("2027-04-09"))

    def days(first):
        return checkins.calendar(a_month, first, now=MARCH)["days"]

    assert days(date(2027, 4, 1)) == ["2027-04-09"]
    assert days(date(2027, 5, 1)) == days(date(2026, 3, 1)) == []


def test_once_loaded_a_year_is_kept_up_to_date_by_each_sign_in(a_month, sign_in, monkeypatch):
    calendar(a_month)
    sign_in(a_month, MARCH + 8 * DAY)
    monkeypatch.setattr(month, "_days_in_sql", lambda *_: pytest.fail("Redis knows"))

    assert calendar(a_month)["days"] == [*DAYS, "2027-03-09"]


def test_a_stray_bit_denies_nobody_the_day(a_member, sign_in):
    member = a_member()
    streaks.load(member, 2027, [date(2027, 3, 1)])

    assert sign_in(member, MARCH).status == 201
    assert balance(member) == 5


def test_a_lost_bit_pays_nobody_twice(a_month, sign_in):
    client().setbit(f"{{m:{a_month}}}:ci:2027", 66, 0)

    again = sign_in(a_month, MARCH + 6 * DAY)

    assert again.status == 200 and count(CheckIn) == 5


@pytest.mark.parametrize(("bit", "value"), [(61, 0), (90, 1)])
def test_a_wrong_bit_is_seen_and_mended_by_the_calendar(a_month, bit, value):
    calendar(a_month)
    client().setbit(f"{{m:{a_month}}}:ci:2027", bit, value)

    assert calendar(a_month)["days"] == DAYS
    assert [day.isoformat() for day in streaks.days_of(a_month, 2027)] == DAYS


def test_a_mark_that_redis_did_not_take_is_not_missing_from_the_calendar(
    a_month, sign_in, dead_redis
):
    calendar(a_month)
    dead_redis.die()
    assert sign_in(a_month, MARCH + 8 * DAY).status == 201
    assert calendar(a_month)["days"] == [*DAYS, "2027-03-09"]
    dead_redis.live()

    assert calendar(a_month)["days"] == [*DAYS, "2027-03-09"]


def test_without_redis_a_day_is_signed_in_once_all_the_same(a_member, sign_in, dead_redis):
    member = a_member()
    dead_redis.die()

    assert [sign_in(member, MARCH).status for _ in range(2)] == [201, 200]
    assert balance(member) == 5


def test_redis_answers_already_without_a_transaction(a_month, sign_in, monkeypatch):
    calendar(a_month)
    sign_in(a_month, MARCH + 8 * DAY)
    begin = sign.atomic
    monkeypatch.setattr(sign, "atomic", lambda: pytest.fail("nothing is to be written"))

    assert sign_in(a_month, MARCH + 8 * DAY).status == 200
    assert begin is not sign.atomic


def test_what_happened_is_told(a_member, sign_in):
    member = a_member()
    sign_in(member, MARCH)
    db.session.rollback()

    told = rows(Event.member_id, Event.payload, where=[Event.kind == "checked_in"])
    assert told == [(member, {"day": "2027-03-01", "streak_days": 1})]
    assert json.dumps(told[0][1])
