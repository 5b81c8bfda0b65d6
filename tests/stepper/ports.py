"""The outside calls: SQL, Redis and sleep, each of which asks the schedule before it is made."""

import hashlib
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from flask import Flask
from redis.exceptions import TimeoutError as RedisTimeout

from mall import atomic as transactions
from mall.guards import client
from models import db
from tests.stepper.faults import BEGIN, COMMIT, REDIS, SLEEP, SQL, Fault, Port
from tests.stepper.schedule import Schedule

TABLE = re.compile(r"\b(?:INTO|FROM|UPDATE)\s+(\w+)", re.S)
OVERSLEPT_S = 0.3  # a busy machine: whoever polls gives up after a few rounds


@cache
def sql_port(statement: str) -> Port | None:
    """The port of a statement; None where a call can't wait, fail or matter by itself."""
    words = statement.split(None, 1)[0].upper()
    if words == "BEGIN":
        return Port(BEGIN, statement, locks=True) if "IMMEDIATE" in statement else None
    table = TABLE.search(statement)
    label = f"{words} {table[1] if table else ''}"
    locking = " FOR " in statement and words == "SELECT"
    return Port(SQL, label + " FOR UPDATE" * locking, locks=words != "SELECT" or locking)


@cache
def _scripts() -> dict[str, str]:
    """Script names by the hash that Redis knows them by."""
    found = Path(client.__file__).parent.glob("*.lua")
    return {hashlib.sha1(path.read_bytes()).hexdigest(): path.stem for path in found}


def redis_port(words: tuple[Any, ...]) -> Port:
    name = _scripts().get(str(words[1]) if len(words) > 1 else "")
    if name is None:
        return Port(REDIS, f"redis {words[0]}")
    how = words[3 + int(words[2])] if name == "stock_end" else ""
    return Port(REDIS, f"redis {name} {how}".strip())


class Time:
    """`time` for modules that poll: nobody sleeps, but time passes."""

    def __init__(self, ports: "Ports") -> None:
        self._ports, self.passed_s = ports, 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def time(self) -> float:
        return time.time() + self.passed_s

    def sleep(self, seconds: float) -> None:
        self._ports.call(Port(SLEEP, "sleep"), lambda: self.pass_by(seconds + OVERSLEPT_S))

    def pass_by(self, seconds: float) -> None:
        self.passed_s += seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def _let_turns_be() -> list[Callable[[], None]]:
    """The schedule says whose turn it is; a courtesy among writers must not decide otherwise."""
    courtesy = transactions.turn_of
    transactions.turn_of = lambda *_, **__: nullcontext(True)
    return [partial(setattr, transactions, "turn_of", courtesy)]


class Ports:
    """The hooks of one application. `schedule` is whose workers are asked; None lets all pass."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.schedule: Schedule | None = None
        self.time = Time(self)

    def call(
        self, port: Port, do: Callable[[], Any], broken: Callable[[Fault], Any] = RuntimeError
    ) -> Any:
        schedule = self.schedule
        worker = schedule.me() if schedule else None
        if schedule is None or worker is None:
            return do()
        return schedule.call(worker, port, do, broken)

    @contextmanager
    def hooked(self) -> Iterator["Ports"]:
        """Step around every outside call of the application, until the end of the block."""
        undo = [*self._hook_sql(), *self._hook_redis(), *self._hook_time(), *_let_turns_be()]
        try:
            yield self
        finally:
            for act in undo:
                act()

    # SQL

    def _hook_sql(self) -> list[Callable[[], None]]:
        dialect = db.engine.dialect
        hooks: dict[str, Callable[..., Any]] = {
            "do_execute": self._execute,
            "do_executemany": self._execute,
            "do_execute_no_params": self._execute,
            "do_commit": self._commit,
        }
        for name, hook in hooks.items():
            setattr(dialect, name, partial(hook, getattr(dialect, name)))
        endings = {"do_rollback": self._end, "do_close": self._close, "do_terminate": self._close}
        for name, hook in endings.items():
            setattr(dialect, name, partial(hook, getattr(dialect, name)))
        return [partial(delattr, dialect, name) for name in (*hooks, *endings)]

    def _execute(self, do: Any, cursor: Any, statement: str, *more: Any, **named: Any) -> Any:
        port = sql_port(statement)
        act = partial(do, cursor, statement, *more, **named)
        if port is None:
            return act()
        raw = cursor.connection
        answer = self.call(port, act, partial(self._broken, raw))
        if port.kind == BEGIN and self.schedule:
            self.schedule.writer = id(raw)
        return answer

    def _commit(self, do: Any, connection: Any) -> Any:
        raw = _raw(connection)
        act = partial(self._end, do, connection)
        return self.call(Port(COMMIT, "COMMIT"), act, partial(self._broken, raw))

    def _end(self, do: Any, connection: Any) -> Any:
        """A transaction's end, known to SQLite's one writer."""
        try:
            return do(connection)
        finally:
            self._let_go(_raw(connection))

    def _close(self, do: Any, connection: Any) -> Any:
        """A connection's end. SQLite's would keep its locks as long as a cursor has rows."""
        raw = _raw(connection)
        if isinstance(raw, sqlite3.Connection):
            with suppress(sqlite3.ProgrammingError):  # closed before
                raw.rollback()
        return self._end(do, connection)

    def _let_go(self, raw: Any) -> None:
        if self.schedule and self.schedule.writer == id(raw):
            self.schedule.writer = None

    def _broken(self, raw: Any, fault: Fault) -> Exception:
        """How a database that failed looks to its caller."""
        sqlite = isinstance(raw, sqlite3.Connection)
        if fault is Fault.LOCKED:
            if sqlite:
                return sqlite3.OperationalError("database is locked")
            return psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")
        self._close(lambda connection: connection.close(), raw)
        if sqlite:
            return sqlite3.ProgrammingError("Cannot operate on a closed database.")
        return psycopg.OperationalError("server closed the connection unexpectedly")

    # Redis

    def _hook_redis(self) -> list[Callable[[], None]]:
        """Patched on the client itself, beneath whatever the product wraps around it."""
        redis = self.app.extensions["redis"]
        execute, pipeline = redis.execute_command, redis.pipeline

        def stepped(*words: Any, **options: Any) -> Any:
            return self.call(redis_port(words), partial(execute, *words, **options), _timed_out)

        def stepped_pipeline(*words: Any, **options: Any) -> Any:
            pipe = pipeline(*words, **options)
            act = pipe.execute
            pipe.execute = lambda *a, **k: self.call(
                Port(REDIS, "redis pipeline"), partial(act, *a, **k), _timed_out
            )
            return pipe

        redis.execute_command, redis.pipeline = stepped, stepped_pipeline
        return [partial(delattr, redis, name) for name in ("execute_command", "pipeline")]

    # time

    def _hook_time(self) -> list[Callable[[], None]]:
        """Every module of ours that waits or measures, but for the clock itself."""
        for module in _that_wait():
            module.time = self.time  # type: ignore[attr-defined]
        return [partial(setattr, module, "time", time) for module in _that_wait()]


@cache
def _that_wait() -> tuple[ModuleType, ...]:
    return tuple(
        module
        for name, module in sys.modules.items()
        if name.startswith("mall.") and name != "mall.clock"
        if not name.startswith("mall.serve") and getattr(module, "time", None) is time
    )


def _raw(connection: Any) -> Any:
    return getattr(connection, "dbapi_connection", None) or connection


def _timed_out(_fault: Fault) -> Exception:
    return RedisTimeout("Timeout reading from socket")
