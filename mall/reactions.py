"""What follows from what, in one table; and the drain that makes each reaction happen once."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import (
    bundles,
    earning,
    events,
    messages,
    packs,
    points,
    redemptions,
    referrals,
    tasks,
    tier_gifts,
    tiers,
)
from mall.atomic import Transaction, atomic, end_reading, is_rehearsal
from mall.events import (
    BundleGiven,
    CheckedIn,
    Fact,
    Joined,
    PointsReminded,
    Purchased,
    Redeemed,
    RedemptionCancelled,
    TierChanged,
    UnitsGiven,
    VoucherUsed,
)
from models import Event, EventReaction
from models.base import db, insert

log = logging.getLogger(__name__)

DRAINED_AT_ONCE = 200
MAX_ATTEMPTS = 20
RETRY_S = 2
MAX_RETRY_S = 3600
DRAIN_LOCK = 0x6D616C6C  # any number that is no other advisory lock of ours


def tell_gate(fact: Fact, *, now: datetime) -> None:
    """Units that came back belong at the gate too, in case the shopper's own request could not say."""
    assert isinstance(fact, RedemptionCancelled)
    if not is_rehearsal():
        redemptions.tell_gate(fact)


def tell_gate_of_gift(fact: Fact, *, now: datetime) -> None:
    """Units that were given left past the gate."""
    assert isinstance(fact, UnitsGiven)
    if not is_rehearsal():
        bundles.tell_gate(fact)


Reaction = Callable[..., None]
PAYING: set[Reaction] = {earning.earn, packs.welcome}
PAYING |= {tiers.grow_by_fact, tiers.undo_by_fact, tier_gifts.give_for_tier}
ON: dict[type[Fact], list[Reaction]] = {
    Joined: [packs.welcome, earning.earn, messages.write],
    CheckedIn: [earning.earn, tiers.grow_by_fact],
    Redeemed: [earning.earn, tiers.grow_by_fact],
    VoucherUsed: [earning.earn],
    Purchased: [referrals.qualify, messages.write],
    RedemptionCancelled: [tell_gate, tiers.undo_by_fact],
    UnitsGiven: [tell_gate_of_gift],
    TierChanged: [tier_gifts.give_for_tier, messages.write],
    BundleGiven: [messages.write],
    PointsReminded: [messages.write],
}
for _looked_at in tasks.FACTS:
    ON[_looked_at] = [*ON.get(_looked_at, []), tasks.advance_tasks]
PAYING |= {tasks.advance_tasks}
TOGETHER: dict[Reaction, Callable[..., None]] = {  # told of many facts at once where they can be
    tasks.advance_tasks: tasks.advance_many,
}


def drain(*, now: datetime) -> int:
    """Tell a bounded batch of facts to those who react; answers how many facts are done with."""
    waiting = (
        sa.select(Event)
        .where(
            Event.done_at.is_(None),
            Event.kind.in_(events.KINDS),  # another version's facts wait for that version
            Event.attempts < MAX_ATTEMPTS,
            sa.or_(Event.retry_at.is_(None), Event.retry_at <= now),
        )
        .order_by(Event.id)
        .limit(DRAINED_AT_ONCE)
    )
    batch = db.session.scalars(waiting).all()
    paying = {earning.earn: earning.kinds(now=now), packs.welcome: packs.kinds()}
    paying |= {tiers.grow_by_fact: tiers.kinds(), messages.write: messages.kinds()}
    paying |= {tasks.advance_tasks: tasks.kinds(now=now)}
    told = [_to_tell(event, paying) for event in batch]
    end_reading()
    try:
        return _tell_together(told, now)
    except Exception as error:  # one fact must not hold up its neighbours
        log.info("%s facts are told one at a time: %s", len(told), error)
        return sum(_tell(each, now) for each in told)


