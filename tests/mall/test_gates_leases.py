"""Leases at the gate: left by somebody who died, they are reaped, adopted or settled once."""

from dataclasses import replace
from importlib import import_module
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from mall import clock, gates, idempotency, limits, redemptions
from mall.errors import KeyInProgress, KeyReused, NotEnoughPoints, Unavailable
from mall.guards import stock
from mall.guards.client import RedisError, client
from models import IdempotencyKey, Reward
from tests.makers import a_key
from tests.mall.attempts import die_at_the_gate, reap, redeem
from tests.mall.books import ask, balance, by_hand, count, gate, one, trades, units_left, wrong
from tests.mall.together import Halt

path = import_module("mall.redemptions.redeem")  # whose name is also its verb's


def die_after_commit(request, monkeypatch):
    """A worker that commits and dies before it settles."""
    with monkeypatch.context() as patch:
        patch.setattr(path, "end", lambda *_: None)
        return redeem(request)


def limit_count(request):
    """What the gate counts of the member's limit."""
    count = client().hget(f"{{rw:{request.reward_id}}}:m:{limits.EVER}", str(request.member_id))
    return int(count or 0)


# leases that nobody ended


@pytest.mark.covers("E3")
def test_a_lease_left_by_a_dead_worker_gives_its_unit_back(a_member, a_shelf, overdue):
    member, reward = a_member(points=1), a_shelf(units=1)
    request = ask(member, reward)
    die_at_the_gate(request)
    assert gate(reward) == (0, 1)

    assert reap(reward) == 1

    assert gate(reward) == (1, 0) and reap(reward) == 0
    assert one(IdempotencyKey.state, IdempotencyKey.key == request.key.text) == "aborted"
    assert trades() == 0 and wrong() == []


def test_a_lease_that_is_not_over_is_left_alone(a_member, a_shelf):
    reward = a_shelf(units=1)
    die_at_the_gate(ask(a_member(points=1), reward))

    assert reap(reward) == 0 and gate(reward) == (0, 1)


def test_a_lease_whose_redemption_stands_keeps_its_unit(a_member, a_shelf, overdue, monkeypatch):
    member, reward = a_member(points=1), a_shelf(units=3)
    die_after_commit(ask(member, reward), monkeypatch)
    assert gate(reward) == (2, 1)

    assert reap(reward) == 1

    assert gate(reward) == (2, 0) and units_left(reward) == 2 and trades() == 1


def test_after_a_dead_worker_the_same_key_is_granted(a_member, a_shelf, overdue):
    member, reward = a_member(points=1), a_shelf(units=1)
    request = ask(member, reward)
    die_at_the_gate(request)
    reap(reward)

    assert redeem(request).status == 201

    assert (units_left(reward), gate(reward), balance(member)) == (0, (0, 0), 0)
    assert wrong() == []


def test_after_a_dead_worker_the_same_key_is_granted_without_redis_too(
    a_member, a_shelf, overdue, dead_redis
):
    request = ask(a_member(points=1), a_shelf(units=1))
    die_at_the_gate(request)
    reap(request.reward_id)
    dead_redis.die()

    assert redeem(request).status == 201


@pytest.fixture
def zombie(app, monkeypatch):
    """An attempt that stands between the gate and SQL while others believe it dead."""
    halt = Halt("zombie")
    monkeypatch.setattr(path, "commit_many", halt.before(path.commit_many))
    return lambda request: halt.holding(app, lambda: redeem(request))


def test_an_attempt_given_up_by_the_reaper_can_have_no_effect(a_member, a_shelf, overdue, zombie):
    member, reward = a_member(points=5), a_shelf(units=5)

    with zombie(ask(member, reward)) as finish:
        assert reap(reward) == 1
        outcome = finish()

    assert isinstance(outcome, KeyInProgress), "its client asks again; 422 would be a lie"
    assert (trades(), balance(member), units_left(reward), gate(reward)) == (0, 5, 5, (5, 0))
    assert wrong() == []


def test_an_attempt_given_up_comes_back_after_its_retry_and_changes_nothing(
    a_member, a_shelf, overdue, zombie
):
    member, reward = a_member(points=5), a_shelf(units=5)
    request = ask(member, reward)

    with zombie(request) as finish:
        reap(reward)
        granted = redeem(request)
        outcome = finish()

    assert outcome.body == granted.body and outcome.replayed
    assert (trades(), balance(member), units_left(reward), gate(reward)) == (1, 4, 4, (4, 0))
    assert wrong() == []


