"""Redemptions when everybody comes at once: never a unit too many, never a point astray."""

import threading
from collections import Counter
from importlib import import_module

import pytest
import sqlalchemy as sa

from mall import clock, gates, redemptions
from mall.errors import (
    KeyInProgress,
    LimitReached,
    MallError,
    NotEnoughPoints,
    RewardBusy,
    SoldOut,
    Unavailable,
)
from mall.guards import stock
from mall.guards.client import client
from mall.idempotency import Answer
from models import Account, LedgerEntry, Redemption, Reward, Voucher, db
from tests.makers import a_key
from tests.mall.books import (
    ask,
    balance,
    count,
    gate,
    one,
    rows,
    said,
    taken,
    trades,
    units_left,
    wrong,
)
from tests.mall.together import Halt, together

path = import_module("mall.redemptions.redeem")  # whose name is also its verb's

TRIES = 20


def patiently(request):
    """Redeem as a client does: where the shop is busy, ask again with the same key."""
    for _ in range(TRIES):
        try:
            return redemptions.redeem(request, now=clock.now())
        except RewardBusy:
            raise
        except Unavailable as busy:
            last = busy
    raise last


@pytest.fixture
def redeem(app, monkeypatch):
    """Redeem for each of some requests, all at the same moment; where SQL is alone, they wait."""
    monkeypatch.setattr(path, "SQL_ALONE_WAIT_S", 30)

    def all_at_once(requests):
        return together(app, [lambda each=each: patiently(each) for each in requests])

    return all_at_once


def kinds(outcomes):
    return Counter(
        "granted" if isinstance(each, Answer) else type(each).__name__ for each in outcomes
    )


def settled():
    """Two rounds of the keeper: what is left over is swept, what has drifted is rebuilt."""
    gates.keep(route=redemptions.ROUTE)
    gates.keep(route=redemptions.ROUTE)


@pytest.mark.covers("E2", "E3")
@pytest.mark.parametrize("gate_is", ["open", "absent"])
def test_two_hundred_shoppers_at_ten_units_make_ten_redemptions(
    a_member, a_reward, redeem, gate_is
):
    """PEERS 3, 27, 28: no unit twice, no code twice, though all read the same shelf at once."""
    reward = a_reward(price_points=100, units=10, per_member_limit=1).id
    members = [a_member(points=150) for _ in range(200)]
    if gate_is == "open":
        gates.rebuild(reward)

    outcomes = redeem([ask(member, reward) for member in members])

    assert kinds(outcomes) == {"granted": 10, "SoldOut": 190}
    assert Counter(balance(member) for member in members) == {50: 10, 150: 190}
    assert rows(Reward.units_left, Reward.units_promised) == [(0, 10)]
    assert count(Voucher) == 10 and wrong() == []
    if gate_is == "absent":
        settled()
    assert gate(reward) == (0, 0)


def test_a_hot_reward_is_not_oversold_while_its_gate_is_built(a_member, a_reward, redeem):
    reward = a_reward(price_points=1, units=5, hot=True).id
    members = [a_member(points=1) for _ in range(60)]

    found = kinds(redeem([ask(member, reward) for member in members]))

    assert found["granted"] <= 5
    assert set(found) <= {"granted", "SoldOut", "RewardBusy"}
    assert units_left(reward) == 5 - found["granted"]
    settled()
    assert gate(reward) == (units_left(reward), 0) and wrong() == []


@pytest.mark.covers("E2")
def test_fifty_requests_on_funds_for_ten_make_ten_redemptions(a_member, a_reward, redeem):
    """PEERS 14, 15, 33: a balance read before the lock, or an UPDATE without a condition."""
    member, reward = a_member(points=1009), a_reward(price_points=100, units=90).id
    gates.rebuild(reward)

    outcomes = redeem([ask(member, reward) for _ in range(50)])

    assert kinds(outcomes) == {"granted": 10, "NotEnoughPoints": 40}
    assert balance(member) == 9
    assert (units_left(reward), gate(reward)) == (80, (80, 0))
    assert {each.details["short_by"] for each in outcomes if isinstance(each, MallError)} == {91}
    assert wrong() == []


@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_a_limit_holds_under_twenty_requests_of_one_member(
    a_member, a_reward, redeem, dead_redis, with_gate
):
    """PEERS 19, 31: a limit that is counted first and inserted afterwards."""
    member, reward = a_member(points=9000), a_reward(per_member_limit=3, units=50).id
    if not with_gate:
        dead_redis.die()

    outcomes = redeem([ask(member, reward) for _ in range(20)])

    assert kinds(outcomes) == {"granted": 3, "LimitReached": 17}
    assert taken(member, reward) == 3 and units_left(reward) == 47
    assert wrong() == []


@pytest.mark.parametrize("columns", [{"units": 1}, {"units": 9, "per_member_limit": 1}])
def test_one_key_thirty_times_has_one_effect_and_one_answer(a_member, a_reward, redeem, columns):
    member, reward = a_member(points=9000), a_reward(**columns).id
    gates.rebuild(reward)
    request = ask(member, reward, key=a_key(member))

    outcomes = redeem([request] * 30)

    answers = [each for each in outcomes if isinstance(each, Answer)]
    assert {type(each) for each in outcomes} <= {Answer, KeyInProgress}
    assert len({each.body for each in answers}) == 1
    assert [each.replayed for each in answers].count(False) == 1
    assert trades() == count(Voucher) == 1
    assert gate(reward) == (columns["units"] - 1, 0)
    assert wrong() == []


