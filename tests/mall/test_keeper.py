"""The keeper of gates: what went back in time, drifted or was forgotten is right again in a round or two."""

from importlib import import_module

import pytest
import sqlalchemy as sa
from redis.exceptions import TimeoutError

from mall import clock, gates, jobs, metrics, redemptions, rewards
from mall.errors import Unavailable
from mall.gates import counts as gate_counts
from mall.gates import keeper
from mall.guards import stock
from mall.guards.client import client
from mall.guards.stock import NoGate
from models import Event, GateMark, LimitCounter, Reward, db
from tests.makers import a_key
from tests.mall.books import ask, by_hand, count, gate, one, rows, said, trades, units_left, wrong
from tests.mall.together import together

path = import_module("mall.redemptions.redeem")
cancel = import_module("mall.redemptions.cancel")


def redeem(member, reward, quantity=1):
    return redemptions.redeem(ask(member, reward, quantity), now=clock.now())


def keep(rounds=1):
    for _ in range(rounds):
        gates.keep(route=redemptions.ROUTE)


def hash_of(reward):
    return f"{{rw:{reward}}}:g"


def epoch_of(reward):
    return one(Reward.epoch, Reward.id == reward)


def tally(name):
    db.session.rollback()
    return metrics.tallies()[name]


@pytest.fixture
def a_shelf(a_reward):
    """A reward for one point whose gate stands open and has been seen by the keeper."""

    def make(units=5, **columns):
        reward = a_reward(**{"price_points": 1, "units": units, **columns}).id
        gates.rebuild(reward)
        keep()
        return reward

    return make


# back in time


@pytest.mark.covers("E3")
def test_a_gate_that_went_back_in_time_is_found_by_the_next_request(a_member, a_shelf, go_back):
    members, reward = [a_member(points=9) for _ in range(5)], a_shelf(units=9)
    restore = go_back()
    for member in members[:3]:
        redeem(member, reward)
    restore()
    assert gate(reward) == (9, 0) and units_left(reward) == 6

    redeem(members[3], reward)

    assert gate(reward) == (5, 0) == (units_left(reward), 0)
    assert trades() == 4 and wrong() == []


def test_what_a_stale_gate_reserved_is_void(a_member, a_shelf, go_back):
    member, reward = a_member(points=9), a_shelf(units=9)
    restore = go_back()
    redeem(member, reward)
    redeem(member, reward)
    restore()
    asked = stock.Ask(member, f"{member}:x", 2)

    with pytest.raises(NoGate):
        stock.reserve_many(reward, [asked], epoch=epoch_of(reward), limit=None, period="ever")

    assert stock.look(reward) is None and stock.look_many([reward])[reward].leases == 1
    gates.rebuild(reward)
    assert gate(reward) == (7, 0)


def test_a_gate_that_is_closed_late_does_not_close_the_one_built_meanwhile(a_shelf):
    reward = a_shelf()
    old = epoch_of(reward)
    gates.rebuild(reward)

    assert not stock.close(reward, epoch=old) and gate(reward) == (5, 0)
    assert stock.close(reward, epoch=old + 1) and gate(reward) is None


def test_answers_that_overtake_each_other_are_no_step_back(app, a_member, a_shelf):
    members, reward = [a_member(points=9) for _ in range(12)], a_shelf(units=99)
    epoch = epoch_of(reward)

    together(app, [lambda m=member: redeem(m, reward) for member in members])

    assert epoch_of(reward) == epoch and gate(reward) == (87, 0)


@pytest.mark.covers("E3")
def test_a_gate_that_went_back_in_time_is_found_in_one_round_without_traffic(
    a_member, a_shelf, go_back, app
):
    member, reward = a_member(points=9), a_shelf(units=9)
    restore = go_back()
    redeem(member, reward)
    keep()
    restore()
    app.extensions.pop("gate_seqs")  # a keeper in a process that has seen nothing
    rebuilt = tally("gate_rebuilds")

    keep()

    assert gate(reward) == (8, 0) and tally("gate_rebuilds") == rebuilt + 1


def test_gates_of_another_server_are_rebuilt_once(a_shelf, monkeypatch):
    """A restart from an old file: the gate looks sound, and nobody can say how old it is."""
    shelf = [a_shelf(units=n) for n in (3, 4)]
    before = [epoch_of(reward) for reward in shelf]
    monkeypatch.setattr(stock, "server", lambda: "another:one")

    keep(3)

    assert [epoch_of(reward) for reward in shelf] == [epoch + 1 for epoch in before]
    assert set(rows(GateMark.server)) == {("another:one",)}