def test_a_lease_is_settled_where_its_attempt_commits_before_the_reaper_looks(
    app, a_member, a_shelf, overdue, monkeypatch
):
    reward = a_shelf(units=5)
    request, halt = ask(a_member(points=5), reward), Halt("slow")
    monkeypatch.setattr(path, "end", halt.before(path.end))

    with halt.holding(app, lambda: redeem(request)) as finish:
        assert reap(reward) == 1
        assert finish().status == 201

    assert gate(reward) == (4, 0) and units_left(reward) == 4


def test_a_key_given_up_that_belongs_to_a_running_twin_waits_for_it(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf()
    request = ask(member, reward)
    redeem(request)
    caller, now = gates.caller_of(member), clock.now()

    given_up = idempotency.give_up(
        caller, redemptions.ROUTE, request.key.text, lease="other", now=now
    )

    assert not given_up
    assert one(IdempotencyKey.state, IdempotencyKey.key == request.key.text) == "done"


def test_a_redemption_without_its_key_is_settled_by_its_own_row(
    a_member, a_shelf, overdue, monkeypatch
):
    request = ask(a_member(points=9), a_shelf(units=2))
    die_after_commit(request, monkeypatch)
    by_hand(sa.delete(IdempotencyKey).where(IdempotencyKey.key == request.key.text))

    assert reap(request.reward_id) == 1

    assert gate(request.reward_id) == (1, 0)
    assert count(IdempotencyKey, IdempotencyKey.key == request.key.text) == 0


# retries before the reaper


def test_a_retry_soon_after_is_asked_to_wait(a_member, a_shelf):
    request = ask(a_member(points=1), a_shelf(units=1))
    die_at_the_gate(request)

    with pytest.raises(KeyInProgress):
        redeem(request)

    assert gate(request.reward_id) == (0, 1) and trades() == 0


def test_a_later_retry_adopts_the_lease_and_takes_no_second_unit(a_member, a_shelf, adoptable):
    request = ask(a_member(points=5), a_shelf(units=1))
    die_at_the_gate(request)

    assert redeem(request).status == 201

    assert gate(request.reward_id) == (0, 0) and units_left(request.reward_id) == 0


def test_an_adopted_lease_of_a_redemption_that_stands_is_left_to_the_reaper(
    a_member, a_shelf, adoptable, overdue, monkeypatch
):
    request = ask(a_member(points=5), a_shelf(units=5))
    first = die_after_commit(request, monkeypatch)

    again = redeem(request)

    assert again.replayed and again.body == first.body
    assert gate(request.reward_id) == (4, 1) and units_left(request.reward_id) == 4
    assert reap(request.reward_id) == 1 and gate(request.reward_id) == (4, 0)


# a repeat that reserves in the moment its twin has finished


@pytest.mark.covers("E3")
def test_the_lease_of_a_repeat_that_came_too_late_gives_its_unit_back(a_member, a_shelf, overdue):
    request = ask(a_member(points=5), a_shelf(units=5))
    redeem(request)
    die_at_the_gate(request)
    assert gate(request.reward_id) == (3, 1)

    assert reap(request.reward_id) == 1

    assert gate(request.reward_id) == (4, 0) and units_left(request.reward_id) == 4
    assert limit_count(request) == 1


def test_whoever_adopts_the_lease_of_a_late_repeat_does_not_keep_its_unit(
    a_member, a_shelf, adoptable, overdue
):
    request = ask(a_member(points=5), a_shelf(units=5))
    redeem(request)
    die_at_the_gate(request)

    assert redeem(request).replayed

    assert reap(request.reward_id) == 1 and gate(request.reward_id) == (4, 0)


def test_the_keeper_counts_the_lease_of_a_late_repeat_as_open(a_member, a_shelf):
    request = ask(a_member(points=5), a_shelf(units=5))
    redeem(request)
    die_at_the_gate(request)

    for _ in range(3):
        gates.keep(route=redemptions.ROUTE)

    assert gate(request.reward_id) == (3, 1), "its unit comes back with the lease, and not twice"


def test_a_lease_stands_for_what_was_decided_without_a_gate(
    a_member, a_shelf, overdue, monkeypatch
):
    request = ask(a_member(points=5), a_shelf(units=5))
    die_at_the_gate(request)
    with monkeypatch.context() as patch:
        patch.setattr(stock, "reserve_many", Mock(side_effect=RedisError))
        assert redeem(request).status == 201

    assert reap(request.reward_id) == 1

    assert gate(request.reward_id) == (4, 0) and units_left(request.reward_id) == 4


def test_an_adopted_lease_is_left_to_the_reaper_where_the_retry_fails(
    a_member, a_shelf, adoptable, overdue, monkeypatch
):
    request = ask(a_member(points=5), a_shelf(units=5))
    die_after_commit(request, monkeypatch)
    locked = OperationalError("SELECT", None, Exception("database is locked"))

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(path.points, "open_book", Mock(side_effect=locked))
        redeem(request)

    assert gate(request.reward_id) == (4, 1), "the unit belongs to the redemption that stands"
    assert reap(request.reward_id) == 1 and gate(request.reward_id) == (4, 0)


def test_an_adopted_lease_is_left_to_the_reaper_where_the_key_has_another_body(
    a_member, a_shelf, adoptable, overdue, monkeypatch
):
    request = ask(a_member(points=5), a_shelf(units=5))
    die_after_commit(request, monkeypatch)
    other = replace(request, key=replace(request.key, fingerprint="another"))

    with pytest.raises(KeyReused):
        redeem(other)

    assert gate(request.reward_id) == (4, 1), "the unit belongs to the redemption that stands"
    assert reap(request.reward_id) == 1 and gate(request.reward_id) == (4, 0)


def test_a_lease_is_not_adopted_for_another_quantity(a_member, a_shelf, adoptable):
    member, reward = a_member(points=5), a_shelf(units=5)
    key = a_key(member)
    die_at_the_gate(ask(member, reward, 1, key=key))

    with pytest.raises(KeyInProgress):
        redeem(ask(member, reward, 3, key=key))

    assert gate(reward) == (4, 1)


def test_whose_lease_was_adopted_can_settle_it_and_not_release_it(a_member, a_shelf, adoptable):
    request = ask(a_member(points=5), a_shelf(units=1))
    dead = die_at_the_gate(request)
    retry = stock.Ask(request.member_id, request.token, 1)
    epoch = one(Reward.epoch, Reward.id == request.reward_id)

    (verdict,) = stock.reserve_many(
        request.reward_id, [retry], epoch=epoch, limit=None, period=limits.EVER
    )

    assert verdict is stock.Verdict.ADOPTED
    assert stock.release(request.reward_id, [dead], period=limits.EVER) == 0
    assert gate(request.reward_id) == (0, 1)
    assert stock.settle(request.reward_id, [dead], period=limits.EVER) == 1
    assert stock.release(request.reward_id, [retry], period=limits.EVER) == 0
    assert gate(request.reward_id) == (0, 0)


def test_an_adopted_lease_is_left_to_the_reaper_where_the_retry_is_refused(
    a_member, a_shelf, adoptable, overdue
):
    request = ask(a_member(points=0), a_shelf(units=5))
    die_at_the_gate(request)

    with pytest.raises(NotEnoughPoints):
        redeem(request)

    assert gate(request.reward_id) == (4, 1), "the first attempt may still be on its way"
    assert reap(request.reward_id) == 1 and gate(request.reward_id) == (5, 0)


def test_of_a_lease_that_was_adopted_both_attempts_are_given_up(
    a_member, a_shelf, adoptable, overdue, zombie
):
    reward = a_shelf(units=5)
    request = ask(a_member(points=5), reward)

    with zombie(request) as finish:
        die_at_the_gate(request)
        assert reap(reward) == 1
        outcome = finish()

    assert isinstance(outcome, KeyInProgress), "its lease went to the second, which is given up"
    assert (trades(), gate(reward)) == (0, (5, 0)) and wrong() == []


def test_every_attempt_that_was_ever_given_up_stays_so(a_member, a_shelf, overdue):
    request = ask(a_member(points=5), a_shelf(units=5))
    attempts = []
    for _ in range(3):
        attempts.append(die_at_the_gate(request))
        assert reap(request.reward_id) == 1

    late = [replace(request.key, lease=each.lease) for each in attempts]

    for key in late:
        with pytest.raises(KeyInProgress):
            key.claim(now=clock.now())
    replace(request.key, lease="another").claim(now=clock.now())