def test_one_key_without_a_gate_has_one_effect_too(a_member, a_reward, redeem, dead_redis):
    member, reward = a_member(points=9000), a_reward(units=9).id
    dead_redis.die()

    outcomes = redeem([ask(member, reward, key=a_key(member))] * 20)

    assert {each.status for each in outcomes} == {201}
    assert len({each.body for each in outcomes}) == 1
    assert trades() == 1 and units_left(reward) == 8


@pytest.mark.covers("E3")
def test_redis_emptied_in_the_midst_of_it_oversells_nothing(a_member, a_reward, redeem, app):
    reward = a_reward(price_points=1, units=15).id
    members = [a_member(points=1) for _ in range(60)]
    gates.rebuild(reward)
    works = [lambda m=m: patiently(ask(m, reward)) for m in members]
    works[20:20] = works[40:40] = [lambda: client().flushall()]

    found = kinds(together(app, works))

    assert found["granted"] == 15 == trades()
    assert units_left(reward) == 0
    settled()
    assert gate(reward) == (0, 0) and wrong() == []


def test_batches_of_several_workers_on_the_same_rewards_never_wait_in_a_ring(
    app, a_member, a_reward
):
    shelf = [a_reward(price_points=1, units=100).id for _ in range(4)]
    members, now = [a_member(points=10) for _ in range(8)], clock.now()

    def batch(shift):
        order = members[shift:] + members[:shift]
        requests = [ask(m, shelf[(n + shift) % 4]) for n, m in enumerate(order)]
        return redemptions.redeem_many(requests, now=now)

    outcomes = together(app, [lambda shift=shift: batch(shift) for shift in range(8)])

    assert kinds([each for batch in outcomes for each in batch]) == {"granted": 64}
    assert [balance(member) for member in members] == [2] * 8
    assert sum(100 - units_left(reward) for reward in shelf) == 64
    assert wrong() == []


def test_shoppers_who_redeem_and_cancel_at_once_lose_nothing(app, a_member, a_reward):
    reward = a_reward(price_points=10, units=6, per_member_limit=2).id
    gates.rebuild(reward)
    members, now = [a_member(points=100) for _ in range(6)], clock.now()

    def to_and_fro(member):
        for _ in range(4):
            try:
                trade = said(patiently(ask(member, reward)))["id"]
            except (SoldOut, LimitReached, NotEnoughPoints, RewardBusy):
                continue
            redemptions.cancel(member, trade, key=a_key(member), now=now)
        return threading.current_thread().name

    outcomes = together(app, [lambda m=m: to_and_fro(m) for m in members])

    assert all(isinstance(each, str) for each in outcomes), outcomes
    assert count(Redemption, Redemption.state != "cancelled") == 0
    assert [balance(member) for member in members] == [100] * 6
    assert units_left(reward) == 6 and gate(reward) == (6, 0)
    assert one(sa.func.sum(LedgerEntry.delta_points)) == one(sa.func.sum(Account.balance_points))
    assert wrong() == []


@pytest.fixture
def a_running_twin(app, monkeypatch):
    """A request that has its key and its account, and stands before its COMMIT."""
    if db.engine.dialect.name != "postgresql":
        pytest.skip("on SQLite one writer at a time is in a transaction at all")
    halt = Halt("twin")
    monkeypatch.setattr(path.rewards, "take_many", halt.before(path.rewards.take_many))
    monkeypatch.setattr(path, "IDLE_MS", 60_000)
    return lambda request: halt.holding(app, lambda: redemptions.redeem(request, now=clock.now()))


@pytest.mark.parametrize("limit", ["LOCK_MS", "STATEMENT_MS"])
@pytest.mark.parametrize("with_gate", [True, False], ids=["gate", "sql alone"])
def test_who_waits_too_long_for_a_twin_is_told_that_it_is_in_progress(
    a_member, a_reward, a_running_twin, dead_redis, monkeypatch, with_gate, limit
):
    monkeypatch.setattr(stock, "ADOPT_MS", 0)
    monkeypatch.setattr(path, limit, 100)
    member, reward = a_member(points=100), a_reward(price_points=1, units=5).id
    if with_gate:
        gates.rebuild(reward)
    else:
        dead_redis.die()
    request = ask(member, reward)

    with a_running_twin(request) as finish:
        with pytest.raises(KeyInProgress):
            redemptions.redeem(request, now=clock.now())
        if with_gate:
            assert gate(reward) == (4, 1), "the lease is the twin's too, and was left alone"
        assert finish().status == 201

    assert trades() == 1 and wrong() == []


def test_who_waits_too_long_for_an_account_is_told_so_and_the_unit_is_back(
    app, a_member, a_reward, a_running_twin, monkeypatch
):
    monkeypatch.setattr(path, "LOCK_MS", 100)
    member, reward = a_member(points=100), a_reward(price_points=1, units=5).id
    gates.rebuild(reward)

    with a_running_twin(ask(member, reward)) as finish:
        with pytest.raises(Unavailable):
            redemptions.redeem(ask(member, reward), now=clock.now())
        assert gate(reward) == (4, 1), "a definite refusal puts its unit back at once"
        assert finish().status == 201

    assert (gate(reward), trades(), wrong()) == ((4, 0), 1, [])
