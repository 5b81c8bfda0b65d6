"""Trade points for rewards.

`redeem_many` is the one path. Redis turns the crowd away; one SQL transaction decides: keys →
accounts → lots → limit counters → rows → the rewards' own rows last, because every other shopper
waits for those. docs/redemption.md tells the protocol with its crash points.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mall import clock, gates, idempotency, limits, points, rewards, tiers, vouchers
from mall.atomic import atomic
from mall.errors import (
    AddressNeeded,
    KeyInProgress,
    LimitReached,
    MallError,
    NotFound,
    OutcomeUnknown,
    PaymentNeeded,
    RewardBusy,
    SoldOut,
    TierTooLow,
)
from mall.events import Redeemed, record_many
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key, Replayed, to_bytes
from mall.points import Book, Cause
from mall.rewards import Offer
from models import Redemption, Store, Tier, db
from models.base import insert

log = logging.getLogger(__name__)

ROUTE = "POST /api/v1/me/redemptions"
MAX_QUANTITY = 99
GATE_WAIT_S = 1.0
GATE_POLL_S = 0.01
NEEDS_VOUCHER = ("pickup", "virtual", "coupon")
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


def redeem(request: Request, *, now: datetime) -> Answer:
    """Trade points for a reward; raises what refuses it."""
    outcome = redeem_many([request], now=now)[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def redeem_many(requests: Sequence[Request], *, now: datetime) -> list[Outcome]:
    """Trade points for rewards in one transaction; each request is granted or refused by itself.

    At most one request of a member. Asking twice with one key answers with the first redemption.
    """
    assert all(1 <= request.quantity <= MAX_QUANTITY for request in requests)
    on_offer = rewards.on_offer(request.reward_id for request in requests)
    outcomes: dict[Request, Outcome | None] = {
        request: _look_over(request, on_offer, now) for request in requests
    }
    open_ones = [request for request, refusal in outcomes.items() if refusal is None]
    held = Held()
    for reward_id, group in _by_reward(open_ones).items():
        outcomes |= _pass_gate(on_offer[reward_id], group, held)
    let_in = [request for request in open_ones if outcomes[request] is None]
    if let_in:
        outcomes |= _commit(let_in, on_offer, held, now)
    return [_sure(outcomes[request]) for request in requests]


def _sure(outcome: Outcome | None) -> Outcome:
    assert outcome is not None, "a request without an outcome"
    return outcome


def _look_over(request: Request, on_offer: dict[int, Offer], now: datetime) -> Exception | None:
    """What can be refused by reading alone, before anybody waits for anything."""
    reward = on_offer.get(request.reward_id)
    if reward is None:
        return NotFound()
    try:
        rewards.check_open(reward, now=now)
    except Exception as refusal:
        return refusal
    if reward.price_fen:
        return PaymentNeeded(price_fen=reward.price_fen)
    if reward.kind == "delivery" and not request.address:
        return AddressNeeded()
    if request.store_id is not None and db.session.get(Store, request.store_id) is None:
        return NotFound()
    return None


def _by_reward(requests: Iterable[Request]) -> dict[int, list[Request]]:
    groups: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.reward_id].append(request)
    return groups


class Held:
    """The gates' leases of a batch, to be settled or released once the outcome is known."""

    def __init__(self) -> None:
        self.asks: dict[Request, stock.Ask] = {}
        self.adopted: set[Request] = set()

    def settle(self, requests: Iterable[Request]) -> None:
        self._end(stock.settle, requests)

    def release(self, requests: Iterable[Request]) -> None:
        self._end(stock.release, requests)

    def let_go(self, requests: Iterable[Request]) -> None:
        """Release what a transaction that failed had taken.

        A lease it adopted may be that of a twin whose redemption stands: the reaper looks.
        """
        self.release([request for request in requests if request not in self.adopted])

    def end(self, outcomes: Mapping[Request, Outcome]) -> None:
        """Settle what was granted, release the rest."""
        granted = {each for each, outcome in outcomes.items() if self._is_taken(each, outcome)}
        self.settle(granted)
        self.release(set(outcomes) - granted)

    def _is_taken(self, request: Request, outcome: Outcome) -> bool:
        """Whether a lease's units are gone. A twin's answer has taken those of the twin's lease."""
        return isinstance(outcome, Answer) and (not outcome.replayed or request in self.adopted)

    def _end(self, how: Any, requests: Iterable[Request]) -> None:
        leased = [request for request in requests if request in self.asks]
        for reward_id, group in _by_reward(leased).items():
            try:
                how(reward_id, [self.asks[request] for request in group], period=limits.EVER)
            except RedisError:
                return  # the reaper ends them

    def keyed(self, request: Request) -> Key:
        """The request's key with the lease of this attempt."""
        ask = self.asks.get(request)
        return replace(request.key, lease=ask.lease if ask else None)


