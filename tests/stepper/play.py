"""Plays one schedule: a world, its workers, what strikes them, the recovery, the judgement."""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade
from redis import Redis

from app import create_app
from mall import clock, jobs, shop, staff
from mall.gates import keeper
from mall.guards import client, stock
from mall.guards.breaker import Breaker
from models import GateMark, db
from tests.fakes import FakeWeChat
from tests.stepper.faults import BESIDE, COMMIT, LOSSES, TIMEOUTS, Fault, Port
from tests.stepper.history import BUG, GRANTED, OPEN, Attempt, Books, History
from tests.stepper.plans import Pair, Points, Seeded
from tests.stepper.ports import Ports
from tests.stepper.scenarios import CANONICAL, Scenario, Task, by_seed
from tests.stepper.schedule import Plan, Schedule, Stuck, Worker
from tests.stepper.worlds import World, make

DAY_S = 86_400
PATIENCE_S = 30.0
PAIRS = 0.25
HARMFUL = (Fault.FLUSHED, Fault.STALE, *TIMEOUTS)  # after which SQL may decide without the gate
GRACE_S = 0.03  # PostgreSQL does not say who waits for a lock
ROUNDS = 6  # of the keeper, after which everything must be right again
PASSING_S = 30.0  # between two of its rounds
SECRET_KEYS = "k1:" + "s" * 32


@dataclass
class Ground:
    """An application with its stores, ready for schedules one after the other."""

    app: Flask
    ports: Ports
    redis: Redis
    binary: Redis  # the same server, for copies
    grace_s: float | None


@contextmanager
def ground(database_url: str, redis_url: str, folder: Path) -> Iterator[Ground]:
    """A migrated database, an open shop, and hooks at every outside call."""
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder),
        "SECRET_KEYS": SECRET_KEYS,
        "LOG_LEVEL": "error",
    }
    app = create_app(settings, wechat=FakeWeChat())
    app.testing = True
    pool = app.extensions["redis"].connection_pool
    for name in ("socket_timeout", "socket_connect_timeout"):
        pool.connection_kwargs[name] = PATIENCE_S  # only the plan says what times out
    with app.app_context():
        upgrade()
        _furnish()
        sqlite = db.engine.dialect.name == "sqlite"
        ours = Redis.from_url(redis_url, decode_responses=True)
        binary = Redis.from_url(redis_url)
    with ours, binary:
        for path in Path(client.__file__).parent.glob("*.lua"):
            ours.script_load(path.read_text())
        yield Ground(app, Ports(app), ours, binary, None if sqlite else GRACE_S)
    with app.app_context():
        db.engine.dispose()


def _furnish() -> None:
    """Open the shop, with the admin who moves stock."""
    shop.open_shop(now=clock.now())
    person = {"username": "admin", "name": "a", "password": "a long password", "role": "admin"}
    hired = staff.hire(**person, store_id=None, now=clock.now())
    assert hired == 1
    if db.engine.dialect.name == "sqlite":
        _hurry_sqlite()


