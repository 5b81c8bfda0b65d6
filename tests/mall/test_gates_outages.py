"""Outages: without Redis, or where the database's answer is lost, nobody is granted twice."""

import time
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from mall import atomic, clock, jobs, redemptions
from mall.errors import NotEnoughPoints, OutcomeUnknown, RewardBusy, SoldOut, Unavailable
from mall.idempotency import Answer
from models import db
from tests.makers import a_key
from tests.mall.attempts import reap, redeem
from tests.mall.books import ask, balance, gate, said, trades, units_left, wrong

# without Redis


def test_without_redis_an_ordinary_reward_is_served_by_sql(a_member, a_reward, dead_redis):
    member, reward = a_member(points=100), a_reward(units=1).id
    dead_redis.die()

    assert redeem(ask(member, reward)).status == 201
    with pytest.raises(SoldOut):
        redeem(ask(a_member(points=100), reward))

    assert units_left(reward) == 0 and wrong() == []


def test_without_redis_a_hot_reward_is_refused_for_a_moment(a_member, a_reward, dead_redis):
    member, reward = a_member(points=100), a_reward(units=1, hot=True).id
    dead_redis.die()

    with pytest.raises(RewardBusy) as refusal:
        redeem(ask(member, reward))

    assert refusal.value.retry_after_s and trades() == 0


@pytest.mark.parametrize("hot", [True, False])
def test_a_redis_that_hangs_holds_nobody_up(a_member, a_reward, dead_redis, hot):
    member, reward = a_member(points=100), a_reward(units=9, hot=hot).id
    lasted = []
    with dead_redis.hang():
        for _ in range(3):
            started = time.monotonic()
            try:
                assert redeem(ask(member, reward)).status == 201 and not hot
            except (RewardBusy, NotEnoughPoints) as refusal:
                assert hot == isinstance(refusal, RewardBusy)
            lasted.append(time.monotonic() - started)

    assert min(lasted) < 0.3
    assert trades() == (0 if hot else 1) and wrong() == []


def test_a_cancellation_that_redis_never_heard_of_is_told_later(a_member, a_shelf, dead_redis):
    member, reward = a_member(points=1), a_shelf(units=1)
    trade = said(redeem(ask(member, reward)))["id"]
    dead_redis.die()
    redemptions.cancel(member, trade, key=a_key(member), now=clock.now())
    dead_redis.live()
    assert units_left(reward) == 1 and gate(reward) == (0, 0)

    jobs.drain_events()

    assert gate(reward) == (1, 0)


# an answer that was lost


class Lost(OperationalError):
    def __init__(self):
        super().__init__("COMMIT", None, Exception("the connection went away"))


def lose_one_commit(monkeypatch, *, committed):
    """The next COMMIT's answer is lost, after it was done or before."""
    commit, waiting = db.session.commit, [1]

    def lossy():
        if waiting:
            waiting.pop()
            if committed:
                commit()
            raise Lost()
        commit()

    monkeypatch.setattr(db.session, "commit", lossy)


def test_where_the_outcome_is_unknown_the_lease_stays(a_member, a_shelf, adoptable, monkeypatch):
    request = ask(a_member(points=5), a_shelf(units=1))
    lose_one_commit(monkeypatch, committed=False)

    with pytest.raises(OutcomeUnknown):
        redeem(request)

    assert trades() == 0 and gate(request.reward_id) == (0, 1)
    assert redeem(request).status == 201
    assert trades() == 1 and gate(request.reward_id) == (0, 0)
    assert wrong() == []


def test_where_the_unknown_outcome_was_a_success_the_same_key_learns_it(
    a_member, a_shelf, monkeypatch
):
    member, reward = a_member(points=5), a_shelf(units=1)
    request = ask(member, reward)
    lose_one_commit(monkeypatch, committed=True)
    with pytest.raises(OutcomeUnknown):
        redeem(request)
    assert trades() == 1 and gate(reward) == (0, 1)

    again = redeem(request)

    assert again.replayed and said(again)["balance_after"] == 4
    assert trades() == 1 and balance(member) == 4
    assert reap(reward) == 0 and gate(reward) == (0, 1)


@pytest.mark.parametrize("committed", [True, False])
def test_the_reaper_learns_an_unknown_outcome_from_sql(
    a_member, a_shelf, overdue, monkeypatch, committed
):
    reward = a_shelf(units=3)
    request = ask(a_member(points=5), reward)
    lose_one_commit(monkeypatch, committed=committed)
    with pytest.raises(OutcomeUnknown):
        redeem(request)

    assert reap(reward) == 1

    assert gate(reward) == (units_left(reward), 0) == (3 - committed, 0)
    assert trades() == committed and wrong() == []


def test_a_batch_whose_outcome_is_unknown_is_not_decided_again(a_member, a_shelf, monkeypatch):
    reward = a_shelf(units=5)
    requests = [ask(a_member(points=5), reward) for _ in range(3)]
    lose_one_commit(monkeypatch, committed=True)

    outcomes = redemptions.redeem_many(requests, now=clock.now())

    assert [type(each) for each in outcomes] == [OutcomeUnknown] * 3
    assert trades() == 3 and gate(reward) == (2, 3)
    again = redemptions.redeem_many(requests, now=clock.now())
    assert [isinstance(each, Answer) and each.replayed for each in again] == [True] * 3


def test_a_database_that_does_not_answer_at_all_holds_no_unit(a_member, a_shelf, monkeypatch):
    reward = a_shelf(units=5)
    requests = [ask(a_member(points=5), reward) for _ in range(2)]
    locked = OperationalError("BEGIN", None, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "Transaction", Mock(side_effect=locked))
        outcomes = redemptions.redeem_many(requests, now=clock.now())

    assert [type(each) for each in outcomes] == [Unavailable, Unavailable]
    assert gate(reward) == (5, 0) and trades() == 0
