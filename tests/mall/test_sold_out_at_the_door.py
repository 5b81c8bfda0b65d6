"""Who would be refused for want of units is refused at the door, by a look at the gate alone."""

from importlib import import_module

import pytest
import sqlalchemy as sa

from mall import clock, gates, limits, redemptions
from mall.errors import KeyInProgress, SoldOut
from mall.guards import stock
from mall.guards.client import client
from mall.redemptions import redeem_together
from models import Redemption, Reward
from tests.makers import a_key
from tests.mall.books import ask, by_hand, one

module = import_module("mall.redemptions.together")


@pytest.fixture
def batches(last_one, monkeypatch):
    """What was asked of SQL, since the last unit went."""
    asked, enter_many = [], module.enter_many
    monkeypatch.setattr(
        module,
        "enter_many",
        lambda batch, *, now: asked.append(batch) or enter_many(batch, now=now),
    )
    return asked


@pytest.fixture
def last_one(a_member, a_reward):
    """A reward that was sold out a moment ago, and the redemption that took its last unit."""
    made = a_reward(units=1, price_points=1).id
    gates.rebuild(made)
    winner = a_member(points=1)
    bought = ask(winner, made)
    redeem_together(bought)
    with pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), made))
    return made, bought


@pytest.mark.covers("E1")
def test_what_is_sold_out_still_is_refused_at_the_gate_alone(a_member, last_one, batches):
    reward, _ = last_one

    with pytest.raises(SoldOut) as refusal:
        redeem_together(ask(a_member(points=1), reward))

    assert refusal.value.details == {"units_left": 0}
    assert batches == []


def test_a_unit_that_comes_back_is_had_at_once(a_member, last_one):
    reward, bought = last_one
    key = a_key(bought.member_id)
    redemptions.cancel(bought.member_id, one(Redemption.id), key=key, now=clock.now())

    assert redeem_together(ask(a_member(points=1), reward)).status == 201


def test_who_was_granted_the_last_unit_is_told_so_again(last_one):
    _, bought = last_one

    assert redeem_together(bought).replayed


def test_a_twin_that_finishes_while_the_gate_is_asked_has_its_answer_given(
    a_member, last_one, monkeypatch
):
    reward, bought = last_one
    request, look = ask(a_member(points=1), reward), module.stock.sold_out_many

    def finish_twin_then_look(*args, **asked):
        key = a_key(bought.member_id)
        redemptions.cancel(bought.member_id, one(Redemption.id), key=key, now=clock.now())
        redemptions.redeem(request, now=clock.now())
        return look(*args, **asked)

    monkeypatch.setattr(module.stock, "sold_out_many", finish_twin_then_look)

    assert redeem_together(request).replayed


def test_who_holds_the_last_lease_is_not_told_that_nothing_is_left(a_member, a_reward):
    made = a_reward(units=1, price_points=1).id
    gates.rebuild(made)
    request = ask(a_member(points=1), made)
    twin = stock.Ask(request.member_id, request.token, request.quantity)
    epoch = one(Reward.epoch)
    stock.reserve_many(made, [twin], epoch=epoch, limit=None, period=limits.EVER)
    with pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), made))

    with pytest.raises(KeyInProgress):
        redeem_together(request)


def test_a_gate_that_can_not_say_sends_on_to_sql(a_member, last_one, batches):
    reward, _ = last_one
    client().flushall()

    with pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), reward))
    assert len(batches) == 1


def test_a_gate_that_went_back_in_time_is_not_believed(a_member, last_one, batches):
    reward, _ = last_one
    client().hset(f"{{rw:{reward}}}:g", "seq", 0)
    by_hand(
        sa.update(Reward).values(units_left=Reward.units_left + 1, units_stocked=2)
    )  # SQL knows of a unit that this gate has forgotten

    assert redeem_together(ask(a_member(points=1), reward)).status == 201


def test_while_redis_is_away_sql_alone_refuses(a_member, last_one, dead_redis):
    reward, _ = last_one
    with dead_redis.hang(), pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), reward))


def test_a_gate_that_was_built_anew_is_known_again_within_a_second(
    a_member, last_one, batches, monkeypatch
):
    reward, _ = last_one
    gates.rebuild(reward)
    with pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), reward))
    assert len(batches) == 1, "the gate it knew is gone, so it goes on to the till"

    later = module.time.monotonic() + module.KNOWN_S
    monkeypatch.setattr(module.time, "monotonic", lambda: later)

    with pytest.raises(SoldOut):
        redeem_together(ask(a_member(points=1), reward))
    assert len(batches) == 1
