"""Adjustments: points given or taken by hand; a large one needs a second admin."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points, shop
from mall.atomic import atomic
from mall.errors import AlreadyReviewed, NotFound, ReviewerIsAuthor
from mall.idempotency import Answer, Key
from mall.points import Cause
from models import PointsAdjustment, db


def view(adjustment: PointsAdjustment, balance_after: int | None = None) -> dict[str, Any]:
    return {
        "id": adjustment.id,
        "member_id": adjustment.member_id,
        "points": adjustment.points,
        "reason": adjustment.reason,
        "note": adjustment.note,
        "state": adjustment.state,
        "asked_by": adjustment.asked_by,
        "asked_at": clock.rfc3339(adjustment.asked_at),
        "reviewed_by": adjustment.reviewed_by,
        "balance_after": balance_after,
    }


def adjust(
    member_id: int, change: dict[str, Any], *, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Change a member's points: 201 at once, or 202 where it waits for a second admin."""
    limit: int = shop.setting("adjustment_limit_points")
    waits = abs(change["points"]) > limit
    with atomic():
        key.claim(now=now)
        book = points.open_book([member_id], now=now, lots=True)
        book.account(member_id)
        adjustment = PointsAdjustment(
            **change,
            member_id=member_id,
            state="pending" if waits else "posted",
            asked_by=staff_id,
            asked_at=now,
        )
        db.session.add(adjustment)
        db.session.flush()
        balance = None if waits else _post(book, adjustment, staff_id)
        return key.store(202 if waits else 201, view(adjustment, balance))


def review(adjustment_id: int, *, approved: bool, staff_id: int, key: Key, now: datetime) -> Answer:
    """Decide a waiting adjustment; nobody decides their own."""
    with atomic() as transaction:
        key.claim(now=now)
        found = db.session.get(PointsAdjustment, adjustment_id)
        if found is None:
            raise NotFound()
        if found.asked_by == staff_id:
            raise ReviewerIsAuthor()
        book = points.open_book([found.member_id], now=now, lots=True)
        decided = transaction.execute(
            sa.update(PointsAdjustment)
            .where(PointsAdjustment.id == adjustment_id, PointsAdjustment.state == "pending")
            .values(
                state="posted" if approved else "rejected", reviewed_by=staff_id, reviewed_at=now
            )
            .execution_options(synchronize_session=False)
        )
        if decided.rowcount == 0:
            raise AlreadyReviewed()
        db.session.refresh(found)
        balance = _post(book, found, staff_id) if approved else None
        return key.store(200, view(found, balance))


def _post(book: points.Book, adjustment: PointsAdjustment, staff_id: int) -> int:
    cause = Cause(
        "adjust", "adjustment", str(adjustment.id), f"staff:{staff_id}", reason=adjustment.reason
    )
    member_id, change = adjustment.member_id, adjustment.points
    if change > 0:
        balance = book.earn(member_id, change, cause)
    else:
        balance = book.spend(member_id, -change, cause)
    book.write()
    return balance
