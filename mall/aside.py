"""Whoever waits for others steps aside meanwhile, so that somebody else can be served.

A worker serves few requests at once. One that waits for its turn does no work, yet would keep the
place of one that could; whatever runs outside such a worker has no place to give up.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Place(Protocol):
    """What a thread of a worker has while it serves."""

    def leave(self) -> None: ...

    def come_back(self) -> None: ...


class _Here(threading.local):
    place: Place | None = None


here = _Here()


@contextmanager
def aside() -> Iterator[None]:
    """Give this thread's place to another while the block waits."""
    place = here.place
    if place is None:
        yield
        return
    place.leave()
    try:
        yield
    finally:
        place.come_back()
