"""Batches of redemptions: granted or refused each by itself."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import gates, redemptions
from mall.errors import LimitReached, NotEnoughPoints, NotFound, SoldOut, TierTooLow
from mall.guards.client import client
from mall.idempotency import Answer
from models import IdempotencyKey
from tests.makers import a_key
from tests.mall.books import ask, balance, by_hand, gate, give, trades, units_left, wrong


def outcomes_of(requests, now):
    return [
        each.status if isinstance(each, Answer) else type(each)
        for each in redemptions.redeem_many(requests, now=now)
    ]


def test_a_batch_grants_and_refuses_each_request_by_itself(a_member, a_reward, now):
    cup, bag = a_reward(price_points=100, units=9).id, a_reward(price_points=50, units=9).id
    rare = a_reward(price_points=1, units=9, tier_min="gold").id
    once = a_reward(price_points=1, units=9, per_member_limit=1).id
    rich, poor = [a_member(points=1000) for _ in range(4)], a_member(points=10)
    requests = [
        ask(rich[0], cup, 2),
        ask(poor, cup),
        ask(rich[1], bag, 3),
        ask(rich[2], rare),
        ask(rich[3], once, 2),
        ask(a_member(points=5), 404),
    ]

    assert outcomes_of(requests, now) == [
        201,
        NotEnoughPoints,
        201,
        TierTooLow,
        LimitReached,
        NotFound,
    ]
    assert [balance(each) for each in [*rich, poor]] == [800, 850, 1000, 1000, 10]
    assert [gate(each) for each in (cup, bag, rare, once)] == [(7, 0), (6, 0), (9, 0), (9, 0)]
    assert wrong() == []


def test_those_refused_in_a_batch_may_ask_again_with_their_keys(a_member, a_reward, now):
    reward, poor = a_reward(price_points=100).id, a_member(points=10)
    requests = [ask(a_member(points=100), reward), ask(poor, reward)]
    assert outcomes_of(requests, now) == [201, NotEnoughPoints]
    give(poor, 90, "enough now", expires_at=None, now=now)

    again = redemptions.redeem_many(requests, now=now)

    assert [each.replayed for each in again] == [True, False]
    assert trades() == 2 and gate(reward) == (8, 0)


def test_a_batch_asked_twice_gets_the_very_same_bytes(a_member, a_reward, now):
    reward = a_reward(units=5).id
    requests = [ask(a_member(points=100), reward) for _ in range(3)]

    first = redemptions.redeem_many(requests, now=now)
    again = redemptions.redeem_many(requests, now=now)

    assert [each.body for each in again] == [each.body for each in first]
    assert [each.replayed for each in again] == [True] * 3
    assert trades() == 3 and gate(reward) == (2, 0)
    assert wrong() == []


def test_a_batch_that_the_gate_let_in_in_error_is_decided_one_by_one(a_member, a_reward, now):
    """PEERS 3, 27: stock that is read, reduced in memory and written back oversells."""
    reward = a_reward(price_points=10, units=2).id
    gates.rebuild(reward)
    client().hset(f"{{rw:{reward}}}:g", "avail", 5)
    members = [a_member(points=100) for _ in range(5)]

    found = outcomes_of([ask(member, reward) for member in members], now)

    assert found == [201, 201, SoldOut, SoldOut, SoldOut]
    assert [balance(member) for member in members] == [90, 90, 100, 100, 100]
    assert units_left(reward) == 0 and gate(reward) == (3, 0)
    assert wrong() == []


def test_one_request_that_breaks_does_not_fail_its_neighbours(a_member, a_reward, redeem, now):
    """A key whose row was lost can't pay twice all the same: the redemption knows it for ever."""
    reward, broken = a_reward(units=10).id, a_member(points=500)
    key = a_key(broken)
    redeem(broken, reward, key=key)
    by_hand(sa.delete(IdempotencyKey).where(IdempotencyKey.key == key.text))
    requests = [
        ask(a_member(points=100), reward),
        ask(broken, reward, key=key),
        ask(a_member(points=100), reward),
    ]

    assert outcomes_of(requests, now) == [201, IntegrityError, 201]
    assert trades() == 3 and balance(broken) == 400
    assert (units_left(reward), gate(reward)) == (7, (7, 0))
    assert wrong() == []


def test_a_batch_over_several_rewards_takes_each_rewards_own_units(a_member, a_reward, now):
    shelf = [a_reward(price_points=1, units=10).id for _ in range(3)]
    requests = [ask(a_member(points=10), shelf[n % 3], n % 4 + 1) for n in range(9)]

    assert outcomes_of(requests, now) == [201] * 9

    wanted = {
        reward: sum(r.quantity for r in requests if r.reward_id == reward) for reward in shelf
    }
    assert {reward: 10 - units_left(reward) for reward in shelf} == wanted
    assert wrong() == []


def test_no_requests_have_no_outcomes(app, now):
    assert redemptions.redeem_many([], now=now) == []
