"""The web workers share connections evenly.

Whoever wakes first takes a new connection, and a proxy keeps its connections for hours: left to
chance, one worker may serve them all while its neighbours sleep. So each worker tells the others
how many it has, in memory they share, and one that is ahead lets the others take the next.
"""

import math
import mmap
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from mall.serve.places import Places

SLOTS = 256
AHEAD = 3  # connections more than the worker with the fewest has
FRESH_S = 2.0  # a worker that has told nothing for longer hangs, or is gone: it takes none
ASIDE = 240  # threads that wait for others, beside those at work
PAUSE_S = 0.02  # until a worker that is ahead looks again

_told = memoryview(mmap.mmap(-1, SLOTS * 16)).cast("d")  # of each slot: connections, and when told


def give_slot(server: Any, worker: Any) -> None:
    """Before a worker is forked: a place of its own in the shared memory."""
    taken = {each.slot for each in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(SLOTS) if slot not in taken)
    _told[2 * worker.slot + 1] = -math.inf


class FairThreads(ThreadWorker):  # type: ignore[misc]
    """A worker with threads, which takes no more connections than its share."""

    slot: int

    @property
    def worker_connections(self) -> float:
        """How many connections it may have before it stops to accept others."""
        since = time.monotonic() - FRESH_S
        others = [
            _told[2 * slot]
            for slot in range(2 * self.cfg.workers)  # twice as many while they are replaced
            if slot != self.slot and _told[2 * slot + 1] >= since
        ]
        return min([self._most, *(told + AHEAD for told in others)])

    @worker_connections.setter
    def worker_connections(self, most: int) -> None:
        self._most = most

    def get_thread_pool(self) -> Places:
        return Places(self.cfg.threads, most=self.cfg.threads + ASIDE)

    def notify(self) -> None:
        """Tell the manager that it lives, as ever, and the others what it has."""
        super().notify()
        _told[2 * self.slot] = self.nr_conns
        _told[2 * self.slot + 1] = time.monotonic()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(timeout if self._accepting else min(timeout, PAUSE_S))
