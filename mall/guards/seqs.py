"""How far each gate has counted, as this process has seen it.

A gate's count of calls only grows. Whoever is answered with one that is not greater than one known
before the call speaks to a server that went back in time: a replica that was behind, an old dump.
"""

import threading

from flask import current_app

REMEMBERED = 20_000


class Seqs:
    """The last count seen of each reward's newest gate; shared by a process's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[int, int]] = {}

    def known(self, reward_id: int, epoch: int) -> int:
        """The last count seen of a gate; to be asked before a call."""
        with self._lock:
            seen_epoch, seq = self._seen.get(reward_id, (epoch, 0))
            return seq if seen_epoch == epoch else 0

    def saw(self, reward_id: int, epoch: int, seq: int) -> None:
        """Remember a count that an answer told; what an older gate told is forgotten."""
        with self._lock:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[reward_id] = max(self._seen.get(reward_id, (0, 0)), (epoch, seq))


def seqs() -> Seqs:
    known: Seqs = current_app.extensions.setdefault("gate_seqs", Seqs())
    return known