def test_a_server_is_known_by_its_run_and_its_history(app):
    run, history = stock.server().split(":")

    assert run == client().info("server")["run_id"] and len(run) == len(history) == 40


def test_a_gate_newer_than_a_restored_database_is_replaced(a_shelf):
    reward = a_shelf(units=4)
    by_hand(sa.update(Reward).values(epoch=1))
    client().hset(hash_of(reward), mapping={"epoch": 50, "avail": 9})

    keep()

    assert epoch_of(reward) == 51 and gate(reward) == (4, 0)


# drift


@pytest.mark.parametrize("off", [1, -1])
def test_a_small_drift_is_corrected_in_place_when_it_is_seen_twice(a_shelf, off):
    reward = a_shelf(units=100)
    epoch = epoch_of(reward)
    client().hincrby(hash_of(reward), "avail", off)

    keep()
    assert gate(reward) == (100 + off, 0)
    assert one(GateMark.drift_units, GateMark.reward_id == reward) == off
    keep()

    assert gate(reward) == (100, 0) and epoch_of(reward) == epoch
    assert tally("gate_drift") == 1
    assert one(GateMark.drift_units, GateMark.reward_id == reward) == 0


@pytest.mark.parametrize(("off", "rebuilt"), [(5, 0), (6, 1), (-5, 0), (-6, 1)])
def test_a_drift_past_the_twentieth_part_rebuilds_the_gate(a_shelf, off, rebuilt):
    reward = a_shelf(units=100)
    epoch = epoch_of(reward)
    client().hincrby(hash_of(reward), "avail", off)

    keep(2)

    assert gate(reward) == (100, 0) and epoch_of(reward) == epoch + rebuilt
    assert tally("gate_drift") == 1


def test_units_of_a_cancellation_that_are_on_their_way_are_not_counted_twice(
    a_member, a_shelf, monkeypatch
):
    member, reward = a_member(points=9), a_shelf(units=5)
    first, _ = [said(redeem(member, reward))["id"] for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(cancel, "tell_gate", lambda _: None)  # a process that stands still
        redemptions.cancel(member, first, key=a_key(member, route="cancel"), now=clock.now())
    keep(3)
    assert (gate(reward), units_left(reward)) == ((3, 0), 4)

    jobs.drain_events()
    keep(3)

    assert (gate(reward), units_left(reward)) == ((4, 0), 4) and tally("gate_drift") == 0


def test_what_the_worker_never_told_is_corrected_at_last(a_member, a_shelf, monkeypatch):
    member, reward = a_member(points=9), a_shelf(units=5)
    trade = said(redeem(member, reward))["id"]
    monkeypatch.setattr(cancel, "tell_gate", lambda _: None)
    redemptions.cancel(member, trade, key=a_key(member, route="cancel"), now=clock.now())
    by_hand(sa.update(Event).values(created_at=clock.now() - 2 * keeper.TOLD_WITHIN))

    keep(2)

    assert gate(reward) == (5, 0) and tally("gate_drift") == 1


def test_a_drift_is_remembered_from_one_keeper_to_another(app, a_shelf):
    reward = a_shelf(units=100)
    client().hincrby(hash_of(reward), "avail", 2)

    together(app, [keep])
    together(app, [keep])

    assert gate(reward) == (100, 0)


def die_at_the_gate(member, reward, quantity=1):
    request = ask(member, reward, quantity)
    asked = stock.Ask(member, request.token, quantity)
    stock.reserve_many(reward, [asked], epoch=epoch_of(reward), limit=9, period="ever")
    return asked


def test_live_leases_count_as_units_taken(a_member, a_shelf):
    reward = a_shelf(units=100)
    die_at_the_gate(a_member(points=9), reward, 3)

    keep(3)

    assert gate(reward) == (97, 1) and tally("gate_drift") == 0


def test_a_drift_behind_live_leases_is_seen_all_the_same(a_member, a_shelf):
    reward = a_shelf(units=100)
    die_at_the_gate(a_member(points=9), reward, 3)
    client().hincrby(hash_of(reward), "avail", -4)

    keep(2)

    assert gate(reward) == (97, 1) and tally("gate_drift") == 1


def test_leases_whose_redemption_stands_are_not_counted_twice(a_member, a_shelf, monkeypatch):
    member, reward = a_member(points=9), a_shelf(units=100)
    with monkeypatch.context() as patch:
        patch.setattr(path, "end", lambda *_: None)
        redeem(member, reward, 3)
    assert gate(reward) == (97, 1) and units_left(reward) == 97

    keep(3)

    assert gate(reward) == (97, 1) and tally("gate_drift") == 0


def test_nothing_is_said_of_a_gate_with_a_lease_that_is_old(a_member, a_shelf, monkeypatch):
    """Its attempt may be anywhere; the reaper finds out first."""
    reward = a_shelf(units=100)
    die_at_the_gate(a_member(points=9), reward)
    client().hincrby(hash_of(reward), "avail", 2)
    monkeypatch.setattr(keeper, "UNSURE_S", -1.0)

    keep(3)

    assert gate(reward) == (101, 1)


def test_a_gate_that_moved_since_it_was_looked_at_is_not_corrected(a_member, a_shelf, monkeypatch):
    reward, member = a_shelf(units=100), a_member(points=9)
    client().hincrby(hash_of(reward), "avail", 2)
    keep()
    truths = keeper._truths

    def meanwhile(*args):
        found = truths(*args)
        redeem(member, reward)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "_truths", meanwhile)
        keep()

    assert gate(reward) == (101, 0) and units_left(reward) == 99
    keep()
    assert gate(reward) == (99, 0)


