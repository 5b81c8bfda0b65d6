"""The gate before a reward: gone, wrong, stale or left by somebody who died, it costs time only."""

import time
from importlib import import_module
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from mall import atomic, clock, gates, idempotency, jobs, limits, redemptions, rewards
from mall.errors import (
    KeyInProgress,
    MallError,
    NotEnoughPoints,
    OutcomeUnknown,
    RewardBusy,
    SoldOut,
    Unavailable,
)
from mall.guards import stock
from mall.guards.client import client
from mall.idempotency import Answer
from models import IdempotencyKey, Reward, db
from tests.makers import a_key
from tests.mall.books import (
    ask,
    balance,
    by_hand,
    count,
    gate,
    one,
    said,
    taken,
    trades,
    units_left,
    wrong,
)
from tests.mall.together import Halt, together

path = import_module("mall.redemptions.redeem")  # whose name is also its verb's


def redeem(request):
    return redemptions.redeem(request, now=clock.now())


def reap(reward):
    return gates.reap(reward, route=redemptions.ROUTE, now=clock.now())


def keep():
    gates.keep(route=redemptions.ROUTE)


@pytest.fixture(autouse=True)
def no_drift_seen_before():
    gates._seen_drift.clear()


@pytest.fixture
def overdue(monkeypatch):
    """Leases that are over as soon as they are taken."""
    monkeypatch.setattr(stock, "LEASE_MS", -1)


@pytest.fixture
def adoptable(monkeypatch):
    """Leases that a retry may adopt at once."""
    monkeypatch.setattr(stock, "ADOPT_MS", 0)


@pytest.fixture
def a_shelf(a_reward):
    """A reward for one point whose gate stands open."""

    def make(units=5, **columns):
        reward = a_reward(**{"price_points": 1, "units": units, **columns}).id
        gates.rebuild(reward)
        return reward

    return make


def die_at_the_gate(request):
    """A worker that reserves and is never seen again."""
    asked = stock.Ask(request.member_id, request.token, request.quantity)
    epoch = one(Reward.epoch, Reward.id == request.reward_id)
    (verdict,) = stock.reserve_many(
        request.reward_id, [asked], epoch=epoch, limit=9, period=limits.EVER
    )
    assert verdict is stock.Verdict.RESERVED
    return asked


def die_after_commit(request, monkeypatch):
    """A worker that commits and dies before it settles."""
    with monkeypatch.context() as patch:
        patch.setattr(path.Held, "end", lambda *_: None)
        return redeem(request)


def at_gate(reward, **fields):
    client().hset(f"{{rw:{reward}}}:g", mapping=fields)


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
    monkeypatch.setattr(path, "_commit", halt.before(path._commit))
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
    monkeypatch.setattr(path.Held, "end", halt.before(path.Held.end))

    with halt.holding(app, lambda: redeem(request)) as finish:
        assert reap(reward) == 1
        assert finish().status == 201

    assert gate(reward) == (4, 0) and units_left(reward) == 4


def test_the_keeper_reaps(a_member, a_shelf, overdue):
    reward = a_shelf(units=1)
    die_at_the_gate(ask(a_member(points=1), reward))

    assert jobs.keep_gates() == 0

    assert gate(reward) == (1, 0)


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


def test_an_adopted_lease_of_a_redemption_that_stands_is_settled(
    a_member, a_shelf, adoptable, monkeypatch
):
    request = ask(a_member(points=5), a_shelf(units=5))
    first = die_after_commit(request, monkeypatch)

    again = redeem(request)

    assert again.replayed and again.body == first.body
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


def test_a_lease_is_not_adopted_for_another_quantity(a_member, a_shelf, adoptable):
    member, reward = a_member(points=5), a_shelf(units=5)
    key = a_key(member)
    die_at_the_gate(ask(member, reward, 1, key=key))

    with pytest.raises(KeyInProgress):
        redeem(ask(member, reward, 3, key=key))

    assert gate(reward) == (4, 1)


def test_whose_lease_was_adopted_can_neither_settle_nor_release_it(a_member, a_shelf, adoptable):
    request = ask(a_member(points=5), a_shelf(units=1))
    dead = die_at_the_gate(request)
    retry = stock.Ask(request.member_id, request.token, 1)
    epoch = one(Reward.epoch, Reward.id == request.reward_id)

    (verdict,) = stock.reserve_many(
        request.reward_id, [retry], epoch=epoch, limit=None, period=limits.EVER
    )

    assert verdict is stock.Verdict.ADOPTED
    assert stock.release(request.reward_id, [dead], period=limits.EVER) == 0
    assert stock.settle(request.reward_id, [dead], period=limits.EVER) == 0
    assert gate(request.reward_id) == (0, 1)
    assert stock.release(request.reward_id, [retry], period=limits.EVER) == 1


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


# what reaches the gate


def test_a_gate_turns_the_crowd_away_without_a_transaction(a_member, a_shelf, monkeypatch):
    reward = a_shelf(units=1)
    redeem(ask(a_member(points=1), reward))
    member = a_member(points=1)
    monkeypatch.setattr(atomic, "_begin", lambda: pytest.fail("a sold-out answer writes nothing"))

    with pytest.raises(SoldOut):
        redeem(ask(member, reward))


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