@dataclass(frozen=True)
class Told:
    """A fact to be told, under its row's id, and how often that has failed."""

    id: int
    attempts: int
    fact: Fact
    reactions: tuple[Reaction, ...]


def _to_tell(event: Event, paying: Mapping[Reaction, Collection[str]]) -> Told:
    """A fact with those who react; what the shop pays nothing for need not be remembered.

    `paying` says of reactions that pay by rule which kinds of facts they pay for at this moment.
    """
    fact = events.read(event)
    reactions = ON.get(type(fact), [])
    who = [each for each in reactions if each not in paying or fact.kind in paying[each]]
    return Told(event.id, event.attempts, fact, tuple(who))


def _tell_together(told: list[Told], now: datetime) -> int:
    """Every reaction of a batch in one transaction; one that fails undoes all of them."""
    if not told:
        return 0
    with atomic() as transaction:
        if not _alone(transaction):
            return 0
        paid = {each.fact.member_id for each in told if PAYING & set(each.reactions)}
        counting = [each.fact for each in told if tasks.advance_tasks in each.reactions]
        locked = referrals.concerned(each.fact for each in told) | paid
        locked |= tasks.concerned(counting)
        points.open_book(locked, now=now)  # sorted, before any of them
        fresh = _note([(each, reaction) for each in told for reaction in each.reactions], now)
        for each in told:
            for reaction in each.reactions:
                if (each.id, reaction.__name__) in fresh and reaction not in TOGETHER:
                    reaction(each.fact, now=now)
        _tell_at_once(told, fresh, now)
        _update([each.id for each in told], done_at=now)
    return len(told)


def _tell_at_once(told: list[Told], fresh: set[tuple[int, str]], now: datetime) -> None:
    """Those who take many facts at once, when everybody else has been told."""
    for reaction, many in TOGETHER.items():
        facts = [
            each.fact
            for each in told
            if reaction in each.reactions and (each.id, reaction.__name__) in fresh
        ]
        if facts:
            many(facts, now=now)


def _alone(transaction: Transaction) -> bool:
    """Whether nobody else is draining; two who tell the same facts would wait for each other."""
    if db.engine.dialect.name != "postgresql":
        return True  # SQLite lets one write at a time
    lock = sa.func.pg_try_advisory_xact_lock(DRAIN_LOCK)
    return bool(transaction.execute(sa.select(lock)).scalar())


def _tell(each: Told, now: datetime) -> bool:
    """A fact by itself, each reaction in a transaction of its own; a failing one is tried later."""
    for reaction in each.reactions:
        try:
            with atomic() as transaction:
                if not _alone(transaction):
                    return False
                if _note([(each, reaction)], now):
                    reaction(each.fact, now=now)
        except Exception:
            log.exception("reaction %s to event %s failed", reaction.__name__, each.id)
            _postpone(each, now)
            return False
    _update([each.id], done_at=now)
    return True


def _note(pairs: list[tuple[Told, Reaction]], now: datetime) -> set[tuple[int, str]]:
    """Write down that reactions happen; answers those that had not happened before."""
    if not pairs:
        return set()
    rows = [
        {"event_id": each.id, "reaction": reaction.__name__, "reacted_at": now}
        for each, reaction in pairs
    ]
    columns = (EventReaction.event_id, EventReaction.reaction)
    statement = insert(EventReaction).on_conflict_do_nothing().returning(*columns)
    with atomic() as transaction:
        return {(row.event_id, row.reaction) for row in transaction.execute(statement, rows)}


def _postpone(each: Told, now: datetime) -> None:
    wait_s = min(RETRY_S * 2**each.attempts, MAX_RETRY_S)
    retry_at = now + timedelta(seconds=wait_s)
    _update([each.id], attempts=each.attempts + 1, retry_at=retry_at)


def _update(event_ids: list[int], **values: Any) -> None:
    with atomic() as transaction:
        transaction.execute(sa.update(Event).where(Event.id.in_(event_ids)).values(**values))
