"""Limits by the day, week and month: what is taken in a period is given back to that very period."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mall import clock, gates, jobs, redemptions, rewards
from mall.errors import LimitReached
from mall.guards import stock
from mall.guards.client import client
from models import LimitCounter, Redemption, Reward
from tests.makers import a_key
from tests.mall.books import MOMENT, ask, gate, one, rows, said, units_left, wrong

MIDNIGHT = datetime(2026, 12, 1, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)  # a Tuesday
EVENING = MIDNIGHT - timedelta(minutes=1)
PERIODS = {"day": "2026-11-30", "week": "2026-W49", "month": "2026-11", "ever": "ever"}


@pytest.fixture
def at(app, monkeypatch):
    """Set the shop's clock."""

    def set_to(moment):
        monkeypatch.setattr(clock, "now", lambda: moment)
        return moment

    return set_to


def redeem(member, reward, now, quantity=1):
    return redemptions.redeem(ask(member, reward, quantity), now=now)


def counted(reward):
    """(period, units) that SQL counts, and that the gate counts."""
    counter = LimitCounter
    where = [counter.reward_id == reward]
    in_sql = rows(counter.period, counter.quantity, where=where, order=counter.period)
    prefix = f"{{rw:{reward}}}:m:"
    at_gate = [
        (key.removeprefix(prefix), sum(int(n) for n in client().hvals(key)))
        for key in sorted(client().keys(prefix + "*"))
    ]
    return in_sql, at_gate


@pytest.mark.covers("E4")
@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
@pytest.mark.parametrize(("kind", "again"), [("day", True), ("week", False), ("month", True)])
def test_a_limit_begins_anew_with_its_period(
    a_member, a_reward, dead_redis, at, kind, again, with_gate
):
    """30 November and 1 December 2026 lie in one week and in two months."""
    member = a_member(points=900)
    reward = a_reward(per_member_limit=1, limit_period=kind, units=9).id
    at(EVENING)
    if with_gate:
        gates.rebuild(reward)
    else:
        dead_redis.die()
    redeem(member, reward, EVENING)

    with pytest.raises(LimitReached) as refusal:
        redeem(member, reward, MIDNIGHT - MOMENT)

    assert refusal.value.details == {"limit": 1, "period": kind}
    if again:
        assert redeem(member, reward, MIDNIGHT).status == 201
    else:
        with pytest.raises(LimitReached):
            redeem(member, reward, MIDNIGHT)
    assert one(Redemption.period, Redemption.id == 1) == PERIODS[kind]
    assert wrong() == []


@pytest.mark.parametrize("kind", ["day", "month"])
def test_what_is_cancelled_after_midnight_is_given_back_to_the_day_before(
    a_member, a_reward, at, kind
):
    member = a_member(points=900)
    reward = a_reward(per_member_limit=2, limit_period=kind, units=9).id
    at(EVENING)
    gates.rebuild(reward)
    old = said(redeem(member, reward, EVENING, 2))["id"]
    redeem(member, reward, at(MIDNIGHT), 2)

    redemptions.cancel(member, old, key=a_key(member), now=MIDNIGHT)

    today = {"day": "2026-12-01", "month": "2026-12"}[kind]
    expected = [(PERIODS[kind], 0), (today, 2)]
    assert counted(reward) == (expected, expected)
    with pytest.raises(LimitReached):
        redeem(member, reward, MIDNIGHT)
    assert (gate(reward), wrong()) == ((7, 0), [])


def test_a_cancellation_told_later_is_given_back_to_its_own_day(a_member, a_reward, at, dead_redis):
    member, reward = a_member(points=900), a_reward(per_member_limit=2, limit_period="day").id
    at(EVENING)
    gates.rebuild(reward)
    trade = said(redeem(member, reward, EVENING, 2))["id"]
    redeem(member, reward, at(MIDNIGHT), 1)
    dead_redis.die()
    redemptions.cancel(member, trade, key=a_key(member), now=MIDNIGHT)
    dead_redis.live()

    jobs.drain_events()

    assert counted(reward)[1] == [("2026-11-30", 0), ("2026-12-01", 1)]
    assert gate(reward) == (9, 0)


