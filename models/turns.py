"""SQLite's writers, each in turn.

SQLite keeps one write lock for a whole file, and no line before it: who finds it taken sleeps, in
the end for 100 ms at a time, and may be overtaken for seconds by whoever looks at a better moment.
Here they stand in line first. It is a courtesy: what is written past it, by another program or
after its files were deleted, SQLite's own lock still guards.
"""

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

LOOK_AGAIN_S = 0.001
_LOCK = threading.Lock()
_OF_ENGINES: "weakref.WeakKeyDictionary[sa.Engine, Turns]" = weakref.WeakKeyDictionary()


@contextmanager
def turn_of(engine: sa.Engine, *, within_s: float) -> Iterator[bool]:
    """A block that writes, in its turn; tells whether the turn came. PostgreSQL needs none."""
    turns = _turns_of(engine)
    if turns is None:
        yield True
        return
    came = turns.take(within_s=within_s)
    try:
        yield came
    finally:
        if came:
            turns.leave()


def _turns_of(engine: sa.Engine) -> "Turns | None":
    path = engine.url.database
    if engine.dialect.name != "sqlite" or path in (None, "", ":memory:"):
        return None
    with _LOCK:
        if engine not in _OF_ENGINES:
            _OF_ENGINES[engine] = Turns(str(path))
        return _OF_ENGINES[engine]


class Turns:
    """The writers of one database file, in this process and in others.

    The threads of a process agree among themselves first. Of each process one stands in line, and
    keeps `next` while it waits for `now`: nobody takes two turns while another waits for one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._ours = threading.Lock()
        self._opened_by = 0
        self._next = self._now = -1

    def take(self, *, within_s: float) -> bool:
        """Wait for the turn; who gets it must `leave`."""
        until = time.monotonic() + within_s
        if not self._ours.acquire(timeout=within_s):
            return False
        is_ours = False
        try:
            self._open()
            is_ours = self._stand_in_line(until)
        finally:
            if not is_ours:
                self._ours.release()
        return is_ours

    def leave(self) -> None:
        fcntl.flock(self._now, fcntl.LOCK_UN)
        self._ours.release()

    def _stand_in_line(self, until: float) -> bool:
        if not _locked(self._next, until):
            return False
        try:
            return _locked(self._now, until)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def _open(self) -> None:
        """A lock is its opener's: a forked child that kept the files would share its parent's."""
        if self._opened_by != os.getpid():
            self._next, self._now = (self._file(name) for name in ("next", "now"))
            self._opened_by = os.getpid()

    def _file(self, name: str) -> int:
        file = os.open(f"{self._path}-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, file)
        return file


def _locked(file: int, until: float) -> bool:
    """Lock a file; the death of a process unlocks what it had locked."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_AGAIN_S)
