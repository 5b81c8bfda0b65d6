"""The redemption protocol under every single fault, and under thousands of chosen ones.

A failure tells the whole schedule, and how to play it again: `python -m tests.stepper`.
"""

import secrets
from collections.abc import Iterator
from importlib import import_module

import psycopg
import pytest
import sqlalchemy as sa

from mall import atomic, idempotency, rewards
from mall.guards import stock
from models import Reward
from tests.stepper.faults import BESIDE, KILLS, Fault
from tests.stepper.history import GRANTED
from tests.stepper.plans import Points
from tests.stepper.play import Ground, Played, ground, play, play_point, play_seed, points
from tests.stepper.scenarios import CANONICAL, Scenario, Task, redeeming
from tests.stepper.worlds import Shape, World

SEEDS = 50  # a test; ten tests
SEEDS_POSTGRESQL = 15
EVERY_NTH = 4  # of what may happen beside a call; `python -m tests.stepper --points` has them all

verb = import_module("mall.redemptions.redeem")  # whose name is also its verb's


@pytest.fixture(scope="session")
def sqlite_ground(redis_url, tmp_path_factory, quick_hasher) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("steps")
    with ground(f"sqlite:///{folder}/steps.db", redis_url, folder) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql_ground(redis_url, postgresql, tmp_path_factory, quick_hasher) -> Iterator[Ground]:
    if postgresql is None:
        pytest.skip("PostgreSQL's binaries are not on this machine")
    name = f"steps_{secrets.token_hex(4)}"
    address = (postgresql % "postgres").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with ground(postgresql % name, redis_url, tmp_path_factory.mktemp("steps")) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def on(request) -> Ground:
    return request.getfixturevalue(f"{request.param}_ground")


def right(played: Played, how: str) -> None:
    assert not played.wrong, f"{played.told()}\n\nAgain: python -m tests.stepper {how}"


@pytest.mark.covers("E2", "E3")
@pytest.mark.parametrize("name", CANONICAL)
def test_whatever_strikes_a_single_call_is_recovered_from(on, name):
    """A kill, a lost connection, a lost answer, a time-out, a lock: at every call, one by one."""
    for at, fault in points(on, name):
        if fault not in BESIDE:
            right(play_point(on, name, at, fault), f"--point {name} {at} {fault}")


@pytest.mark.covers("E2", "E3")
@pytest.mark.parametrize("name", CANONICAL)
def test_whatever_happens_beside_a_single_call_is_recovered_from(sqlite_ground, name):
    """Redis emptied or set back, a reaper, a rebuild, a twin, a cancellation, a stock move, a day."""
    beside = [each for each in points(sqlite_ground, name) if each[1] in BESIDE]
    for at, fault in beside[::EVERY_NTH]:
        right(play_point(sqlite_ground, name, at, fault), f"--point {name} {at} {fault}")


@pytest.mark.covers("E2", "E3")
@pytest.mark.parametrize("first", range(0, 10 * SEEDS, SEEDS))
def test_crowds_and_faults_by_seed_leave_the_books_right(sqlite_ground, first):
    for seed in range(first, first + SEEDS):
        right(play_seed(sqlite_ground, seed), f"--seed {seed}")


def test_crowds_and_faults_by_seed_leave_the_books_right_on_postgresql(postgresql_ground):
    for seed in range(SEEDS_POSTGRESQL):
        right(play_seed(postgresql_ground, seed), f"--seed {seed} --database postgresql")


def test_a_seed_is_the_same_schedule_every_time(sqlite_ground):
    for seed in range(8):
        first, second = play_seed(sqlite_ground, seed), play_seed(sqlite_ground, seed)

        assert _shape(first) == _shape(second), f"seed {seed}"


def _shape(played: Played) -> list[str]:
    """The trace, without the ids that differ from world to world."""
    return [str(step) for step in played.schedule.trace if not step.port.startswith("<- step")]


def test_the_lines_of_a_killed_worker_end_with_its_death(sqlite_ground):
    for at, fault in points(sqlite_ground, "one"):
        if fault in KILLS:
            trace = play_point(sqlite_ground, "one", at, fault).schedule.trace

            assert trace[-1].fault == fault and trace[-1].at == at


# the stepper finds what it is meant to find


def found(on: Ground, name: str, fault: Fault) -> str:
    """What is wrong in the first schedule that fails, of those with one fault in one scenario."""
    for at, each in points(on, name):
        if each is fault and (wrong := play_point(on, name, at, fault).wrong):
            return "; ".join(wrong)
    return "nothing"


def test_a_reaper_without_a_tombstone_is_found(sqlite_ground, monkeypatch):
    monkeypatch.setattr(idempotency, "give_up", lambda *_, **__: True)

    assert "though nobody harmed it" in found(sqlite_ground, "one", Fault.REAP)


def test_units_released_while_the_outcome_is_unknown_are_found(sqlite_ground, monkeypatch):
    monkeypatch.setattr(verb, "OutcomeUnknown", type("Never", (Exception,), {}))

    assert "though nobody harmed it" in found(sqlite_ground, "one", Fault.LOST_AFTER)


def test_a_redemption_that_any_lease_of_its_key_went_to_is_found(sqlite_ground, monkeypatch):
    monkeypatch.setattr(stock.Ask, "went_to", lambda *_: True)

    wrong = found(sqlite_ground, "late", Fault.KILL_AFTER)

    assert wrong.startswith("gate: 0 units, SQL has 1, though nobody harmed it")


def test_an_answer_stored_after_the_effect_is_found(sqlite_ground, monkeypatch):
    store = idempotency.store_many

    def later(answers):
        transaction = atomic._current.get()
        transaction.after_commit(lambda: store(answers))

    monkeypatch.setattr(idempotency, "store_many", later)

    assert "never told" in found(sqlite_ground, "one", Fault.KILL_AFTER)


def _overfull(world: World) -> dict[str, list[Task]]:
    """The gate has a unit that SQL has not, so both shoppers are let in for the one there is."""
    gate = stock.look(world.reward_id)
    assert stock.shift(world.reward_id, epoch=gate.epoch, seq=gate.seq, units=1)
    return {"first": [redeeming(world, 0)], "second": [redeeming(world, 1)]}


OVERFULL = Scenario("overfull", Shape(1, (1, 1)), _overfull)


def test_what_the_gate_lets_in_too_many_is_refused_by_sql(sqlite_ground):
    played = play(sqlite_ground, OVERFULL, Points({}, turns=True))

    assert sum(each.kind == GRANTED for each in played.history.attempts) == 2  # one, told twice
    assert played.wrong == ["gate: 1 units, SQL has 0, though nobody harmed it"]  # till the keeper


def test_units_taken_without_a_condition_are_found(sqlite_ground, monkeypatch):
    def take_many(quantities, _at_stores):
        with atomic.atomic() as transaction:
            for reward_id, quantity in quantities.items():
                left, promised = Reward.units_left - quantity, Reward.units_promised + quantity
                change = sa.update(Reward).where(Reward.id == reward_id)
                transaction.execute(change.values(units_left=left, units_promised=promised))

    monkeypatch.setattr(rewards, "take_many", take_many)

    wrong = "; ".join(play(sqlite_ground, OVERFULL, Points({}, turns=True)).wrong)

    assert "CHECK constraint failed: ck_rewards_units_left" in wrong