def die_at_the_gate(member, reward, quantity, period):
    request = ask(member, reward, quantity)
    asked = stock.Ask(member, request.token, quantity)
    epoch = one(Reward.epoch, Reward.id == reward)
    stock.reserve_many(reward, [asked], epoch=epoch, limit=9, period=period)
    return request


def test_a_lease_reaped_after_midnight_is_released_in_its_own_period(
    a_member, a_reward, at, monkeypatch
):
    monkeypatch.setattr(stock, "LEASE_MS", -1)
    member, reward = a_member(points=9), a_reward(per_member_limit=9, limit_period="day").id
    at(EVENING)
    gates.rebuild(reward)
    die_at_the_gate(member, reward, 2, "2026-11-30")
    die_at_the_gate(member, reward, 3, "2026-12-01")

    assert gates.reap(reward, route=redemptions.ROUTE, now=at(MIDNIGHT)) == 2

    assert counted(reward)[1] == [("2026-11-30", 0), ("2026-12-01", 0)]
    assert gate(reward) == (10, 0)


def test_a_lease_of_yesterday_is_not_adopted_today(a_member, a_reward, at, monkeypatch):
    """Its units count in another period; it ends by itself, and the retry is granted then."""
    monkeypatch.setattr(stock, "ADOPT_MS", 0)
    monkeypatch.setattr(stock, "LEASE_MS", -1)
    member = a_member(points=900)
    reward = a_reward(per_member_limit=9, limit_period="day").id
    at(EVENING)
    gates.rebuild(reward)
    request = die_at_the_gate(member, reward, 1, "2026-11-30")

    with pytest.raises(Exception, match="idempotency_key_in_progress"):
        redemptions.redeem(request, now=at(MIDNIGHT))
    gates.reap(reward, route=redemptions.ROUTE, now=MIDNIGHT)

    assert redemptions.redeem(request, now=MIDNIGHT).status == 201
    assert counted(reward)[0] == [("2026-12-01", 1)]


def test_a_rebuilt_gate_knows_what_was_taken_in_the_period_that_runs(a_member, a_reward, at):
    member = a_member(points=900)
    reward = a_reward(per_member_limit=2, limit_period="day").id
    redeem(member, reward, at(EVENING), 2)
    redeem(member, reward, at(MIDNIGHT), 1)
    client().flushall()

    gates.rebuild(reward)

    assert counted(reward)[1] == [("2026-12-01", 1)]


@pytest.mark.parametrize("built", ["before", "after"])
def test_a_periods_counts_go_two_days_after_its_end_and_those_of_ever_stay(
    a_member, a_reward, built
):
    now = clock.now()
    member, life = a_member(points=900), {}
    for kind in ("day", "ever"):
        reward = a_reward(price_points=1, per_member_limit=2, limit_period=kind).id
        redeem(member, reward, now)
        if built == "after":
            client().flushall()
            gates.rebuild(reward)
        (counts,) = client().keys(f"{{rw:{reward}}}:m:*")
        life[kind] = client().ttl(counts)

    end = clock.end_of_day(clock.business_day(now)) + timedelta(days=2)
    assert life["ever"] == -1
    assert abs(life["day"] - (end - now).total_seconds()) < 60


def test_counts_that_have_gone_are_not_brought_back_by_a_cancellation(a_member, a_reward, at):
    member, reward = a_member(points=900), a_reward(per_member_limit=2, limit_period="day").id
    trade = said(redeem(member, reward, at(EVENING)))["id"]
    client().delete(f"{{rw:{reward}}}:m:2026-11-30")

    redemptions.cancel(member, trade, key=a_key(member), now=at(MIDNIGHT))

    assert counted(reward)[1] == [] and gate(reward) == (10, 0)


def test_another_period_begins_another_count_under_another_gate(a_member, a_reward, at):
    member, reward = a_member(points=900), a_reward(per_member_limit=1).id
    redeem(member, reward, at(EVENING))
    epoch = one(Reward.epoch, Reward.id == reward)

    rewards.change(reward, {"limit_period": "day"}, version=1)

    assert one(Reward.epoch, Reward.id == reward) == epoch + 1
    redeem(member, reward, EVENING)
    with pytest.raises(LimitReached):
        redeem(member, reward, EVENING)
    assert units_left(reward) == 8 and wrong() == []
