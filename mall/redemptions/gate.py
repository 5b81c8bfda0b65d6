"""A request before its reward's gate: let in, turned away, and its lease ended once all is known."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mall import gates, idempotency, limits, rewards
from mall.errors import KeyInProgress, LimitReached, MallError, RewardBusy, Unavailable
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key
from mall.rewards import Offer

GATE_WAIT_S = 1.0
GATE_POLL_S = 0.01
Outcome = Answer | Exception


@dataclass(frozen=True)
class Request:
    """A shopper who wants `quantity` of a reward."""

    member_id: int
    reward_id: int
    quantity: int
    key: Key
    store_id: int | None = None
    address: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def token(self) -> str:
        return f"{self.member_id}:{self.key.text}"


def by_reward(requests: Iterable[Request]) -> dict[int, list[Request]]:
    groups: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.reward_id].append(request)
    return groups


class Held:
    """The gates' leases of a batch, to be settled or released once the outcome is known."""

    def __init__(self, periods: Mapping[int, str]) -> None:
        self.periods = periods  # of each reward's limit, at the moment the batch was asked
        self.asks: dict[Request, stock.Ask] = {}
        self.adopted: set[Request] = set()

    def settle(self, requests: Iterable[Request]) -> None:
        self._end(stock.settle, requests)

    def release(self, requests: Iterable[Request]) -> None:
        """Give back what these requests took themselves.

        An adopted lease is left to the reaper: the twin it comes from may stand, or still run.
        """
        self._end(stock.release, [each for each in requests if each not in self.adopted])

    def end(self, outcomes: Mapping[Request, Outcome]) -> None:
        """Settle what was granted, release the rest."""
        granted = {each for each, outcome in outcomes.items() if self._is_taken(each, outcome)}
        self.settle(granted)
        self.release(set(outcomes) - granted)

    def _is_taken(self, request: Request, outcome: Outcome) -> bool:
        """Whether a lease's units are gone. A twin's answer has taken those of the twin's lease."""
        return isinstance(outcome, Answer) and (not outcome.replayed or request in self.adopted)

    def _end(self, how: Any, requests: Iterable[Request]) -> None:
        leased = [each for each in requests if each in self.asks]
        for reward_id, group in by_reward(leased).items():
            try:
                asks = [self.asks[request] for request in group]
                how(reward_id, asks, period=self.periods[reward_id])
            except RedisError:
                return  # the reaper ends them

    def keyed(self, request: Request) -> Key:
        """The request's key with the lease of this attempt."""
        ask = self.asks.get(request)
        return replace(request.key, lease=ask.lease if ask else None)


def pass_gate(reward: Offer, group: Sequence[Request], held: Held) -> dict[Request, Outcome | None]:
    """Ask the gate for each request: None lets it in. Without a gate, SQL alone decides."""
    asks = {
        request: stock.Ask(request.member_id, request.token, request.quantity) for request in group
    }
    try:
        verdicts = _reserve(reward, list(asks.values()), held.periods[reward.id])
    except (RedisError, stock.NoGate):
        return {request: RewardBusy() if reward.hot else None for request in group}
    except Unavailable as busy:  # the gate could not be rebuilt; others of the batch hold leases
        return dict.fromkeys(group, busy)
    outcomes: dict[Request, Outcome | None] = {}
    for (request, ask), verdict in zip(asks.items(), verdicts, strict=True):
        refusal = _refusal(verdict, reward, request)
        if refusal is None:
            held.asks[request] = ask
        if verdict is stock.Verdict.ADOPTED:
            held.adopted.add(request)
        outcomes[request] = refusal and (_of_key(request.key) or refusal)
    return outcomes


def _of_key(key: Key) -> Outcome | None:
    """What a twin that has finished meanwhile was answered: its unit may be what is missing."""
    try:
        return idempotency.find(key)
    except MallError as refusal:
        return refusal


def _reserve(reward: Offer, asks: list[stock.Ask], period: str) -> list[stock.Verdict]:
    """Reserve at the gate; one that is absent or of another epoch is rebuilt first.

    One request of a crowd rebuilds it, the others wait a moment for that one.
    """
    epoch, limit, forget_at = reward.epoch, reward.per_member_limit, limits.forget_at(period)
    give_up_at = time.monotonic() + GATE_WAIT_S
    while True:
        try:
            return stock.reserve_many(
                reward.id, asks, epoch=epoch, limit=limit, period=period, forget_at=forget_at
            )
        except stock.NoGate:
            if time.monotonic() > give_up_at:
                raise
        known, epoch = epoch, _epoch_now(reward.id)
        if epoch == known:
            if not gates.rebuild(reward.id):
                time.sleep(GATE_POLL_S)
            epoch = _epoch_now(reward.id)


def _epoch_now(reward_id: int) -> int:
    return rewards.on_offer([reward_id])[reward_id].epoch


def limit_reached(reward: Offer) -> LimitReached:
    return LimitReached(limit=reward.per_member_limit, period=reward.limit_period)


def period_of(reward: Offer, now: datetime) -> str:
    return limits.period_of(reward.limit_period, now)


def _refusal(verdict: stock.Verdict, reward: Offer, request: Request) -> Exception | None:
    match verdict:
        case stock.Verdict.SOLD_OUT:
            return rewards.sold_out(reward.units_left, request.quantity)
        case stock.Verdict.LIMIT:
            return limit_reached(reward)
        case stock.Verdict.HELD:
            return KeyInProgress()
        case _:
            return None
