"""What is done to the running shop: processes killed, Redis emptied, PostgreSQL crashed."""

import contextlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from redis import RedisError

from tests.chaos.ground import Ground

WATCH_S = 0.003


def _parent(pid: int) -> int:
    try:
        found = re.search(r"^PPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0  # it ended meanwhile
    return int(found[1]) if found else 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return sorted(each for each in pids if _parent(each) == pid)


def program(ground: Ground, *marks: str) -> int | None:
    """The manager's child whose command line has all the marks; None while it has none."""
    for pid in children(ground.manager.pid):
        if all(mark in _command(pid) for mark in marks):
            return pid
    return None


def web_workers(ground: Ground) -> list[int]:
    master = program(ground, "gunicorn")
    return children(master) if master else []


def kill_web_worker(ground: Ground) -> bool:
    """Kill one of the web server's workers with whatever it is doing; False where none runs."""
    return _kill(web_workers(ground))


def kill_worker(ground: Ground) -> bool:
    """Kill the worker, in the middle of a job or not."""
    found = program(ground, "jobs", "work")
    return _kill([found] if found else [])


def _kill(pids: list[int]) -> bool:
    if not pids:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(random.choice(pids), signal.SIGKILL)
    return True


@contextlib.contextmanager
def every(seconds: float, act: Callable[[], object]) -> Iterator[list[float]]:
    """Do something again and again while the block runs; yields the moments it was done."""
    over, moments = threading.Event(), list[float]()

    def again() -> None:
        while not over.wait(seconds):
            moments.append(time.monotonic())
            act()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield moments
    finally:
        over.set()
        thread.join()


class GateWatch:
    """Looks at a gate all the time, and notes when it was there and of which epoch."""

    def __init__(self, ground: Ground, reward_id: int) -> None:
        self.ground, self.key = ground, f"{{rw:{reward_id}}}:g"
        self.over = threading.Event()
        self.seen: list[tuple[float, int | None, int, int]] = []  # moment, epoch, seq, units
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "GateWatch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def look(self) -> tuple[int | None, int, int]:
        """(epoch, seq, units); no epoch where there is no gate or no Redis."""
        try:
            epoch, seq, units = self.ground.redis.client.hmget(self.key, ["epoch", "seq", "avail"])
        except RedisError:
            return None, 0, 0
        return (int(epoch), int(seq or 0), int(units)) if epoch else (None, 0, 0)

    def _watch(self) -> None:
        while not self.over.wait(WATCH_S):
            before = time.monotonic()
            self.seen.append((before, *self.look()))

    def opened_after(self, moment: float, *, above_epoch: int = -1) -> float | None:
        """When the gate was first seen again, of a later epoch where that is asked."""
        for at, epoch, _, _ in self.seen:
            if at > moment and epoch is not None and epoch > above_epoch:
                return at
        return None

    def wait_for_epoch(self, above: int, *, since: float, within_s: float) -> float | None:
        """Seconds from a moment until the gate is of a later epoch; None where it never is."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            at = self.opened_after(since, above_epoch=above)
            if at is not None:
                return at - since
            time.sleep(WATCH_S)
        return None
