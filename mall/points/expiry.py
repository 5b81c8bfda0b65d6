"""Expiry: lots whose time has come."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.points.book import open_book
from models import Lot, db

EXPIRED_AT_ONCE = 200


def expire_due(*, now: datetime) -> int:
    """Write off the due lots of a bounded batch of members; answers how many points went."""
    due = (
        sa.select(Lot.member_id)
        .where(Lot.points_left > 0, Lot.expires_at <= now)
        .distinct()
        .order_by(Lot.member_id)
        .limit(EXPIRED_AT_ONCE)
    )
    with atomic() as transaction:
        members = transaction.execute(due).scalars().all()
        book = open_book(members, now=now, lots=True)
        gone = sum(book.expire_due(member_id) for member_id in members)
        book.write()
    return gone


def due_points(member_id: int, *, now: datetime) -> int:
    """Points still in the balance whose time has come: they can't be spent any more."""
    query = sa.select(sa.func.coalesce(sa.func.sum(Lot.points_left), 0)).where(
        Lot.member_id == member_id, Lot.points_left > 0, Lot.expires_at <= now
    )
    return int(db.session.scalar(query) or 0)


def expiring(rows: Iterable[Any]) -> list[tuple[datetime, int]]:
    """Lots' (expires_at, points_left) summed by moment, the first first; every date, not only one."""
    by_moment: dict[datetime, int] = defaultdict(int)
    for expires_at, points_left in rows:
        if expires_at is not None:
            by_moment[expires_at] += points_left
    return sorted(by_moment.items())
