"""Without a gate SQL alone decides, for a few at a time."""

import threading
from importlib import import_module
from unittest.mock import Mock

import pytest

from mall import clock, gates, redemptions
from mall.errors import RewardBusy, Unavailable
from mall.guards import stock
from mall.guards.client import client
from mall.idempotency import Answer
from tests.mall.attempts import redeem
from tests.mall.books import ask, gate, trades, wrong
from tests.mall.together import together

path = import_module("mall.redemptions.redeem")  # whose name is also its verb's
at_the_gate = import_module("mall.redemptions.gate")


@pytest.fixture
def inside(app, monkeypatch):
    """Counts who is in SQL at once; each stays until so many are there or nobody comes any more."""

    class Inside:
        now = most = 0
        lock, full = threading.Lock(), threading.Event()

    decide = path._decide

    def counted(*args):
        with Inside.lock:
            Inside.now += 1
            Inside.most = max(Inside.most, Inside.now)
            if Inside.now > path.SQL_ALONE_AT_ONCE:
                Inside.full.set()
        Inside.full.wait(0.3)
        with Inside.lock:
            Inside.now -= 1
        return decide(*args)

    monkeypatch.setattr(path, "_decide", counted)
    return Inside


def test_without_redis_no_more_than_four_at_a_time_go_to_sql(
    app, a_member, a_reward, dead_redis, inside, monkeypatch
):
    monkeypatch.setattr(path, "SQL_ALONE_WAIT_S", 30)
    members, reward = [a_member(points=100) for _ in range(9)], a_reward(units=9).id
    dead_redis.die()

    outcomes = together(app, [lambda m=m: redeem(ask(m, reward)) for m in members])

    assert [each.status for each in outcomes] == [201] * 9
    assert inside.most == path.SQL_ALONE_AT_ONCE == 4


def test_without_redis_who_can_not_enter_soon_is_told_to_come_back(
    app, a_member, a_reward, dead_redis, inside, monkeypatch
):
    monkeypatch.setattr(path, "SQL_ALONE_WAIT_S", 0.01)
    members, reward = [a_member(points=100) for _ in range(9)], a_reward(units=9).id
    dead_redis.die()

    outcomes = together(app, [lambda m=m: redeem(ask(m, reward)) for m in members])

    busy = [each for each in outcomes if isinstance(each, RewardBusy)]
    assert len(busy) >= 1 and {each.retry_after_s for each in busy} == {2}
    assert trades() == 9 - len(busy) and wrong() == []
    assert redeem(ask(a_member(points=100), reward)), "all places are free again"


def test_with_a_gate_as_many_go_to_sql_as_the_gate_lets_in(app, a_member, a_shelf, inside):
    members, reward = [a_member(points=1) for _ in range(9)], a_shelf(units=9)

    together(app, [lambda m=m: redeem(ask(m, reward)) for m in members])

    assert inside.most > path.SQL_ALONE_AT_ONCE


def test_those_of_a_batch_with_a_lease_do_not_wait_for_those_without(
    a_member, a_shelf, monkeypatch
):
    monkeypatch.setattr(path, "SQL_ALONE", threading.BoundedSemaphore(1))
    monkeypatch.setattr(path, "SQL_ALONE_WAIT_S", 0.01)
    held, bare = a_shelf(units=5), a_shelf(units=5)
    requests = [ask(a_member(points=9), reward) for reward in (held, bare)]
    client().delete(f"{{rw:{bare}}}:g")
    stock.builder(bare)
    monkeypatch.setattr(at_the_gate, "GATE_WAIT_S", 0.0)
    path.SQL_ALONE.acquire()

    outcomes = redemptions.redeem_many(requests, now=clock.now())

    assert [type(each) for each in outcomes] == [Answer, RewardBusy]
    assert gate(held) == (4, 0) and trades() == 1


def test_a_gate_that_can_not_be_rebuilt_now_fails_its_own_requests_only(
    a_member, a_shelf, monkeypatch
):
    held, bare = a_shelf(units=5), a_shelf(units=5)
    requests = [ask(a_member(points=9), reward) for reward in (held, bare)]
    client().delete(f"{{rw:{bare}}}:g")
    monkeypatch.setattr(gates, "rebuild", Mock(side_effect=Unavailable()))

    outcomes = redemptions.redeem_many(requests, now=clock.now())

    assert [type(each) for each in outcomes] == [Answer, Unavailable]
    assert gate(held) == (4, 0) and trades() == 1
