"""Requests that wait together commit together (RELIABILITY §4.4 calls it the group committer).

Nobody waits for company: who comes while nobody commits leads at once, alone. Who comes meanwhile
waits, and the first of those leads all that have gathered, in one transaction. A leader is one of
the requests' own threads and leads one batch, so there is no thread whose death would have to be
noticed; whatever a leader fails with, it tells the others and names the next.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from flask import current_app

from mall import clock, idempotency, rewards
from mall.errors import OutcomeUnknown, SoldOut, Unavailable
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer
from mall.redemptions.gate import Outcome, Request
from mall.redemptions.redeem import redeem_many

LED_AT_ONCE = 64
PATIENCE_S = 10.0
SOLD_OUT_S = 1.0  # for so long the gate of a reward that was sold out is asked for that first
REMEMBERED = 10_000


def redeem_together(request: Request) -> Answer:
    """Trade points for a reward, together with whoever asks for something at this moment.

    Raises what refuses it. Answers what its key was answered before, if it was.
    """
    outcome = together().redeem(request)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@dataclass(eq=False)
class Waiting:
    """A request in the queue, until it is told its outcome or that it leads."""

    request: Request
    told: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome | None = None
    leads: bool = False


class Together:
    """The queue of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[Waiting] = []
        self._is_led = False
        self._sold_out: dict[int, tuple[int, float]] = {}  # reward -> its epoch, and until when

    def redeem(self, request: Request) -> Outcome:
        refusal = self._is_sold_out_still(request)
        stored = idempotency.find(request.key)  # after the gate: a twin may just have finished
        return stored or refusal or self._in_turn(request)

    def _is_sold_out_still(self, request: Request) -> SoldOut | None:
        """Refuse by one look at the gate what it would refuse anyway; None where it might not."""
        epoch, until = self._sold_out.get(request.reward_id, (0, 0.0))
        if time.monotonic() >= until:
            return None
        token, quantity = request.token, request.quantity
        try:
            left = stock.sold_out(request.reward_id, epoch=epoch, token=token, quantity=quantity)
        except RedisError:
            return None
        return None if left is None else SoldOut(units_left=left)

    def _remember(self, batch: Iterable[Waiting]) -> None:
        """Remember which rewards were sold out to somebody."""
        gone = {each.request.reward_id for each in batch if isinstance(each.outcome, SoldOut)}
        if not gone:
            return
        if len(self._sold_out) > REMEMBERED:
            self._sold_out.clear()
        until = time.monotonic() + SOLD_OUT_S
        for offer in rewards.on_offer(gone).values():
            self._sold_out[offer.id] = offer.epoch, until

    def _in_turn(self, request: Request) -> Outcome:
        waiting = Waiting(request)
        with self._lock:
            self._queue.append(waiting)
            waiting.leads, self._is_led = not self._is_led, True
        if not waiting.leads:
            self._wait(waiting)
        if waiting.outcome is not None:
            return waiting.outcome
        return self._lead(waiting)

    def _wait(self, waiting: Waiting) -> None:
        """Wait to be told; after that there is an outcome, or `leads` is set."""
        if waiting.told.wait(PATIENCE_S):
            return
        with self._lock:
            if waiting.leads or waiting.outcome is not None:
                return
            if waiting in self._queue:
                self._queue.remove(waiting)
                raise Unavailable()
        raise OutcomeUnknown()

    def _lead(self, leader: Waiting) -> Outcome:
        batch = self._gather(leader)
        outcomes: list[Outcome] = [OutcomeUnknown() for _ in batch]
        try:
            outcomes = redeem_many([each.request for each in batch], now=clock.now())
        except Exception as error:
            outcomes = [error for _ in batch]
        finally:
            self._pass_on()
            for each, outcome in zip(batch, outcomes, strict=True):
                each.outcome = outcome
                each.told.set()
        self._remember(batch)
        assert leader.outcome is not None
        return leader.outcome

    def _gather(self, leader: Waiting) -> list[Waiting]:
        """Take out of the queue whoever goes along: the leader, and the first of each other member."""
        batch, members = [leader], {leader.request.member_id}
        with self._lock:
            for each in self._queue:
                if len(batch) < LED_AT_ONCE and each.request.member_id not in members:
                    batch.append(each)
                    members.add(each.request.member_id)
            gone = set(batch)
            self._queue = [each for each in self._queue if each not in gone]
        return batch

    def _pass_on(self) -> None:
        with self._lock:
            self._is_led = bool(self._queue)
            if self._queue:
                following = self._queue[0]
                following.leads = True
                following.told.set()


def together() -> Together:
    """The queue of this process."""
    ours: Together = current_app.extensions.setdefault("redemptions", Together())
    return ours
