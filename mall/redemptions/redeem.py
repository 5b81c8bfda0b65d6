"""Trade points for rewards.

`redeem_many` is the one path. Redis turns the crowd away; one SQL transaction decides: keys →
accounts → lots → limit counters → rows → the rewards' own rows last, because every other shopper
waits for those. docs/redemption.md tells the protocol with its crash points.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mall import clock, gates, idempotency, limits, points, rewards, tiers, vouchers
from mall.atomic import atomic
from mall.errors import (
    AddressNeeded,
    AddressNotNeeded,
    MallError,
    NotFound,
    OutcomeUnknown,
    PaymentNeeded,
    RewardBusy,
    TierTooLow,
    Unavailable,
)
from mall.events import Redeemed, record_many
from mall.idempotency import Answer, Replayed, to_bytes
from mall.points import Book, Cause
from mall.redemptions.gate import (
    Held,
    Outcome,
    Request,
    by_reward,
    limit_reached,
    pass_gate,
    period_of,
)
from mall.rewards import Offer
from models import Redemption, Store, Tier, db
from models.base import insert

log = logging.getLogger(__name__)

ROUTE = "POST /api/v1/me/redemptions"
MAX_QUANTITY = 99
STATEMENT_MS, LOCK_MS, IDLE_MS = 1000, 900, 1000  # a lock speaks up before its statement is cut
BATCH_LOCK_MS = 300  # many wait here for what may be one member's lock
LOCKED_IN_A_BATCH = 2
SQL_ALONE_AT_ONCE = 4  # in a process, while Redis is away
SQL_ALONE_WAIT_S = 0.1  # with one time-out of Redis before it, still an answer within 300 ms
SQL_ALONE = threading.BoundedSemaphore(SQL_ALONE_AT_ONCE)
NEEDS_VOUCHER = ("pickup", "virtual", "coupon")


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
    held = Held({offer.id: period_of(offer, now) for offer in on_offer.values()})
    for reward_id, group in by_reward(open_ones).items():
        outcomes |= pass_gate(on_offer[reward_id], group, held)
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
    if reward.kind != "delivery" and request.address:
        return AddressNotNeeded()
    if request.store_id is not None and db.session.get(Store, request.store_id) is None:
        return NotFound()
    return None


def _commit(
    requests: list[Request], on_offer: dict[int, Offer], held: Held, now: datetime
) -> dict[Request, Outcome]:
    """Decide a batch in SQL; where a gate is missing, few at a time, for nothing holds the crowd."""
    if all(request in held.asks for request in requests):
        return _decide_all(requests, on_offer, held, now)
    if SQL_ALONE.acquire(timeout=SQL_ALONE_WAIT_S):
        try:
            return _decide_all(requests, on_offer, held, now)
        finally:
            SQL_ALONE.release()
    leased = [request for request in requests if request in held.asks]
    outcomes: dict[Request, Outcome] = {r: RewardBusy() for r in requests if r not in held.asks}
    return outcomes | (_decide_all(leased, on_offer, held, now) if leased else {})


def _decide_all(
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
    return _singly(requests, on_offer, held, now)


def _singly(
    requests: list[Request], on_offer: dict[int, Offer], held: Held, now: datetime
) -> dict[Request, Outcome]:
    """Decide one after the other; where several find the same door locked, the rest don't try it."""
    outcomes: dict[Request, Outcome] = {}
    locked = 0
    for number, request in enumerate(requests):
        if locked == LOCKED_IN_A_BATCH:
            rest = requests[number:]
            held.release(rest)
            return outcomes | {each: Unavailable() for each in rest}
        outcomes[request] = _alone(request, on_offer, held, now)
        locked += isinstance(outcomes[request], Unavailable)
    return outcomes


def _alone(request: Request, on_offer: dict[int, Offer], held: Held, now: datetime) -> Outcome:
    try:
        return _decide([request], on_offer, held, now)[request]
    except Exception as error:
        if not isinstance(error, OutcomeUnknown):
            held.release([request])  # where not even BEGIN was answered; told twice, it counts once
        return error


def _decide(
    requests: list[Request], on_offer: dict[int, Offer], held: Held, now: datetime
) -> dict[Request, Outcome]:
    outcomes: dict[Request, Outcome] = {}
    with atomic() as transaction:
        transaction.after_commit(lambda: held.end(outcomes))
        if len(requests) == 1:
            transaction.after_refusal(lambda: held.release(requests))
        lock_ms = LOCK_MS if len(requests) == 1 else BATCH_LOCK_MS
        transaction.hurry(statement_ms=STATEMENT_MS, lock_ms=lock_ms, idle_ms=IDLE_MS)
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
        who = (request.member_id, reward.id, period_of(reward, book.now), request.quantity)
        takes[limits.Take(*who, reward.per_member_limit)] = request
    for take in limits.take_many(list(takes)):
        refused[takes[take]] = limit_reached(on_offer[take.reward_id])
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
        "period": period_of(reward, now),
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
        rule_version=reward.version,
    )
    return book.spend(request.member_id, reward.price_points * request.quantity, cause)


def _issue(
    trades: Sequence[Trade], on_offer: dict[int, Offer], now: datetime
) -> dict[int, tuple[str, datetime]]:
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
    trade: Trade, row: dict[str, Any], balance: int, issued: dict[int, tuple[str, datetime]]
) -> dict[str, Any]:
    voucher = None
    if trade.id in issued:
        code, expires_at = issued[trade.id]
        voucher = {"code": code, "expires_at": clock.rfc3339(expires_at)}
    kept = ("reward_id", "quantity", "points_paid", "state")
    return {
        "id": trade.id,
        **{name: row[name] for name in kept},
        "balance_after": balance,
        "voucher": voucher,
    }
