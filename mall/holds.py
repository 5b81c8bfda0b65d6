"""Holds: points set aside until something is decided, in two steps.

A hold takes the points out of their lots at once, so that they can neither be spent nor expire
meanwhile. It ends once: posted, and the points are gone for good, or voided (by hand, or by itself
when its time is over), and they return to the very lots they came from.
"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, points, shop
from mall.atomic import atomic, read
from mall.errors import HoldEnded, NotFound
from mall.idempotency import Answer, Key
from mall.points import Book, Cause
from models import Hold, LedgerEntry, db
from models.base import insert

EXPIRED_AT_ONCE = 100


def view(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "member_id": hold.member_id,
        "points": hold.points,
        "reason": hold.reason,
        "state": hold.state,
        "expires_at": clock.rfc3339(hold.expires_at),
        "created_at": clock.rfc3339(hold.created_at),
        "ended_at": clock.rfc3339(hold.ended_at) if hold.ended_at else None,
    }


def hold(
    member_id: int,
    amount: int,
    *,
    reason: str,
    lasts: timedelta | None = None,
    actor: str,
    key: Key,
    now: datetime,
) -> Answer:
    """Set points aside; refused like a spend where there are too few."""
    until = now + (lasts or timedelta(hours=shop.setting("hold_lasts_hours")))
    with atomic() as transaction:
        key.claim(now=now)
        book = points.open_book([member_id], now=now, lots=True)
        book.check_spend(member_id, amount)
        row = {"member_id": member_id, "points": amount, "reason": reason, "actor": actor}
        statement = insert(Hold).values(**row, state="held", expires_at=until, created_at=now)
        hold_id = transaction.execute(statement.returning(Hold.id)).scalar_one()
        cause = Cause("hold", "hold", str(hold_id), actor, reason=reason)
        book.spend(member_id, amount, cause)
        book.hold(member_id, amount)
        book.write()
        return key.store(201, view(_find(hold_id)))


def post(hold_id: int, *, actor: str, key: Key, now: datetime) -> Answer:
    """Let held points go for good."""
    with atomic():
        key.claim(now=now)
        book = points.open_book([_find(hold_id).member_id], now=now)
        ended = _end(hold_id, "posted", actor=actor, now=now)
        book.hold(ended.member_id, -ended.points)
        book.write()
        return key.store(200, view(_find(hold_id)))


def void(hold_id: int, *, actor: str, key: Key, now: datetime) -> Answer:
    """Give held points back to the lots they came from."""
    with atomic():
        key.claim(now=now)
        book = points.open_book([_find(hold_id).member_id], now=now, lots=True)
        _give_back(book, _end(hold_id, "voided", actor=actor, now=now), actor)
        book.write()
        return key.store(200, view(_find(hold_id)))


def void_all(member_id: int, *, actor: str, now: datetime) -> int:
    """Give back everything that is held of a member, in a caller's transaction; answers how many."""
    with atomic():
        book = points.open_book([member_id], now=now, lots=True)
        held = sa.select(Hold.id).where(Hold.member_id == member_id, Hold.state == "held")
        ids = [row.id for row in read(held.order_by(Hold.id))]
        for hold_id in ids:
            _give_back(book, _end(hold_id, "voided", actor=actor, now=now), actor)
        book.write()
    return len(ids)


def expire_due(*, now: datetime) -> int:
    """Give back holds whose time is over, a bounded batch; answers how many."""
    with atomic() as transaction:
        due = transaction.execute(
            sa.select(Hold.id, Hold.member_id)
            .where(Hold.state == "held", Hold.expires_at <= now)
            .order_by(Hold.member_id, Hold.id)
            .limit(EXPIRED_AT_ONCE)
        ).all()
        book = points.open_book([row.member_id for row in due], now=now, lots=True)
        done = 0
        for row in due:
            try:
                ended = _end(row.id, "expired", actor="system", now=now)
            except HoldEnded:
                continue  # somebody was quicker, before the account was locked
            _give_back(book, ended, "system")
            done += 1
        book.write()
    return done


def _find(hold_id: int) -> Hold:
    found = db.session.get(Hold, hold_id, populate_existing=True)
    if found is None:
        raise NotFound()
    return found


def _end(hold_id: int, state: str, *, actor: str, now: datetime) -> Any:
    """Turn a hold that is still held; only whoever turns it may move its points."""
    still = Hold.expires_at > now if state == "posted" else sa.true()
    with atomic() as transaction:
        ended = transaction.execute(
            sa.update(Hold)
            .where(Hold.id == hold_id, Hold.state == "held", still)
            .values(state=state, ended_at=now, ended_by=actor)
            .returning(Hold.id, Hold.member_id, Hold.points)
            .execution_options(synchronize_session=False)
        ).one_or_none()
    if ended is None:
        raise HoldEnded()
    return ended


def _give_back(book: Book, ended: Any, actor: str) -> None:
    with atomic() as transaction:
        entry_id = transaction.execute(
            sa.select(LedgerEntry.id).where(
                LedgerEntry.kind == "hold",
                LedgerEntry.ref_kind == "hold",
                LedgerEntry.ref_id == str(ended.id),
            )
        ).scalar_one()
    cause = Cause("hold_void", "hold", str(ended.id), actor)
    grace = timedelta(days=shop.setting("give_back_grace_days"))
    book.give_back(ended.member_id, entry_id, cause, grace=grace)
    book.hold(ended.member_id, -ended.points)