def _pass_gate(
    reward: Offer, group: Sequence[Request], held: Held
) -> dict[Request, Outcome | None]:
    """Ask the gate for each request: None lets it in. Without a gate, SQL alone decides."""
    asks = {
        request: stock.Ask(request.member_id, request.token, request.quantity) for request in group
    }
    try:
        verdicts = _reserve(reward, list(asks.values()))
    except (RedisError, stock.NoGate):
        return {request: RewardBusy() if reward.hot else None for request in group}
    outcomes: dict[Request, Outcome | None] = {}
    for (request, ask), verdict in zip(asks.items(), verdicts, strict=True):
        refusal = _refusal(verdict, reward)
        if refusal is None:
            held.asks[request] = ask
        if verdict is stock.Verdict.ADOPTED:
            held.adopted.add(request)
        outcomes[request] = refusal and (_of_key(request.key) or refusal)
    return outcomes


def _of_key(key: Key) -> Outcome | None:
    """What a twin that has finished meanwhile was answered: its unit may be what is missing."""
    db.session.rollback()  # what this request has read so far may be older than the twin
    try:
        return idempotency.find(key)
    except MallError as refusal:
        return refusal


def _reserve(reward: Offer, asks: list[stock.Ask]) -> list[stock.Verdict]:
    """Reserve at the gate; one that is absent or of another epoch is rebuilt first.

    One request of a crowd rebuilds it, the others wait a moment for that one.
    """
    epoch, limit = reward.epoch, reward.per_member_limit
    give_up_at = time.monotonic() + GATE_WAIT_S
    while True:
        try:
            return stock.reserve_many(reward.id, asks, epoch=epoch, limit=limit, period=limits.EVER)
        except stock.NoGate:
            if time.monotonic() > give_up_at:
                raise
        known, epoch = epoch, _epoch_now(reward.id)
        if epoch == known:
            if not gates.rebuild(reward.id):
                time.sleep(GATE_POLL_S)
            epoch = _epoch_now(reward.id)


def _epoch_now(reward_id: int) -> int:
    db.session.rollback()  # an open snapshot would show the old epoch for ever
    return rewards.on_offer([reward_id])[reward_id].epoch


def _refusal(verdict: stock.Verdict, reward: Offer) -> Exception | None:
    match verdict:
        case stock.Verdict.SOLD_OUT:
            return SoldOut()
        case stock.Verdict.LIMIT:
            return LimitReached(limit=reward.per_member_limit)
        case stock.Verdict.HELD:
            return KeyInProgress()
        case _:
            return None


def _commit(
    requests: list[Request], on_offer: dict[int, Offer], held: Held, now: datetime
) -> dict[Request, Outcome]:
    """Decide a batch together; one that fails is decided one request at a time."""
    if len(requests) > 1:
        try:
            return _decide(requests, on_offer, held, now)
        except OutcomeUnknown as unknown:
            return dict.fromkeys(requests, unknown)
        except Exception as error:  # one request must not fail its neighbours
            log.info("a batch of %s is decided singly: %s", len(requests), error)
    return {request: _alone(request, on_offer, held, now) for request in requests}


def _alone(request: Request, on_offer: dict[int, Offer], held: Held, now: datetime) -> Outcome:
    try:
        return _decide([request], on_offer, held, now)[request]
    except Exception as error:
        if not isinstance(error, OutcomeUnknown):
            held.let_go([request])  # where not even BEGIN was answered; told twice, it counts once
        return error


def _decide(
    requests: list[Request], on_offer: dict[int, Offer], held: Held, now: datetime
) -> dict[Request, Outcome]:
    outcomes: dict[Request, Outcome] = {}
    with atomic() as transaction:
        transaction.after_commit(lambda: held.end(outcomes))
        if len(requests) == 1:
            transaction.after_refusal(lambda: held.let_go(requests))
        claims = idempotency.claim_many([held.keyed(each) for each in requests], now=now)
        for request, claim in zip(requests, claims, strict=True):
            if claim is not None:
                outcomes[request] = _of_twin(claim)
        fresh = [request for request in requests if request not in outcomes]
        book = points.open_book([request.member_id for request in fresh], now=now, lots=True)
        refused = _judge(fresh, on_offer, book)
        idempotency.drop_many([request.key for request in refused])
        outcomes |= refused
        outcomes |= _record([r for r in fresh if r not in refused], on_offer, book)
    return outcomes


def _of_twin(claim: Exception) -> Outcome:
    return claim.answer if isinstance(claim, Replayed) else claim