def _hurry_sqlite() -> None:
    """No schedule cuts the power: spare the flushes, which are most of a COMMIT's time."""

    @sa.event.listens_for(db.engine, "connect")
    def careless(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    db.session.remove()
    db.engine.dispose()


def forget(ground: Ground) -> None:
    """Empty what Redis and a process remember, so that a schedule starts without a past.

    Another test's rewards had the same numbers, and what came back to them was told. Of the
    process, the breaker's failures and the last count seen of each gate; whatever else the guards
    come to remember is emptied here as well.
    """
    ground.redis.flushall()
    ground.app.extensions.pop("gate_seqs", None)
    ground.app.extensions["redis"].breaker = Breaker()
    ground.app.config["CLOCK_OFFSET_S"] = 0
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(sa.delete(GateMark))  # the keeper has the rewards of this schedule only
    ground.ports.time.pass_by(PASSING_S)


@dataclass
class Played:
    """What came of a schedule."""

    schedule: Schedule
    history: History
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> int:
        """Deliveries after which a client had to ask again."""
        return sum(each.kind == OPEN for each in self.history.attempts)

    def told(self) -> str:
        """Everything a reader needs to see what went wrong."""
        clients = [
            f"{a.started:4d}-{a.ended if a.ended is not None else '':<4}  {a.verb} "
            f"{a.key.text} of {a.key.caller}: {_outcome(a)}"
            for a in self.history.attempts
        ]
        parts = ["calls", self.schedule.told(), "clients", *clients, "wrong", *self.wrong]
        return "\n".join(parts)


def _outcome(attempt: Attempt) -> str:
    outcome = attempt.outcome
    if attempt.kind == GRANTED:
        return f"{outcome.status}{' replayed' if outcome.replayed else ''}"
    return "no answer" if outcome is None else f"{type(outcome).__name__} ({attempt.kind})"


class Stage:
    """One schedule on the ground."""

    def __init__(self, ground: Ground, scenario: Scenario, plan: Plan) -> None:
        self.ground, self.scenario, self.plan = ground, scenario, plan
        self.copy: dict[bytes, tuple[int, bytes]] = {}
        self.epoch = 0  # of the gate that stands at the start
        self.schedule = Schedule(self, beside=self.beside, grace_s=ground.grace_s)
        self.history = History(now=lambda: self.schedule.calls)
        self.played = Played(self.schedule, self.history)
        self.world: World

    def play(self) -> Played:
        """Set up, run, recover, judge. What is wrong is in the answer."""
        with self.ground.app.app_context(), self._adverse(), self.ground.ports.hooked():
            forget(self.ground)
            self.world = make(self.scenario.shape, self.history)
            tasks = self.scenario.tasks(self.world)
            self._copy()
            self.epoch = int(self.ground.redis.hget(self._gate(), "epoch") or 0)  # type: ignore[arg-type]
            db.session.remove()
            self._run(tasks)
            self._recover()
            books = self._books().read()
            self.played.wrong += [*self.history.wrong(), *books.wrong(self.history)]
            self.world.close()
            self._clean()
        return self.played

    @contextmanager
    def _adverse(self) -> Iterator[None]:
        """Leases that end when it suits nobody; one reading of the clock; nothing in the log.

        The keeper's round has this schedule's reward only: with those of earlier schedules, the
        same seed would be of more calls each time.
        """
        kept = stock.LEASE_MS, stock.ADOPT_MS, clock.RESYNC_S
        batches = keeper._batches
        stock.LEASE_MS, stock.ADOPT_MS = self.scenario.lease_ms, self.scenario.adopt_ms
        clock.now()
        clock.RESYNC_S = float("inf")
        keeper._batches = lambda: iter([[self.world.reward_id]])
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            keeper._batches = batches
            stock.LEASE_MS, stock.ADOPT_MS, clock.RESYNC_S = kept

    # the plan, with what the history must know

    def choose(self, ready: list[Worker], last: Worker | None) -> Worker:
        return self.plan.choose(ready, last)

    def strike(self, at: int, port: Port, worker: Worker) -> Fault | None:
        fault = self.plan.strike(at, port, worker)
        if fault is not None and fault is not Fault.COPIED:
            self.played.faults[fault] += 1
        if port.kind == COMMIT and fault in LOSSES and self._claims(worker):
            self.history.lose_commit()
        return fault

    def _claims(self, worker: Worker) -> bool:
        """Whether a worker's open transaction is one that answers a client; others only count."""
        for step in reversed(self.schedule.trace):
            if step.worker == worker.name and step.port.startswith(("BEGIN", COMMIT)):
                return False
            if step.worker == worker.name and step.port == "INSERT idempotency_keys":
                return True
        return False

    # the run

    def _run(self, tasks: dict[str, list[Task]]) -> None:
        self.ground.ports.schedule = self.schedule
        try:
            for name, asked in tasks.items():
                self._add(name, asked)
            self.schedule.run()
        except Stuck as stuck:
            self.played.wrong.append(str(stuck).partition("\n")[0])
        finally:
            self.ground.ports.schedule = None
        for worker in self.schedule.workers:
            if worker.error is not None:
                self.played.wrong.append(f"{worker.name} broke: {worker.error!r}")

    def _add(self, name: str, tasks: list[Task], *, at_once: bool = False) -> None:
        def serve() -> None:
            worker = self.schedule.me()
            assert worker is not None
            for text, act in tasks:
                worker.doing = text
                with self.ground.app.app_context():
                    self._do(worker, text, act)

        self.schedule.add(name, serve, at_once=at_once)

    def _do(self, worker: Worker, text: str, act: Any) -> None:
        """A task. What a job fails with is logged, and the next round comes; a bug is a bug."""
        self.schedule.note(worker, f"<- {text}")
        try:
            act()
        except Exception as error:
            failed = Attempt(key=None, verb=text, started=0, outcome=error)  # type: ignore[arg-type]
            if failed.kind == BUG:
                raise
            self.schedule.note(worker, f"-> {type(error).__name__}")

    # what happens beside a call

    def beside(self, schedule: Schedule, fault: Fault, worker: Worker) -> None:
        number = len(schedule.workers)
        with schedule.aside():
            match fault:
                case Fault.FLUSHED:
                    self.ground.redis.flushall()
                case Fault.COPIED:
                    self._copy()
                case Fault.STALE:
                    self._set_back()
                case Fault.AGED:
                    self.ground.redis.delete(f"{{rw:{self.world.reward_id}}}:b")
                case Fault.CLOCK:
                    self.ground.app.config["CLOCK_OFFSET_S"] += DAY_S
                case _:
                    task = self._newcomer(fault, worker)
                    if task is not None:
                        self._add(f"{fault} {number}", [task], at_once=True)

    def _newcomer(self, fault: Fault, worker: Worker) -> Task | None:
        world = self.world
        match fault:
            case Fault.DUPLICATE:
                text = worker.doing if worker.doing in world.requests else None
            case Fault.CANCEL:
                text = world.cancels()
            case Fault.RESTOCK:
                text = world.moves(+1)
            case Fault.WITHDRAW:
                text = world.moves(-1)
            case _:
                return str(fault), getattr(world, str(fault))
        return None if text is None else (text, lambda: world.send(text))

    def _gate(self) -> str:
        return f"{{rw:{self.world.reward_id}}}:g"

    def _keys(self) -> list[bytes]:
        return self.ground.binary.keys(f"{{rw:{self.world.reward_id}}}:*")  # type: ignore[return-value]

    def _copy(self) -> None:
        redis = self.ground.binary
        self.copy = {key: (max(redis.pttl(key), 0), redis.dump(key)) for key in self._keys()}  # type: ignore[type-var,misc]

    def _set_back(self) -> None:
        """A failover to a copy that is older."""
        self._clean()
        for key, (ttl_ms, value) in self.copy.items():
            self.ground.binary.restore(key, ttl_ms, value, replace=True)

    def _clean(self) -> None:
        if keys := self._keys():
            self.ground.binary.delete(*keys)

    # the recovery

    def _recover(self) -> None:
        """Time passes and the keeper makes its rounds; clients without an answer ask again."""
        if self.scenario.retry_first:
            self._ask_again()
        for number in range(ROUNDS):
            self._pass_time()
            jobs.drain_events()
            if number == 0:
                self._check_unharmed_gate()
            jobs.keep_gates()
            self._ask_again()
            if self._is_quiet():
                break
        self._ask_everybody_again()

    def _check_unharmed_gate(self) -> None:
        """A gate that heard of everything, and was not built anew, is right without a rebuild."""
        if not self.epoch or any(self.played.faults[each] for each in HARMFUL):
            return
        self.world.reap()
        books = self._books()
        if books.reward.epoch == self.epoch:
            self.played.wrong += [f"{each}, though nobody harmed it" for each in books.gate_wrong()]

    def _is_quiet(self) -> bool:
        """Whether another round would find nothing to do."""
        return not self.history.unsettled() and not list(self._books().gate_wrong())

    def _books(self) -> Books:
        world = self.world
        return Books(world.reward_id, world.members, world.last_event, self.ground.redis)

    def _pass_time(self) -> None:
        """Leases and locks run out."""
        self.ground.ports.time.pass_by(PASSING_S)
        leases = f"{{rw:{self.world.reward_id}}}:l"
        self.ground.redis.delete(f"{{rw:{self.world.reward_id}}}:b")
        for token in self.ground.redis.zrange(leases, 0, -1):  # type: ignore[union-attr]
            self.ground.redis.zadd(leases, {token: 0}, xx=True)

    def _ask_again(self) -> None:
        for attempt in self.history.unsettled():
            self._send(str(attempt.key.text))

    def _ask_everybody_again(self) -> None:
        """Who was granted is given the same answer; who still has none is a mistake."""
        for made in list(self.history.by_key().values()):
            if any(each.kind == GRANTED for each in made):
                (again,) = self._send(str(made[0].key.text))
                if again.kind != GRANTED or not again.outcome.replayed:
                    self.played.wrong.append(f"{again.key.text}: not replayed: {_outcome(again)}")
            elif made[-1].kind == OPEN:
                self.played.wrong.append(f"{made[-1].key.text}: never told ({_outcome(made[-1])})")

    def _send(self, text: str) -> list[Attempt]:
        with self.ground.app.app_context():
            return self.world.send(text)


def play(ground: Ground, scenario: Scenario, plan: Plan) -> Played:
    """Play one schedule."""
    return Stage(ground, scenario, plan).play()


def play_seed(ground: Ground, seed: int) -> Played:
    """The schedule that a seed stands for: mostly any crowd, else two faults where one is known."""
    rng = random.Random(seed)
    if rng.random() < PAIRS:
        scenario = rng.choice(list(CANONICAL.values()))
        return play(ground, scenario, Pair(rng, turns=scenario.turns))
    scenario = by_seed(rng)
    return play(ground, scenario, Seeded(rng, scenario.requests))


def play_point(ground: Ground, name: str, at: int, fault: Fault) -> Played:
    """A canonical scenario with one fault at one call."""
    scenario = CANONICAL[name]
    return play(ground, scenario, Points({at: fault}, turns=scenario.turns))


def points(ground: Ground, name: str) -> list[tuple[int, Fault]]:
    """Every (call, fault) of a canonical scenario: what fits the call, and all that may happen beside."""
    scenario = CANONICAL[name]
    quiet = play(ground, scenario, Points(turns=scenario.turns))
    assert not quiet.wrong, quiet.told()
    ports = enumerate(quiet.schedule.ports)
    return [(at, fault) for at, port in ports for fault in port.strikes() + BESIDE]
