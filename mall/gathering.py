"""Those who want the same thing at the same moment have it done together, by one of them.

Nobody waits for company: who comes while nobody is at it leads at once, alone. Who comes meanwhile
waits, and the first of those leads all that have gathered. A leader is one of those who ask and
leads one batch, so there is no thread of its own whose death would have to be noticed; whatever a
leader fails with, it tells the others and names the next.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mall.aside import aside
from mall.errors import OutcomeUnknown, Unavailable

LED_AT_ONCE = 64
PATIENCE_S = 10.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class Waiting(Generic[Item, Result]):
    """Somebody in the queue, until told a result or that it is their turn to lead."""

    item: Item
    told: threading.Event = field(default_factory=threading.Event)
    result: Result | None = None
    error: BaseException | None = None
    is_done: bool = False
    leads: bool = False


class Gathering(Generic[Item, Result]):
    """One queue of one process.

    `act` does it for a batch, and answers in order. No two of a batch have the same `apart`. Where
    a batch takes long, those who wait step aside for others (mall/aside.py).
    """

    def __init__(
        self,
        act: Callable[[list[Item]], Sequence[Result]],
        *,
        apart: Callable[[Item], Hashable],
        steps_aside: bool = False,
    ) -> None:
        self._act, self._apart = act, apart
        self._waiting_room = aside if steps_aside else nullcontext
        self._lock = threading.Lock()
        self._queue: list[Waiting[Item, Result]] = []
        self._is_led = False

    def ask(self, item: Item) -> Result:
        """Have it done; raises what the batch raised.

        Unavailable where the turn never came, so that nothing has happened; OutcomeUnknown where
        the batch was under way and its leader died or took too long.
        """
        waiting: Waiting[Item, Result] = Waiting(item)
        with self._lock:
            waiting.leads, self._is_led = not self._is_led, True
            if not waiting.leads:
                self._queue.append(waiting)
        if not waiting.leads:
            self._wait(waiting)
        if waiting.leads:
            self._lead(waiting)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.is_done
        return waiting.result  # type: ignore[return-value]

    def _wait(self, waiting: Waiting[Item, Result]) -> None:
        with self._waiting_room():
            if waiting.told.wait(PATIENCE_S):
                return
        with self._lock:
            if waiting.leads or waiting.is_done:
                return
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise Unavailable()
        raise OutcomeUnknown()

    def _lead(self, leader: Waiting[Item, Result]) -> None:
        batch = self._gather(leader)
        error: BaseException | None = OutcomeUnknown()
        results: Sequence[Result] = ()
        try:
            results = self._act([each.item for each in batch])
            error = None
        except Exception as failure:
            error = failure
        finally:
            self._pass_on()
            for number, each in enumerate(batch):
                each.error, each.is_done = error, True
                if error is None:
                    each.result = results[number]
                each.told.set()

    def _gather(self, leader: Waiting[Item, Result]) -> list[Waiting[Item, Result]]:
        """Take out of the queue whoever goes along: those who came first, and may go together."""
        batch, kept, known = [leader], [], {self._apart(leader.item)}
        with self._lock:
            for each in self._queue:
                if len(batch) < LED_AT_ONCE and self._apart(each.item) not in known:
                    batch.append(each)
                    known.add(self._apart(each.item))
                else:
                    kept.append(each)
            self._queue = kept
        return batch

    def _pass_on(self) -> None:
        """Let the first of those who wait lead."""
        with self._lock:
            self._is_led = bool(self._queue)
            if self._queue:
                following = self._queue.pop(0)
                following.leads = True
                following.told.set()
