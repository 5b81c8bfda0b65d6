"""Reviews: written by who bought, one a line, held until the shop has read them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, shop
from mall.atomic import atomic
from mall.errors import LineUnknown, NotFound, ReviewDecided, ReviewKnown, ReviewTooShort
from mall.events import ReviewApproved, record
from mall.idempotency import Answer, Key
from models import Purchase, Review
from models.base import db, insert, table_of

_table = table_of(Review)


def write(
    member_id: int,
    purchase_id: int,
    line_no: int,
    rating: int,
    text: str,
    *,
    key: Key,
    now: datetime,
) -> Answer:
    """Hold a review of a line of one's own receipt; a receipt without items is one line."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(member_id, purchase_id, line_no, text)
        row = {
            "member_id": member_id,
            "purchase_id": purchase_id,
            "line_no": line_no,
            "rating": rating,
            "text": text,
            "state": "held",
            "note": "",
            "created_at": now,
        }
        statement = insert(Review).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(_table.c.id)).scalar()
        if added is None:
            raise ReviewKnown()
        return key.store(201, view(Review(id=added, **row)))


def _check(member_id: int, purchase_id: int, line_no: int, text: str) -> None:
    query = sa.select(Purchase.items).where(
        Purchase.id == purchase_id,
        Purchase.member_id == member_id,
        Purchase.undone_at.is_(None),
    )
    with atomic() as transaction:
        found = transaction.execute(query).one_or_none()
    if found is None:
        raise NotFound()
    lines = max(len(found.items), 1)
    if line_no > lines:
        raise LineUnknown(lines=lines)
    min_chars: int = shop.setting("review_min_chars")
    length = len("".join(text.split()))
    if length < min_chars:
        raise ReviewTooShort(min_chars=min_chars, short_by=min_chars - length)


def decide(
    review_id: int, *, approved: bool, note: str, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Approve a review or reject it, once; a rejected one makes room for another."""
    with atomic() as transaction:
        key.claim(now=now)
        state = "approved" if approved else "rejected"
        decided = {"state": state, "note": note, "decided_by": staff_id, "decided_at": now}
        turned = transaction.execute(
            sa.update(_table)
            .where(_table.c.id == review_id, _table.c.state == "held")
            .values(**decided)
        )
        review = db.session.get(Review, review_id, populate_existing=True)
        if review is None:
            raise NotFound()
        if turned.rowcount == 0:
            raise ReviewDecided()
        if approved:
            record(ReviewApproved(review.member_id, review_id), now=now)
        return key.store(200, of_shop(review))


def view(review: Review) -> dict[str, Any]:
    """A review as its author sees it."""
    names = ("id", "purchase_id", "line_no", "rating", "text", "state", "note")
    decided = review.decided_at
    return {
        **{name: getattr(review, name) for name in names},
        "created_at": clock.rfc3339(review.created_at),
        "decided_at": clock.rfc3339(decided) if decided else None,
    }


def of_shop(review: Review) -> dict[str, Any]:
    """A review as the shop sees it: who wrote it, who decided."""
    return {**view(review), "member_id": review.member_id, "decided_by": review.decided_by}
