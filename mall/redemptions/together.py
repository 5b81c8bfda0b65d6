"""Requests that come together are looked up together, turned away together, and commit together.

RELIABILITY §4.4 calls it the group committer. Two queues, one behind the other, so that who is to
be refused never waits for those who commit.
"""

import time

from flask import current_app

from mall import clock, idempotency, rewards
from mall.errors import SoldOut
from mall.gathering import Gathering
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer
from mall.redemptions.gate import Outcome, Request, by_reward
from mall.redemptions.redeem import redeem_many

KNOWN_S = 1.0  # for so long an epoch is asked for at the door without being read again
KNOWN = 10_000


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
    """The queues of one process, and the epochs of the rewards that are asked for."""

    def __init__(self) -> None:
        self.door = Gathering(self._at_the_door, apart=lambda request: request.key)
        self.till = Gathering(self._commit, apart=lambda request: request.member_id)
        self._epochs: dict[int, tuple[int, float]] = {}  # reward -> its epoch, and until when

    def redeem(self, request: Request) -> Outcome:
        return self.door.ask(request) or self.till.ask(request)

    def _at_the_door(self, requests: list[Request]) -> list[Outcome | None]:
        """What was answered before, and what is sold out; None goes on to the till."""
        refused = self._sold_out(requests)
        stored = idempotency.find_many([each.key for each in requests])  # a twin may have finished
        return [answer or refused.get(each) for each, answer in zip(requests, stored, strict=True)]

    def _sold_out(self, requests: list[Request]) -> dict[Request, Outcome]:
        """Refuse by one look at a gate what it would refuse anyway, so that it need not queue."""
        groups = by_reward(requests)
        self._learn(set(groups))
        refused: dict[Request, Outcome] = {}
        for reward_id, group in groups.items():
            epoch, _ = self._epochs.get(reward_id, (0, 0.0))
            asks = [stock.Ask(each.member_id, each.token, each.quantity) for each in group]
            try:
                left = stock.sold_out_many(reward_id, asks, epoch=epoch)
            except RedisError:
                break
            gone = zip(group, left, strict=True)
            refused |= {each: SoldOut(units_left=n) for each, n in gone if n is not None}
        return refused

    def _commit(self, requests: list[Request]) -> list[Outcome]:
        return redeem_many(requests, now=clock.now())

    def _learn(self, reward_ids: set[int]) -> None:
        """Read the epochs of rewards that are asked for and not known, or known for too long."""
        now_s = time.monotonic()
        old = {each for each in reward_ids if self._epochs.get(each, (0, 0.0))[1] <= now_s}
        if not old:
            return
        if len(self._epochs) > KNOWN:
            self._epochs.clear()
        for offer in rewards.on_offer(old).values():
            self._epochs[offer.id] = offer.epoch, now_s + KNOWN_S
