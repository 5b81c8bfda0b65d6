"""The manager: starts the programs in order, replaces one that dies, ends them in order."""

import dataclasses
import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mall.serve import database, place, programs
from mall.serve.children import Child, Ends
from mall.serve.place import CannotStart
from mall.serve.signals import Signals
from mall.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.05
IDLE_S = 60.0
ENDED_WITHIN_S = {Ends.FIRST: 2.6, Ends.THEN: 3.0, Ends.LAST: 3.8}  # of five, after somebody asked
SHOWN_OUTPUT_BYTES = 20_000
AS_ROOT = "ignore:You're running the worker with superuser privileges"  # as containers do


def say(sentence: str) -> None:
    """One line on stderr, even if nobody reads it any more."""
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:
        pass


class Manager:
    """The programs of one DATA_DIR."""

    def __init__(
        self, settings: Settings, signals: Signals, listener: socket.socket, family_lock: int
    ) -> None:
        self.settings = settings
        self.signals = signals
        self.listener = listener
        self.family_lock = family_lock
        self.children: list[Child] = []
        self.starting: list[Child] = []  # not yet of those that are replaced

    def start(self) -> None:
        """Start everything; what serves the shop waits until its stores and WeChat are ready."""
        database.probe(self.settings.database_url)
        stores = []
        if self.settings.embedded_redis:
            stores.append(programs.redis(self.settings))
        elif reason := programs.why_no_redis(self.settings.redis_url):
            say(f"REDIS_URL does not answer ({reason}): hot rewards and jobs wait until it does.")
        if self.settings.sandbox and not self.settings.wechat_api_url:
            port = place.free_port()
            stores.append(programs.sandbox(self.settings, port))
            address = f"http://{place.LOOPBACK}:{port}"
            self.settings = dataclasses.replace(self.settings, wechat_api_url=address)
        for child in stores:
            self._spawn(child)
        self._run(programs.flask("shop", "prepare"))  # meanwhile those get ready
        for child in stores:
            self._await(child)
        web = programs.web(self.settings, self.listener)
        for child in (web, programs.worker(), programs.beat(self.settings)):
            self._spawn(child)
            self._await(child)

    def supervise(self) -> None:
        """Replace what dies; ends with Stop, or with CannotStart when one dies too often."""
        while True:
            self._watch()
            due = [child.restart_at for child in self.children if child.restart_at is not None]
            self.signals.pause(min(due) - time.monotonic() if due else IDLE_S)

    def end(self) -> None:
        """End everything in order within five seconds of the wish, by force where needed."""
        asked_at = self.signals.asked_at or time.monotonic()
        self.listener.close()
        living = self.children + self.starting
        for turn in Ends:
            of_turn = [child for child in living if child.ends == turn]
            for child in of_turn:
                child.ask_to_end()
            while any(child.running for child in of_turn) and not self.signals.at_once:
                if time.monotonic() > asked_at + ENDED_WITHIN_S[turn]:
                    break
                self.signals.pause(POLL_S)
            for child in of_turn:
                child.kill()
        if self.settings.embedded_redis:
            (self.settings.data_dir / "redis.sock").unlink(missing_ok=True)

    def _await(self, child: Child) -> None:
        """Wait until a child that stays is ready; from then on it is replaced if it dies."""
        end = time.monotonic() + child.ready_within_s
        while reason := child.why_not_ready():
            if child.code is not None:
                raise CannotStart(f"{child.name} {_ended(child)} {self._hint(child)}")
            if time.monotonic() > end:
                raise CannotStart(
                    f"{child.name} was not ready within {child.ready_within_s:.0f} s: {reason}."
                )
            self._watch()
            self.signals.pause(POLL_S)
        self.starting.remove(child)
        self.children.append(child)

    def _run(self, child: Child) -> None:
        """Run a child that ends by itself; what it prints is shown if it fails."""
        with tempfile.TemporaryFile() as output:
            child.output = output
            self._spawn(child)
            end = time.monotonic() + child.ready_within_s
            while child.running and time.monotonic() < end:
                self._watch()
                self.signals.pause(POLL_S)
            self._watch()
            if child.code != 0:
                say(_tail_of(output.fileno()))
                raise CannotStart(f"{child.name} {_ended(child)}")
        self.starting.remove(child)

    def _spawn(self, child: Child) -> None:
        self.signals.check()
        child.descriptors += (self.family_lock,)
        self.starting.append(child)
        child.start(self._environment(), ROOT)

    def _environment(self) -> Mapping[str, str]:
        """What every child reads: the caller's environment, with what was filled in here."""
        settings = self.settings
        return os.environ | {
            "DATA_DIR": str(settings.data_dir),
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEYS": settings.secret_keys,
            "WECHAT_API_URL": settings.wechat_api_url,
            "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS") or AS_ROOT,
        }

    def _watch(self) -> None:
        """Raise Stop if somebody asked for the end; replace the children that died."""
        self.signals.check()
        for child in self.children:
            self._heal(child)

    def _heal(self, child: Child) -> None:
        """Replace a child that died, after a pause that grows with its deaths."""
        if child.restart_at is not None:
            if time.monotonic() >= child.restart_at:
                child.start(self._environment(), ROOT)
            return
        if child.running:
            return
        child.kill()  # its own children, which would hold the port or the data
        delay_s = child.plan_restart()
        if delay_s is None:
            raise CannotStart(f"Everything stops: {child.name} {_ended(child)} It died too often.")
        say(f"{child.name} {_ended(child)} It is started again.")

    def _hint(self, child: Child) -> str:
        log = self.settings.data_dir / "redis.log"
        return f"See {log}." if child.ends is Ends.LAST else "Its own words are above."


def _ended(child: Child) -> str:
    code = child.code
    if code is None:
        return "took too long."
    return f"was killed by signal {-code}." if code < 0 else f"ended with code {code}."


def _tail_of(descriptor: int) -> str:
    start = max(0, os.fstat(descriptor).st_size - SHOWN_OUTPUT_BYTES)
    return os.pread(descriptor, SHOWN_OUTPUT_BYTES, start).decode(errors="replace").rstrip()