@pytest.mark.parametrize("field", ["epoch", "seq", "state"])
def test_a_correction_needs_the_very_gate_that_was_seen(a_shelf, field):
    reward = a_shelf()
    seen = stock.look(reward)
    value = "closed" if field == "state" else 99
    client().hset(hash_of(reward), field, value)

    assert not stock.shift(reward, epoch=seen.epoch, seq=seen.seq, units=1)
    assert client().hget(hash_of(reward), "avail") == "5"


def test_units_that_come_and_go_move_the_gates_count(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf()
    seqs = [stock.look(reward).seq]
    asked = die_at_the_gate(member, reward)
    seqs.append(stock.look(reward).seq)
    stock.release(reward, [asked], period="ever")
    seqs.append(stock.look(reward).seq)
    stock.put_back(reward, member_id=member, quantity=1, period="ever", operation="o")
    seqs.append(stock.look(reward).seq)

    assert seqs == sorted(set(seqs))


# members' counts


@pytest.mark.covers("E4")
def test_a_count_that_refuses_a_member_for_nothing_is_put_right(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(per_member_limit=2)
    other = a_member(points=9)
    redeem(other, reward)
    client().hset(f"{{rw:{reward}}}:m:ever", str(member), 2)
    keep()
    keep()

    assert client().hgetall(f"{{rw:{reward}}}:m:ever") == {str(other): "1"}
    assert redeem(member, reward).status == 201


def test_a_member_on_the_way_and_a_lone_difference_are_let_be(a_member, a_shelf):
    member, reward = a_member(points=9), a_shelf(per_member_limit=2)
    die_at_the_gate(member, reward)
    epoch = epoch_of(reward)
    keep(3)
    assert epoch_of(reward) == epoch

    counter = f"{{rw:{reward}}}:m:ever"
    client().hset(counter, "4711", 1)
    keep()
    client().hdel(counter, "4711")
    keep()
    client().hset(counter, "4711", 1)
    keep()

    assert epoch_of(reward) == epoch


def test_counts_are_compared_in_turn(a_shelf, monkeypatch):
    monkeypatch.setattr(gate_counts, "CHECKED_AT_ONCE", 1)
    shelf = [a_shelf(per_member_limit=1) for _ in range(3)]
    keep(3)
    for reward in shelf:
        client().hset(f"{{rw:{reward}}}:m:ever", "4711", 1)

    keep(6)

    assert client().keys("{rw:*}:m:*") == []


# which gates, and at what price


@pytest.mark.covers("E3")
def test_leases_of_a_reward_taken_off_the_shelf_are_reaped(a_member, a_shelf, monkeypatch):
    monkeypatch.setattr(stock, "LEASE_MS", -1)
    reward = a_shelf(units=5)
    die_at_the_gate(a_member(points=9), reward, 2)
    by_hand(sa.update(Reward).values(published=False))

    keep()

    assert gate(reward) == (5, 0) and tally("gate_leases_reaped") == 1


def test_a_gate_of_a_reward_taken_off_the_shelf_is_kept_right(a_shelf):
    reward = a_shelf(units=5)
    rewards.change(reward, {"published": False}, version=1)
    keep()
    assert stock.look(reward).epoch == epoch_of(reward)
    client().hincrby(hash_of(reward), "avail", 1)

    keep(2)

    assert gate(reward) == (5, 0)


def test_leases_without_a_gate_off_the_shelf_are_ended_and_no_gate_is_made(
    a_member, a_shelf, monkeypatch
):
    monkeypatch.setattr(stock, "LEASE_MS", -1)
    reward = a_shelf(units=5)
    die_at_the_gate(a_member(points=9), reward)
    by_hand(sa.update(Reward).values(published=False))
    client().delete(hash_of(reward))

    keep(2)

    assert stock.look_many([reward]) == {} and client().exists(hash_of(reward)) == 0


def test_all_gates_are_back_after_one_round_in_a_handful_of_transactions(
    a_reward, hired, monkeypatch
):
    shelf = [a_reward(units=n % 5, price_points=1).id for n in range(60)]
    by_hand(sa.update(Reward).where(Reward.id == shelf[7]).values(published=False))
    statements = []
    listen = lambda *args: statements.append(args[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        keep()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)

    assert [gate(reward) for reward in shelf] == [
        None if reward == shelf[7] else (n % 5, 0) for n, reward in enumerate(shelf)
    ]
    assert len(statements) < 40, "for sixty rewards, two of them a transaction"


def test_a_quiet_round_writes_nothing(a_shelf):
    for _ in range(3):
        a_shelf()
    keep()
    writes = []
    listen = lambda *args: writes.append(args[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        keep()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)

    assert [each for each in writes if not each.startswith(("SELECT", "BEGIN"))] == []


def test_rewards_are_kept_in_batches_and_none_is_left_out(a_reward, monkeypatch):
    monkeypatch.setattr(keeper, "READ_AT_ONCE", 2)
    monkeypatch.setattr(keeper, "REBUILT_AT_ONCE", 1)
    shelf = [a_reward(units=3).id for _ in range(5)]

    keep()

    assert [gate(reward) for reward in shelf] == [(3, 0)] * 5


@pytest.mark.parametrize(("failures", "kept"), [(2, 3), (3, 0)])
def test_a_redis_that_stumbles_costs_a_batch_and_one_that_is_away_the_round(
    a_reward, monkeypatch, failures, kept
):
    monkeypatch.setattr(keeper, "READ_AT_ONCE", 1)
    shelf = [a_reward(units=3).id for _ in range(5)]
    look, waiting = stock.look_many, [1] * failures

    def stumble(*args, **options):
        if options and waiting:
            waiting.pop()
            raise TimeoutError("no answer")
        return look(*args, **options)

    monkeypatch.setattr(stock, "look_many", stumble)
    keep()

    assert [gate(reward) for reward in shelf].count((3, 0)) == kept


def test_one_reward_that_is_busy_does_not_keep_the_keeper_from_the_others(
    a_reward, monkeypatch, app
):
    monkeypatch.setattr(keeper, "REBUILT_AT_ONCE", 1)
    busy, free = a_reward(units=3).id, a_reward(units=3).id
    rebuild = keeper.rebuild_many

    def rebuild_free(ids):
        if busy in ids:
            raise Unavailable()
        return rebuild(ids)

    monkeypatch.setattr(keeper, "rebuild_many", rebuild_free)
    keep()

    assert (gate(busy), gate(free)) == (None, (3, 0))


def test_a_cancellation_that_a_later_gate_has_seen_is_not_counted_again(a_member, a_shelf):
    """The gate was down when it was cancelled, and rebuilt before it was told."""
    member, reward = a_member(points=9), a_shelf(units=5)
    trade = said(redeem(member, reward))["id"]
    client().flushall()
    redemptions.cancel(member, trade, key=a_key(member), now=clock.now())
    gates.rebuild(reward)

    jobs.drain_events()

    assert gate(reward) == (5, 0) and count(LimitCounter) == 1
