"""Requests that come together are looked up together, turned away together, and commit together.

RELIABILITY §4.4 calls it the group committer. Two queues, one behind the other, so that who is to
be refused never waits for those who commit.
"""

import time
from collections.abc import Iterable

from flask import current_app

from mall import clock, idempotency, rewards
from mall.errors import SoldOut
from mall.gathering import Gathering
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer
from mall.redemptions.gate import Outcome, Request, by_reward
from mall.redemptions.redeem import redeem_many

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


def together() -> "Together":
    """The queues of this process."""
    ours: Together = current_app.extensions.setdefault("redemptions", Together())
    return ours


class Together:
    """The queues of one process, and what was sold out a moment ago."""

    def __init__(self) -> None:
        self.door = Gathering(self._at_the_door, apart=lambda request: request.key)
        self.till = Gathering(self._commit, apart=lambda request: request.member_id)
        self._sold_out: dict[int, tuple[int, float]] = {}  # reward -> its epoch, and until when

    def redeem(self, request: Request) -> Outcome:
        return self.door.ask(request) or self.till.ask(request)

    def _at_the_door(self, requests: list[Request]) -> list[Outcome | None]:
        """What was answered before, and what is sold out still; None goes on to the till."""
        refused = self._sold_out_still(requests)
        stored = idempotency.find_many([each.key for each in requests])  # a twin may have finished
        return [answer or refused.get(each) for each, answer in zip(requests, stored, strict=True)]

    def _sold_out_still(self, requests: list[Request]) -> dict[Request, Outcome]:
        """Refuse by one look at a gate what it would refuse anyway."""
        now_s = time.monotonic()
        refused: dict[Request, Outcome] = {}
        for reward_id, group in by_reward(requests).items():
            epoch, until = self._sold_out.get(reward_id, (0, 0.0))
            if now_s < until:
                asks = [stock.Ask(each.member_id, each.token, each.quantity) for each in group]
                try:
                    left = stock.sold_out_many(reward_id, asks, epoch=epoch)
                except RedisError:
                    return refused
                gone = ((each, units) for each, units in zip(group, left, strict=True))
                refused |= {each: SoldOut(units_left=n) for each, n in gone if n is not None}
        return refused

    def _commit(self, requests: list[Request]) -> list[Outcome]:
        outcomes = redeem_many(requests, now=clock.now())
        refused = zip(requests, outcomes, strict=True)
        self._remember({each.reward_id for each, o in refused if isinstance(o, SoldOut)})
        return outcomes

    def _remember(self, sold_out: Iterable[int]) -> None:
        """Remember which rewards were sold out to somebody."""
        if not sold_out:
            return
        if len(self._sold_out) > REMEMBERED:
            self._sold_out.clear()
        until = time.monotonic() + SOLD_OUT_S
        for offer in rewards.on_offer(sold_out).values():
            self._sold_out[offer.id] = offer.epoch, until
