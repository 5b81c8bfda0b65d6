"""Requests that come together are looked up together, turned away together, and commit together.

RELIABILITY §4.4 calls it the group committer. Two queues, one behind the other, so that who is to
be refused never waits for those who commit.
"""

import time

from flask import current_app

from mall import clock, idempotency, rewards
from mall.errors import OutcomeUnknown, SoldOut, Unavailable
from mall.gathering import Gathering
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer
from mall.redemptions.door import enter_many
from mall.redemptions.gate import Entry, Outcome, Request, Ticket, by_reward, release
from mall.redemptions.redeem import commit_many

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
        self.till = Gathering(
            self._commit, apart=lambda ticket: ticket.request.member_id, steps_aside=True
        )
        self._epochs: dict[int, tuple[int, float]] = {}  # reward -> its epoch, and until when

    def redeem(self, request: Request) -> Outcome:
        entry = self.door.ask(request)
        if not isinstance(entry, Ticket):
            return entry
        try:
            return self.till.ask(entry)
        except OutcomeUnknown:
            raise
        except Unavailable:  # its turn never came
            release([entry])
            raise

    def _at_the_door(self, requests: list[Request]) -> list[Entry]:
        """What was answered before, what is refused, and a ticket for each of the rest."""
        refused = self._sold_out(requests)
        stored = idempotency.find_many([each.key for each in requests])  # a twin may have finished
        known = {
            request: found
            for request, answer in zip(requests, stored, strict=True)
            if (found := answer or refused.get(request)) is not None
        }
        rest = [each for each in requests if each not in known]
        entered = dict(zip(rest, enter_many(rest, now=clock.now()) if rest else [], strict=True))
        return [known[each] if each in known else entered[each] for each in requests]

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

    def _commit(self, tickets: list[Ticket]) -> list[Outcome]:
        return commit_many(tickets, now=clock.now())

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
