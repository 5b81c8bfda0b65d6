"""The baton: who runs next, what strikes, and the trace of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.stepper.faults import BESIDE, DONE_UNHEARD, UNDONE, Fault, Killed, Port

MAX_CALLS = 5_000  # a schedule that needs more is going in circles
STUCK_S = 30.0
READY, RUNNING, PARKED, ENDED = "ready", "running", "parked", "ended"


class Stuck(AssertionError):
    """Nobody can go on: a lock that nobody gives up, or work without an end."""


class Plan(Protocol):
    """What decides."""

    def choose(self, ready: list["Worker"], last: "Worker | None") -> "Worker": ...

    def strike(self, at: int, port: Port, worker: "Worker") -> Fault | None: ...


@dataclass(eq=False)
class Worker:
    """A thread that runs only while it holds the baton."""

    name: str
    work: Callable[[], Any]
    state: str = READY
    dead: bool = False
    at: Port | None = None
    in_call: int = 0
    doing: Any = None  # what it is asked for at the moment
    error: BaseException | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    thread: threading.Thread | None = None


@dataclass(frozen=True)
class Step:
    """A line of the trace."""

    at: int
    worker: str
    port: str
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.at:4d}  {self.worker:<12} {self.port:<44} {self.fault.upper()}"


class Schedule:
    """Workers taking turns until all have ended.

    `grace_s` is None where a worker that waits for a lock is known (SQLite has one writer, and
    `writer` says whose connection it is); else a worker silent for so long is parked until it
    comes back.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        beside: Callable[["Schedule", Fault, Worker], None],
        grace_s: float | None = None,
    ) -> None:
        self.plan, self.beside, self.grace_s = plan, beside, grace_s
        self.workers: list[Worker] = []
        self.trace: list[Step] = []
        self.ports: list[Port] = []
        self.writer: int | None = None
        self.running: Worker | None = None
        self.first: Worker | None = None
        self.failure: BaseException | None = None
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._local = threading.local()

    @property
    def calls(self) -> int:
        return len(self.ports)

    def me(self) -> Worker | None:
        """The worker that asks; None for a thread that does not take part."""
        return getattr(self._local, "worker", None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What this thread calls inside the block is no part of the schedule."""
        worker, self._local.worker = self.me(), None
        try:
            yield
        finally:
            self._local.worker = worker

    def add(self, name: str, work: Callable[[], Any], *, at_once: bool = False) -> Worker:
        """Add a worker; `at_once` lets it run before anybody else goes on, as far as it can."""
        worker = Worker(name, work)
        worker.thread = threading.Thread(target=self._live, args=(worker,), daemon=True)
        self.workers.append(worker)
        worker.thread.start()
        if at_once:
            self.first = worker
        return worker

    def run(self) -> None:
        """Hand out the baton and wait for the end of all."""
        with self._mutex:
            self._hand_on()
        waited_s, seen = 0.0, -1
        pause_s = self.grace_s or STUCK_S
        while not self._ended.wait(pause_s):
            waited_s = waited_s + pause_s if seen == self.calls else 0.0
            if waited_s > STUCK_S or not self.grace_s:
                raise Stuck(f"nobody came back:\n{self.told()}")
            if seen == self.calls:
                self._park()
            seen = self.calls
        for worker in self.workers:
            assert worker.thread is not None
            worker.thread.join(STUCK_S)
        if self.failure:
            raise self.failure

    def told(self) -> str:
        """The trace, for people."""
        return "\n".join(str(step) for step in self.trace)

    def note(self, worker: Worker, what: str, fault: str = "") -> None:
        self.trace.append(Step(self.calls, worker.name, what, fault))

    # inside a worker's thread

    def call(
        self, worker: Worker, port: Port, do: Callable[[], Any], broken: Callable[[Fault], Any]
    ) -> Any:
        """An outside call, with what strikes it; `broken` says how a fault shows."""
        fault = self._before(worker, port)
        if fault is Fault.KILL_BEFORE:
            self._kill(worker)
        if fault in UNDONE:
            raise broken(fault)
        answer = self._carry_out(worker, do)
        if fault is Fault.KILL_AFTER:
            self._kill(worker)
        if fault in DONE_UNHEARD:
            raise broken(fault)
        return answer

    def _kill(self, worker: Worker) -> None:
        worker.dead = True
        raise Killed()

    def _before(self, worker: Worker, port: Port) -> Fault | None:
        if worker.dead or self.failure:
            raise Killed()
        worker.at = port
        self._yield(worker)
        fault = self.plan.strike(self.calls, port, worker)
        self.note(worker, port.label, fault or "")
        self.ports.append(port)
        if self.calls > MAX_CALLS:
            self.failure = Stuck(f"more than {MAX_CALLS} calls:\n{self.told()}")
            raise Killed()
        if fault in BESIDE:
            self.beside(self, fault, worker)
            if self.first is not None:
                self._yield(worker)
            return None
        return fault

    def _carry_out(self, worker: Worker, do: Callable[[], Any]) -> Any:
        if self.grace_s is None:
            return do()
        worker.in_call = self.calls
        try:
            return do()
        finally:
            worker.in_call = 0
            self._come_back(worker)

    def _live(self, worker: Worker) -> None:
        self._local.worker = worker
        worker.go.acquire()
        try:
            worker.work()
        except Killed:
            pass
        except BaseException as error:
            worker.error = error
        finally:
            with self._mutex:
                worker.state = ENDED
                self._hand_on()

    # the baton

    def _yield(self, worker: Worker) -> None:
        with self._mutex:
            worker.state = READY
            if self._hand_on(last=worker) is worker:
                return
        worker.go.acquire()
        if self.failure:
            raise Killed()

    def _hand_on(self, last: Worker | None = None) -> Worker | None:
        """Choose who runs; whoever is chosen is woken, unless it is the one who asks."""
        chosen = self._choose(last)
        self.running = chosen
        if chosen is not None:
            chosen.state = RUNNING
            if chosen is not last:
                chosen.go.release()
        elif all(worker.state == ENDED for worker in self.workers):
            self._ended.set()
        elif not any(worker.state == PARKED for worker in self.workers):
            self._give_up()
        return chosen

    def _choose(self, last: Worker | None) -> Worker | None:
        ready = [each for each in self.workers if each.state == READY and not self._waits(each)]
        if self.failure:
            ready = [each for each in self.workers if each.state == READY]
        if not ready:
            return None
        if self.first in ready:
            return self.first
        if self.first and self.first.state == ENDED:
            self.first = None
        return self.plan.choose(ready, last if last in ready else None)

    def _waits(self, worker: Worker) -> bool:
        """Whether it would wait for SQLite's one writer."""
        return self.writer is not None and worker.at is not None and worker.at.kind == "begin"

    def _give_up(self) -> None:
        self.failure = Stuck(f"nobody can go on:\n{self.told()}")
        self._hand_on()

    # a database that does not say who waits

    def _park(self) -> None:
        with self._mutex:
            worker = self.running
            if worker is not None and worker.in_call:
                worker.state = PARKED
                self._hand_on()

    def _come_back(self, worker: Worker) -> None:
        with self._mutex:
            if worker.state != PARKED:
                return
            worker.state = READY
            if self.running is None:
                worker.state, self.running = RUNNING, worker
                return
        worker.go.acquire()