def _judge(
    requests: list[Request], on_offer: dict[int, Offer], book: Book
) -> dict[Request, Outcome]:
    """Refuse by tier, balance and limit, under the accounts' locks; counts the limit of the rest."""
    refused: dict[Request, Outcome] = {}
    takes: dict[limits.Take, Request] = {}
    ladder = tiers.ladder()
    for request in requests:
        reward = on_offer[request.reward_id]
        try:
            _check_tier(reward, book.account(request.member_id).tier_code, ladder)
            book.check_spend(request.member_id, reward.price_points * request.quantity)
        except MallError as refusal:
            refused[request] = refusal
            continue
        who = (request.member_id, reward.id, limits.EVER, request.quantity)
        takes[limits.Take(*who, reward.per_member_limit)] = request
    for take in limits.take_many(list(takes)):
        refused[takes[take]] = LimitReached(limit=take.limit)
    return refused


def _check_tier(reward: Offer, tier_code: str, ladder: Sequence[Tier]) -> None:
    if reward.tier_min and tiers.rank(ladder, tier_code) < tiers.rank(ladder, reward.tier_min):
        needed = ladder[tiers.rank(ladder, reward.tier_min)]
        raise TierTooLow(tier=needed.code, tier_name=needed.name)


def _record(
    requests: list[Request], on_offer: dict[int, Offer], book: Book
) -> dict[Request, Outcome]:
    """Write what was granted: redemptions, entries, vouchers, facts, and last the rewards."""
    if not requests:
        return {}
    now = book.now
    rows = [_row(request, on_offer[request.reward_id], now) for request in requests]
    with atomic() as transaction:
        ids = transaction.execute(
            insert(Redemption).returning(Redemption.id, sort_by_parameter_order=True), rows
        ).scalars()
        trades = [Trade(*each) for each in zip(ids, requests, strict=True)]
        balances = [_spend(trade, on_offer[trade.request.reward_id], book) for trade in trades]
        book.write()
        issued = _issue(trades, on_offer, now)
        record_many([trade.fact() for trade in trades], now=now)
        answers = {
            trade.request: Answer(201, to_bytes(_answer(trade, row, balance, issued)))
            for trade, row, balance in zip(trades, rows, balances, strict=True)
        }
        idempotency.store_many([(request.key, each) for request, each in answers.items()])
        rewards.take_many(_units(requests))
    return dict(answers)


@dataclass(frozen=True)
class Trade:
    """A request that is granted, under the id it got."""

    id: int
    request: Request

    def fact(self) -> Redeemed:
        request = self.request
        return Redeemed(request.member_id, self.id, request.reward_id, request.quantity)


def _units(requests: Iterable[Request]) -> dict[int, int]:
    units: dict[int, int] = defaultdict(int)
    for request in requests:
        units[request.reward_id] += request.quantity
    return units


def _row(request: Request, reward: Offer, now: datetime) -> dict[str, Any]:
    return {
        "member_id": request.member_id,
        "reward_id": request.reward_id,
        "request_key": request.key.text,
        "quantity": request.quantity,
        "points_paid": reward.price_points * request.quantity,
        "period": limits.EVER,
        "state": "issued",
        "store_id": request.store_id,
        "address": request.address,
        "created_at": now,
    }


def _spend(trade: Trade, reward: Offer, book: Book) -> int:
    request = trade.request
    cause = Cause(
        "redeem",
        "redemption",
        str(trade.id),
        gates.caller_of(request.member_id),
        reason=reward.title[:64],
    )
    return book.spend(request.member_id, reward.price_points * request.quantity, cause)


def _issue(
    trades: Sequence[Trade], on_offer: dict[int, Offer], now: datetime
) -> dict[int, tuple[int, datetime]]:
    """Vouchers for what is fetched or used with a code; by redemption."""
    with_code = [t for t in trades if on_offer[t.request.reward_id].kind in NEEDS_VOUCHER]
    issues = [_voucher(trade, on_offer[trade.request.reward_id]) for trade in with_code]
    if not issues:
        return {}
    made = vouchers.issue_many(issues, now=now)
    return {trade.id: voucher for trade, voucher in zip(with_code, made, strict=True)}


def _voucher(trade: Trade, reward: Offer) -> vouchers.Issue:
    request = trade.request
    return vouchers.Issue(
        member_id=request.member_id,
        redemption_id=trade.id,
        title=reward.title,
        quantity=request.quantity,
        store_id=request.store_id,
        lasts_days=reward.voucher_lasts_days,
    )


def _answer(
    trade: Trade, row: dict[str, Any], balance: int, issued: dict[int, tuple[int, datetime]]
) -> dict[str, Any]:
    voucher = None
    if trade.id in issued:
        voucher_id, expires_at = issued[trade.id]
        code = vouchers.placeholder(voucher_id)
        voucher = {"code": code, "expires_at": clock.rfc3339(expires_at)}
    kept = ("reward_id", "quantity", "points_paid", "state")
    return {
        "id": trade.id,
        **{name: row[name] for name in kept},
        "balance_after": balance,
        "voucher": voucher,
    }
