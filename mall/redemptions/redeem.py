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

from mall import addresses, clock, gates, idempotency, limits, points, rewards, tiers, vouchers
from mall.atomic import atomic
from mall.errors import (
    MallError,
    OutcomeUnknown,
    RewardBusy,
    TierTooLow,
    Unavailable,
)
from mall.events import Redeemed, record_many
from mall.idempotency import Answer, Replayed, to_bytes
from mall.points import Book, Cause
from mall.redemptions.door import enter_many, place_of
from mall.redemptions.gate import (
    Outcome,
    Request,
    Ticket,
    end,
    limit_reached,
    release,
)
from mall.rewards import Offer
from mall.store_stock import Place
from models import Redemption, Tier
from models.base import insert

log = logging.getLogger(__name__)

ROUTE = "POST /api/v1/me/redemptions"
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
    """Trade points for rewards; each request is granted or refused by itself.

    At most one request of a member. Asking twice with one key answers with the first redemption.
    """
    entries = enter_many(requests, now=now)
    tickets = [each for each in entries if isinstance(each, Ticket)]
    decided = dict(zip(tickets, commit_many(tickets, now=now), strict=True))
    return [decided[each] if isinstance(each, Ticket) else each for each in entries]


def commit_many(tickets: Sequence[Ticket], *, now: datetime) -> list[Outcome]:
    """Decide who was let in, in one transaction; at most one ticket of a member.

    Where a gate is missing, few do so at a time, for nothing holds the crowd.
    """
    bare = [ticket for ticket in tickets if ticket.ask is None]
    if not bare:
        outcomes = _decide_all(tickets, now)
    elif SQL_ALONE.acquire(timeout=SQL_ALONE_WAIT_S):
        try:
            outcomes = _decide_all(tickets, now)
        finally:
            SQL_ALONE.release()
    else:
        leased = [ticket for ticket in tickets if ticket.ask is not None]
        outcomes = {each: RewardBusy() for each in bare} | _decide_all(leased, now)
    return [outcomes[ticket] for ticket in tickets]


def _decide_all(tickets: Sequence[Ticket], now: datetime) -> dict[Ticket, Outcome]:
    """Decide a batch together; one that fails is decided one request at a time."""
    if len(tickets) > 1:
        try:
            return _decide(tickets, now)
        except OutcomeUnknown as unknown:
            return dict.fromkeys(tickets, unknown)
        except Exception as error:  # one request must not fail its neighbours
            log.info("a batch of %s is decided singly: %s", len(tickets), error)
    return _singly(tickets, now)


def _singly(tickets: Sequence[Ticket], now: datetime) -> dict[Ticket, Outcome]:
    """Decide one after the other; where several find the same door locked, the rest don't try it."""
    outcomes: dict[Ticket, Outcome] = {}
    locked = 0
    for number, ticket in enumerate(tickets):
        if locked == LOCKED_IN_A_BATCH:
            rest = tickets[number:]
            release(rest)
            return outcomes | {each: Unavailable() for each in rest}
        outcomes[ticket] = _alone(ticket, now)
        locked += isinstance(outcomes[ticket], Unavailable)
    return outcomes


def _alone(ticket: Ticket, now: datetime) -> Outcome:
    try:
        return _decide([ticket], now)[ticket]
    except Exception as error:
        if not isinstance(error, OutcomeUnknown):
            release([ticket])  # where not even BEGIN was answered; told twice, it counts once
        return error


def _decide(tickets: Sequence[Ticket], now: datetime) -> dict[Ticket, Outcome]:
    outcomes: dict[Ticket, Outcome] = {}
    with atomic() as transaction:
        transaction.after_commit(lambda: end(outcomes))
        if len(tickets) == 1:
            transaction.after_refusal(lambda: release(tickets))
        lock_ms = LOCK_MS if len(tickets) == 1 else BATCH_LOCK_MS
        transaction.hurry(statement_ms=STATEMENT_MS, lock_ms=lock_ms, idle_ms=IDLE_MS)
        claims = idempotency.claim_many([each.key for each in tickets], now=now)
        for ticket, claim in zip(tickets, claims, strict=True):
            if claim is not None:
                outcomes[ticket] = _of_twin(claim)
        fresh = [each for each in tickets if each not in outcomes]
        book = points.open_book([each.request.member_id for each in fresh], now=now, lots=True)
        refused = _judge(fresh, book)
        idempotency.drop_many([each.request.key for each in refused])
        outcomes |= refused
        outcomes |= _record([each for each in fresh if each not in refused], book)
    return outcomes


def _of_twin(claim: Exception) -> Outcome:
    return claim.answer if isinstance(claim, Replayed) else claim


