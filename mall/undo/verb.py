"""Undo an action: within the window by who did it, at any time by the manager of its store."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import actions, clock, points, shop
from mall.atomic import Contended, atomic
from mall.errors import AlreadyUndone, NotFound, UndoTooLate
from mall.events import Undone, record
from mall.idempotency import Answer, Key
from mall.undo import purchases, refunds, vouchers
from mall.undo.undoing import Undoing
from models import Account, Staff, TillAction, db
from models.base import table_of

MANAGER = "manager"
UNDO: dict[str, Callable[[Undoing], None]] = {
    actions.PURCHASE: purchases.undo,
    actions.REFUND: refunds.undo,
    actions.VOUCHER_USE: vouchers.undo,
}


def seen_by(staff: Staff, *, whole_store: bool = False) -> sa.Select[Any]:
    """The actions somebody may look at and undo: one's own, and a manager those of the store."""
    query = sa.select(TillAction).where(TillAction.store_id == staff.store_id)
    if whole_store and staff.role == MANAGER:
        return query
    return query.where(TillAction.staff_id == staff.id)


def view(action: TillAction, *, staff: Staff, now: datetime) -> dict[str, Any]:
    """An action as shown at the till, with whether this person can undo it, and until when."""
    until = _until(action.done_at)
    undone_by = db.session.get(Staff, action.undone_by) if action.undone_by else None
    in_time = now < until or staff.role == MANAGER
    return {
        "id": action.id,
        "kind": action.kind,
        "ref_id": action.ref_id,
        "label": action.label,
        "member_id": action.member_id,
        "staff": db.session.get_one(Staff, action.staff_id).name,
        "done_at": clock.rfc3339(action.done_at),
        "undo_until": clock.rfc3339(until),
        "can_undo": action.undone_at is None and in_time and action.kind in UNDO,
        "undone_at": clock.rfc3339(action.undone_at) if action.undone_at else None,
        "undone_by": undone_by.name if undone_by else None,
        "undo_reason": action.undo_reason,
    }


def _until(done_at: datetime) -> datetime:
    return done_at + timedelta(minutes=shop.setting("undo_window_minutes"))


def undo(action_id: int, reason: str, *, staff: Staff, key: Key, now: datetime) -> Answer:
    """Take back what was done: points, growth, tier, voucher, as if it had not been; once."""
    with atomic():
        key.claim(now=now)
        action = _find(action_id, staff)
        book = points.open_book([action.member_id], now=now, lots=True)
        _check_window(action, staff, now)
        _turn(action, reason, staff, now)
        before = _figures(action.member_id)
        UNDO[action.kind](_undoing(action, reason, staff, book, now))
        book.write()
        record(Undone(action.member_id, action.id, action.kind, action.ref_id), now=now)
        return key.store(200, _answer(action_id, staff, before, now))


def _find(action_id: int, staff: Staff) -> Any:
    query = seen_by(staff, whole_store=True).where(
        TillAction.id == action_id, TillAction.kind.in_(UNDO)
    )
    with atomic() as transaction:
        found = transaction.execute(query.with_only_columns(*table_of(TillAction).c)).one_or_none()
    if found is None:
        raise NotFound()
    return found


def _check_window(action: Any, staff: Staff, now: datetime) -> None:
    """Raise where this person comes too late; what was undone before is told as that."""
    until = _until(action.done_at)
    if action.undone_at is None and now >= until and staff.role != MANAGER:
        minutes = shop.setting("undo_window_minutes")
        raise UndoTooLate(minutes=minutes, until=clock.rfc3339(until))


def _turn(action: Any, reason: str, staff: Staff, now: datetime) -> None:
    """Mark an action as undone; only whoever turns it may act on it."""
    table = table_of(TillAction)
    with atomic() as transaction:
        turned = transaction.execute(
            sa.update(table)
            .where(
                table.c.id == action.id,
                table.c.undone_at.is_(None),
                table.c.member_id == action.member_id,
            )
            .values(undone_at=now, undone_by=staff.id, undo_reason=reason)
        )
        if turned.rowcount:
            return
        seen = transaction.execute(
            sa.select(table.c.undone_at, Staff.name)
            .outerjoin(Staff, Staff.id == table.c.undone_by)
            .where(table.c.id == action.id)
        ).one()
    if seen.undone_at is None:
        raise Contended()  # its member and another became one: the same again goes through
    raise AlreadyUndone(at=clock.rfc3339(seen.undone_at), by=seen.name)


def _undoing(action: Any, reason: str, staff: Staff, book: points.Book, now: datetime) -> Undoing:
    what = (action.id, action.ref_id, action.entry_ref, action.member_id, action.store_id)
    return Undoing(*what, action.done_at, reason, staff, book, now)


def _figures(member_id: int) -> Any:
    names = (Account.balance_points, Account.debt_points, Account.growth_value, Account.tier_code)
    with atomic() as transaction:
        return transaction.execute(sa.select(*names).where(Account.member_id == member_id)).one()


def _answer(action_id: int, staff: Staff, before: Any, now: datetime) -> dict[str, Any]:
    """What was undone and what came of it; `points` and `growth` are what moved, with their sign."""
    action = db.session.get_one(TillAction, action_id, populate_existing=True)
    after = _figures(action.member_id)
    return {
        **view(action, staff=staff, now=now),
        "points": after.balance_points - before.balance_points,
        "debt_points": after.debt_points - before.debt_points,
        "growth": after.growth_value - before.growth_value,
        "tier_before": before.tier_code,
        "tier_after": after.tier_code,
        "balance_after": after.balance_points,
    }
