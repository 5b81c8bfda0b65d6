"""The gate before a reward: gone, wrong or stale, it costs time only."""

import pytest

from mall import atomic, clock, gates, jobs, redemptions, rewards
from mall.errors import MallError, RewardBusy, SoldOut
from mall.guards import stock
from mall.guards.client import client
from models import Reward
from tests.makers import a_key
from tests.mall.attempts import die_at_the_gate, redeem
from tests.mall.books import ask, gate, one, said, taken, trades, units_left, wrong
from tests.mall.together import together


def keep():
    gates.keep(route=redemptions.ROUTE)


def at_gate(reward, **fields):
    client().hset(f"{{rw:{reward}}}:g", mapping=fields)


# what reaches the gate


def test_a_gate_turns_the_crowd_away_without_a_transaction(a_member, a_shelf, monkeypatch):
    reward = a_shelf(units=1)
    redeem(ask(a_member(points=1), reward))
    member = a_member(points=1)
    monkeypatch.setattr(atomic, "_begin", lambda: pytest.fail("a sold-out answer writes nothing"))

    with pytest.raises(SoldOut):
        redeem(ask(member, reward))


@pytest.mark.covers("E3")
def test_units_held_for_others_are_none_of_those_left(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=3)
    at_gate(reward, avail=0)

    told = []
    for quantity in (1, 2):
        with pytest.raises(SoldOut) as refusal:
            redeem(ask(member, reward, quantity))
        told.append(refusal.value.details)

    assert told == [{"units_left": 0}, {"units_left": 1}], "never that enough were left"


def test_a_gate_counts_down_and_up_with_a_members_limit(app, a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=9, per_member_limit=2)
    redeem(ask(member, reward, 2))
    trade = said(redeem(ask(a_member(points=9), reward)))["id"]
    counts = f"{{rw:{reward}}}:m:ever"

    assert client().hget(counts, str(member)) == "2"
    together(
        app, [lambda: redemptions.cancel(member, trade - 1, key=a_key(member), now=clock.now())]
    )

    assert client().hget(counts, str(member)) == "0"
    assert taken(member, reward) == 0 and gate(reward) == (8, 0)


# absent, stale, wrong


@pytest.mark.covers("E3")
def test_a_gate_that_is_gone_is_rebuilt_by_who_comes_next(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=3, per_member_limit=2)
    redeem(ask(member, reward))
    client().flushall()

    redeem(ask(member, reward))
    with pytest.raises(MallError):
        redeem(ask(member, reward))

    assert gate(reward) == (1, 0) and units_left(reward) == 1 and wrong() == []


def test_a_rebuilt_gate_knows_what_each_member_has_taken(a_member, a_shelf):
    member, other, reward = a_member(points=9), a_member(points=9), a_shelf(per_member_limit=2)
    redeem(ask(member, reward, 2))
    client().flushall()
    gates.rebuild(reward)

    counts = client().hgetall(f"{{rw:{reward}}}:m:ever")

    assert counts == {str(member): "2"}
    assert redeem(ask(other, reward, 2)).status == 201


@pytest.mark.covers("E3")
def test_a_gate_that_believes_in_too_many_units_is_corrected_by_sql(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=1)
    at_gate(reward, avail=100)

    assert redeem(ask(member, reward)).status == 201
    with pytest.raises(SoldOut):
        redeem(ask(member, reward))

    assert trades() == 1 and units_left(reward) == 0 and wrong() == []


def test_a_gate_of_an_older_epoch_is_rebuilt_before_anybody_passes(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=1)
    version = one(Reward.version, Reward.id == reward)
    rewards.change(reward, {"per_member_limit": 1}, version=version)

    redeem(ask(member, reward))

    assert stock.look(reward).epoch == one(Reward.epoch, Reward.id == reward)
    assert gate(reward) == (0, 0)


def test_a_closed_gate_lets_nobody_pass_until_it_is_rebuilt(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(units=1)
    at_gate(reward, state="closed")
    assert stock.look(reward) is None

    assert redeem(ask(member, reward)).status == 201
    assert gate(reward) == (0, 0)


def test_only_one_builds_a_gate_at_a_time(a_reward):
    reward = a_reward(units=1).id
    assert stock.builder(reward)

    assert not gates.rebuild(reward)
    assert gate(reward) is None

    stock.builder_done(reward)
    assert gates.rebuild(reward) and gate(reward) == (1, 0)


def test_a_hot_reward_whose_gate_somebody_else_builds_is_busy(a_member, a_reward):
    reward = a_reward(units=1, hot=True).id
    stock.builder(reward)

    with pytest.raises(RewardBusy):
        redeem(ask(a_member(points=100), reward))


# the keeper


def test_the_keeper_opens_gates_that_are_absent(a_reward):
    shown, hidden = a_reward(units=2).id, a_reward(units=2, published=False).id

    keep()

    assert gate(shown) == (2, 0) and gate(hidden) is None


@pytest.mark.parametrize("avail", [9, 0])
def test_the_keeper_mends_a_drift_that_it_sees_twice(a_shelf, avail):
    reward = a_shelf(units=5)
    at_gate(reward, avail=avail)

    keep()
    assert gate(reward) == (avail, 0), "a lone sighting may be a request in flight"
    keep()

    assert gate(reward) == (5, 0)


def test_a_drift_that_has_gone_is_forgotten(a_shelf):
    reward = a_shelf(units=5)
    for avail in (9, 5, 9):
        at_gate(reward, avail=avail)
        keep()

    assert gate(reward) == (9, 0)


def test_a_gate_with_leases_is_not_called_wrong(a_member, a_shelf):
    reward = a_shelf(units=5)
    die_at_the_gate(ask(a_member(points=1), reward))

    keep()
    keep()

    assert gate(reward) == (4, 1)


def test_the_keeper_rests_while_redis_is_away(a_shelf, dead_redis, caplog):
    reward = a_shelf(units=5)
    dead_redis.die()

    assert jobs.keep_gates() == 0

    dead_redis.live()
    assert gate(reward) == (5, 0)


def test_the_keeper_reaps(a_member, a_shelf, overdue):
    reward = a_shelf(units=1)
    die_at_the_gate(ask(a_member(points=1), reward))

    assert jobs.keep_gates() == 0

    assert gate(reward) == (1, 0)