def _judge(tickets: Sequence[Ticket], book: Book) -> dict[Ticket, Outcome]:
    """Refuse by tier, balance and limit, under the accounts' locks; counts the limit of the rest."""
    refused: dict[Ticket, Outcome] = {}
    takes: dict[limits.Take, Ticket] = {}
    ladder = tiers.ladder()
    for ticket in tickets:
        request, reward = ticket.request, ticket.reward
        try:
            tier_code = book.account(request.member_id).tier_code
            _check_tier(reward, tier_code, ladder)
            if reward.opens_at is not None and book.now < reward.opens_at:
                early = tiers.benefits(tier_code).early
                rewards.check_open(reward, now=book.now, early=early)
            reached = [tier.code for tier in ladder[: tiers.rank(ladder, tier_code) + 1]]
            ticket.points = rewards.price_of(reward, reached) * request.quantity
            book.check_spend(request.member_id, ticket.points)
        except MallError as refusal:
            refused[ticket] = refusal
            continue
        who = (request.member_id, reward.id, ticket.period, request.quantity)
        takes[limits.Take(*who, reward.per_member_limit)] = ticket
    for take in limits.take_many(list(takes)):
        refused[takes[take]] = limit_reached(takes[take].reward)
    return refused


def _check_tier(reward: Offer, tier_code: str, ladder: Sequence[Tier]) -> None:
    if reward.tier_min and tiers.rank(ladder, tier_code) < tiers.rank(ladder, reward.tier_min):
        needed = ladder[tiers.rank(ladder, reward.tier_min)]
        raise TierTooLow(tier=needed.code, tier_name=needed.name)


def _record(tickets: Sequence[Ticket], book: Book) -> dict[Ticket, Outcome]:
    """Write what was granted: redemptions, entries, vouchers, facts, and last the rewards."""
    if not tickets:
        return {}
    now = book.now
    rows = [_row(ticket, now) for ticket in tickets]
    with atomic() as transaction:
        ids = transaction.execute(
            insert(Redemption).returning(Redemption.id, sort_by_parameter_order=True), rows
        ).scalars()
        trades = [Trade(*each) for each in zip(ids, tickets, strict=True)]
        balances = [_spend(trade, book) for trade in trades]
        book.write()
        issued = _issue(trades, now)
        record_many([trade.fact() for trade in trades], now=now)
        answers = {
            trade.ticket: Answer(201, to_bytes(_answer(trade, row, balance, issued)))
            for trade, row, balance in zip(trades, rows, balances, strict=True)
        }
        idempotency.store_many([(each.request.key, answer) for each, answer in answers.items()])
        rewards.take_many(_units(tickets), _units_at_stores(tickets))
    return dict(answers)


@dataclass(frozen=True)
class Trade:
    """A request that is granted, under the id it got."""

    id: int
    ticket: Ticket

    def fact(self) -> Redeemed:
        request = self.ticket.request
        return Redeemed(request.member_id, self.id, request.reward_id, request.quantity)


def _units(tickets: Iterable[Ticket]) -> dict[int, int]:
    units: dict[int, int] = defaultdict(int)
    for ticket in tickets:
        units[ticket.reward.id] += ticket.request.quantity
    return units


def _units_at_stores(tickets: Iterable[Ticket]) -> dict[Place, int]:
    units: dict[Place, int] = defaultdict(int)
    for ticket in tickets:
        place = place_of(ticket.request, ticket.reward)
        if place is not None:
            units[place] += ticket.request.quantity
    return units


def _row(ticket: Ticket, now: datetime) -> dict[str, Any]:
    request = ticket.request
    return {
        "member_id": request.member_id,
        "reward_id": request.reward_id,
        "request_key": request.key.text,
        "lease": ticket.ask.lease if ticket.ask else None,
        "quantity": request.quantity,
        "points_paid": ticket.points,
        "period": ticket.period,
        "state": "issued",
        "store_id": request.store_id,
        "address": addresses.seal(request.address),
        "created_at": now,
    }


def _spend(trade: Trade, book: Book) -> int:
    request, reward = trade.ticket.request, trade.ticket.reward
    cause = Cause(
        "redeem",
        "redemption",
        str(trade.id),
        gates.caller_of(request.member_id),
        reason=reward.title[:64],
        rule_version=reward.version,
    )
    return book.spend(request.member_id, trade.ticket.points, cause)


def _issue(trades: Sequence[Trade], now: datetime) -> dict[int, tuple[str, datetime]]:
    """Vouchers for what is fetched or used with a code; by redemption."""
    with_code = [trade for trade in trades if trade.ticket.reward.kind in NEEDS_VOUCHER]
    issues = [_voucher(trade) for trade in with_code]
    if not issues:
        return {}
    made = vouchers.issue_many(issues, now=now)
    return {trade.id: voucher for trade, voucher in zip(with_code, made, strict=True)}


def _voucher(trade: Trade) -> vouchers.Issue:
    request, reward = trade.ticket.request, trade.ticket.reward
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
