"""What follows from what, in one table; and the drain that makes each reaction happen once."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import events, redemptions, referrals
from mall.atomic import atomic
from mall.events import Fact, Purchased, RedemptionCancelled
from models import Event, EventReaction
from models.base import db, insert

log = logging.getLogger(__name__)

DRAINED_AT_ONCE = 200
MAX_ATTEMPTS = 20
RETRY_S = 2
MAX_RETRY_S = 3600


def tell_gate(fact: Fact, *, now: datetime) -> None:
    """Units that came back belong at the gate too, in case the shopper's own request could not say."""
    assert isinstance(fact, RedemptionCancelled)
    redemptions.tell_gate(fact.redemption_id, fact.reward_id, fact.member_id, fact.quantity)


Reaction = Callable[..., None]
ON: dict[type[Fact], list[Reaction]] = {
    Purchased: [referrals.qualify],
    RedemptionCancelled: [tell_gate],
}


def drain(*, now: datetime) -> int:
    """Tell a bounded batch of facts to those who react; answers how many facts are done with."""
    waiting = (
        sa.select(Event)
        .where(
            Event.done_at.is_(None),
            Event.attempts < MAX_ATTEMPTS,
            sa.or_(Event.retry_at.is_(None), Event.retry_at <= now),
        )
        .order_by(Event.id)
        .limit(DRAINED_AT_ONCE)
    )
    batch = db.session.scalars(waiting).all()
    facts = [(event.id, event.attempts, events.read(event)) for event in batch]
    db.session.rollback()
    silent = [id_ for id_, _, fact in facts if type(fact) not in ON]
    _close(silent, now)
    return len(silent) + sum(
        _tell(id_, attempts, fact, now) for id_, attempts, fact in facts if type(fact) in ON
    )


def _tell(event_id: int, attempts: int, fact: Fact, now: datetime) -> bool:
    for reaction in ON[type(fact)]:
        try:
            _react(event_id, reaction, fact, now)
        except Exception:  # one reaction's bug must not stop the others' facts
            log.exception("reaction %s to event %s failed", reaction.__name__, event_id)
            _postpone(event_id, attempts, now)
            return False
    _close([event_id], now)
    return True


def _react(event_id: int, reaction: Reaction, fact: Fact, now: datetime) -> None:
    """The reaction and the note that it happened, in one transaction."""
    row = {"event_id": event_id, "reaction": reaction.__name__, "reacted_at": now}
    with atomic() as transaction:
        noted = transaction.execute(
            insert(EventReaction)
            .values(**row)
            .on_conflict_do_nothing()
            .returning(EventReaction.event_id)
        ).scalar()
        if noted is not None:
            reaction(fact, now=now)


def _close(event_ids: list[int], now: datetime) -> None:
    if event_ids:
        _update(event_ids, done_at=now)


def _postpone(event_id: int, attempts: int, now: datetime) -> None:
    wait_s = min(RETRY_S * 2**attempts, MAX_RETRY_S)
    _update([event_id], attempts=attempts + 1, retry_at=now + timedelta(seconds=wait_s))


def _update(event_ids: list[int], **values: Any) -> None:
    with atomic() as transaction:
        transaction.execute(sa.update(Event).where(Event.id.in_(event_ids)).values(**values))
