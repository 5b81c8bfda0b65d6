"""The review queue: referrals that wait for a look, approved or refused with a reason, once."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points
from mall.atomic import atomic
from mall.errors import AlreadyReviewed, NotFound
from mall.events import Referred, record
from mall.idempotency import Answer, Key
from mall.referrals import pay
from mall.referrals.settling import settle
from mall.referrals.states import OPEN, load, people, save
from mall.referrals.terms import JOIN, PURCHASE
from models import Referral, db
from models.base import table_of

HELD = "held"
STATES = ("joined", "qualified", "rewarded", "refused", HELD)
_table = table_of(Referral)


def is_held() -> sa.ColumnElement[bool]:
    return sa.and_(
        Referral.held_at.is_not(None), Referral.reviewed_at.is_(None), Referral.state.in_(OPEN)
    )


def listed(state: str | None, inviter_id: int | None) -> sa.Select[Any]:
    """Referrals in a state; those that are held are in no other."""
    query = sa.select(Referral)
    if state == HELD:
        query = query.where(is_held())
    elif state is not None:
        query = query.where(Referral.state == state, ~is_held())
    return query if inviter_id is None else query.where(Referral.inviter_id == inviter_id)


def view(referral: Referral) -> dict[str, Any]:
    names = (
        *("inviter_id", "reason", "points", "rule_version", "source", "holds", "capped"),
        *("purchase_id", "reviewed_by", "review_note"),
    )
    stamps = ("joined_at", "held_at", "join_due_at", "due_at", "rewarded_at", "reviewed_at")
    held = referral.state in OPEN and referral.held_at and not referral.reviewed_at
    moments = {name: getattr(referral, name) for name in stamps}
    return {
        "id": referral.invitee_id,
        "friend_id": referral.invitee_id,
        **{name: getattr(referral, name) for name in names},
        "state": HELD if held else referral.state,
        **{name: clock.rfc3339(at) if at else None for name, at in moments.items()},
    }


def review(
    friend_id: int, *, approved: bool, reason: str, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Decide a referral that is held: it goes on as if it had never been, or it is refused."""
    with atomic():
        key.claim(now=now)
        points.open_book(people([friend_id]), now=now)
        _turn(friend_id, reason, staff_id, now)
        if approved:
            settle([friend_id], now=now)
        else:
            _refuse(friend_id)
        record(Referred(friend_id), now=now)
        referral = db.session.get_one(Referral, friend_id, populate_existing=True)
        return key.store(200, view(referral))


def _turn(friend_id: int, reason: str, staff_id: int, now: datetime) -> None:
    """Mark a held referral as decided; only whoever turns it may act on it."""
    with atomic() as transaction:
        turned = transaction.execute(
            sa.update(_table)
            .where(
                _table.c.invitee_id == friend_id,
                _table.c.held_at.is_not(None),
                _table.c.reviewed_at.is_(None),
                _table.c.state.in_(OPEN),
            )
            .values(reviewed_at=now, reviewed_by=staff_id, review_note=reason)
        )
        if turned.rowcount == 0:
            held = sa.select(_table.c.held_at).where(_table.c.invitee_id == friend_id)
            raise NotFound() if transaction.execute(held).scalar() is None else AlreadyReviewed()


def _refuse(friend_id: int) -> None:
    """What was not withdrawn yet goes; what joining had paid before stays paid."""
    (referral,) = load([friend_id])
    before = asdict(referral)
    pay.withdraw(referral, PURCHASE)
    if referral.join_paid_at is None:
        pay.withdraw(referral, JOIN)
        referral.points, referral.counted_on = 0, None
    referral.join_due_at = referral.due_at = None
    referral.state, referral.reason = "refused", "refused"
    save(referral, before)
