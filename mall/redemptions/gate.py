"""A request before its reward's gate: let in, turned away, and its lease ended once all is known."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mall import gates, limits, rewards
from mall.errors import KeyInProgress, LimitReached, RewardBusy, Unavailable
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


@dataclass(eq=False)
class Ticket:
    """A request that was let in: the terms it was let in under, and its lease, if it has one.

    An adopted lease is a twin's, which may stand or still run.
    """

    request: Request
    reward: Offer
    period: str  # of the reward's limit, at the moment it was let in
    ask: stock.Ask | None = None
    adopted: bool = False
    points: int = 0  # what it costs its member, once it is judged

    @property
    def key(self) -> Key:
        """The request's key with the lease of this attempt."""
        return replace(self.request.key, lease=self.ask.lease if self.ask else None)


Entry = Ticket | Outcome


def settle(tickets: Iterable[Ticket]) -> None:
    """End the leases of those whose units are gone."""
    _end(stock.settle, tickets)


def release(tickets: Iterable[Ticket]) -> None:
    """Give back what these requests took themselves; what they adopted is its taker's, or the reaper's."""
    _end(stock.release, [each for each in tickets if not each.adopted])


def end(outcomes: Mapping[Ticket, Outcome]) -> None:
    """Settle what was granted, release the rest: a twin's answer took the twin's units."""
    granted = [each for each, outcome in outcomes.items() if _is_granted(outcome)]
    settle(granted)
    release(set(outcomes) - set(granted))


def _is_granted(outcome: Outcome) -> bool:
    return isinstance(outcome, Answer) and not outcome.replayed


def _end(how: Callable[..., int], tickets: Iterable[Ticket]) -> None:
    groups: dict[tuple[int, str], list[stock.Ask]] = defaultdict(list)
    for ticket in tickets:
        if ticket.ask is not None:
            groups[ticket.reward.id, ticket.period].append(ticket.ask)
    for (reward_id, period), asks in groups.items():
        try:
            how(reward_id, asks, period=period)
        except RedisError:
            return  # the reaper ends them


def pass_gate(reward: Offer, group: Sequence[Request], period: str) -> dict[Request, Entry]:
    """Ask the gate for each request. Without a gate it is let in with no lease: SQL alone decides."""
    asks = [stock.Ask(each.member_id, each.token, each.quantity) for each in group]
    try:
        verdicts = _reserve(reward, asks, period)
    except (RedisError, stock.NoGate):
        return {
            each: RewardBusy() if reward.hot else Ticket(each, reward, period) for each in group
        }
    except Unavailable as busy:  # the gate could not be rebuilt; others of the batch hold leases
        return dict.fromkeys(group, busy)
    entries: dict[Request, Entry] = {}
    for request, ask, verdict in zip(group, asks, verdicts, strict=True):
        refusal = _refusal(verdict, reward, request)
        adopted = verdict is stock.Verdict.ADOPTED
        entries[request] = refusal or Ticket(request, reward, period, ask, adopted)
    return entries


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
