"""Pickups: points that a rule gives only when what was bought has been picked up."""

from datetime import datetime

import sqlalchemy as sa

from mall import points
from mall.atomic import Contended, atomic
from mall.errors import NotFound, NothingAwaitsPickup
from mall.idempotency import Answer, Key
from models import Purchase, Staff, db

REF = "purchase"


def pick_up(purchase_id: int, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Give the points that waited for a pickup, once. What was refunded meanwhile is not among them."""
    with atomic():
        key.claim(now=now)
        member_id = _member_of(purchase_id, clerk)
        book = points.open_book([member_id], now=now)
        if member_id != _member_of(purchase_id, clerk):
            raise Contended()  # the two members became one meanwhile: the same again goes through
        before = book.account(member_id).balance_points
        if not points.come_due(REF, str(purchase_id), now=now):
            raise NothingAwaitsPickup()
        points.activate(REF, str(purchase_id), book=book, now=now)
        book.write()
        after = book.account(member_id).balance_points
        return key.store(200, {"points_awarded": after - before, "balance_after": after})


def _member_of(purchase_id: int, clerk: Staff) -> int:
    """Whose receipt it is; another store's is nobody's."""
    query = sa.select(Purchase.member_id).where(
        Purchase.id == purchase_id,
        Purchase.store_id == clerk.store_id,
        Purchase.undone_at.is_(None),
    )
    member_id = db.session.scalar(query)
    if member_id is None:
        raise NotFound()
    return member_id
