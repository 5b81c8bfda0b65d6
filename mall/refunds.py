"""Refunds: money given back for a receipt takes its points and growth back in proportion.

What a receipt keeps is what it earned times the money that stays, rounded down; so however a refund
is cut into parts, the whole of it takes exactly what the receipt gave.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import points, shop, tiers
from mall.atomic import atomic
from mall.errors import NotFound, RefundTooLarge
from mall.events import Refunded, record
from mall.idempotency import Answer, Key
from mall.points import Book, Cause, TakenBack
from mall.tiers import Bought
from models import LedgerEntry, Purchase, Refund, Staff, db
from models.base import insert


def refund(purchase_id: int, amount_fen: int, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Give back part or all of a receipt's money: its points and growth follow, even if spent."""
    with atomic() as transaction:
        key.claim(now=now)
        member_id = _member_of(purchase_id, clerk)
        book = points.open_book([member_id], now=now, lots=True)
        purchase = _reduce(purchase_id, amount_fen)
        before_fen = purchase.amount_fen - purchase.refunded_fen + amount_fen
        after_fen = before_fen - amount_fen
        owed = _lost(purchase.points_awarded, before_fen, after_fen, purchase.amount_fen)
        growth = _lost(purchase.growth_awarded, before_fen, after_fen, purchase.amount_fen)
        refund_id = _next_id(purchase_id, purchase.refunded_fen)
        taken = _take_points(book, purchase, refund_id, owed, f"staff:{clerk.id}")
        book.write()
        bought = Bought(member_id, purchase_id, purchase.growth_awarded, purchase.paid_at)
        growth = tiers.shrink_by_refund(
            bought, growth=growth, refund_id=refund_id, whole=not after_fen, now=now
        )
        row = {
            "purchase_id": purchase_id,
            "amount_fen": amount_fen,
            "points_taken": taken.points,
            "debt_points": taken.debt_points,
            "growth_taken": growth,
            "staff_id": clerk.id,
            "created_at": now,
        }
        id_ = transaction.execute(insert(Refund).values(**row).returning(Refund.id)).scalar_one()
        record(Refunded(member_id, purchase_id, amount_fen, after_fen), now=now)
        return key.store(201, _view(id_, row, taken, after_fen))


def _member_of(purchase_id: int, clerk: Staff) -> int:
    """Whose receipt it is; another store's is nobody's."""
    query = sa.select(Purchase.member_id).where(
        Purchase.id == purchase_id, Purchase.store_id == clerk.store_id
    )
    member_id = db.session.scalar(query)
    if member_id is None:
        raise NotFound()
    return member_id


def _reduce(purchase_id: int, amount_fen: int) -> Any:
    """Count money as refunded, never more than the receipt has left; answers the row as it is now."""
    columns = (
        Purchase.id,
        Purchase.member_id,
        Purchase.amount_fen,
        Purchase.refunded_fen,
        Purchase.points_awarded,
        Purchase.growth_awarded,
        Purchase.paid_at,
        Purchase.store_id,
    )
    left = Purchase.amount_fen - Purchase.refunded_fen
    with atomic() as transaction:
        reduced = transaction.execute(
            sa.update(Purchase)
            .where(Purchase.id == purchase_id, left >= amount_fen)
            .values(refunded_fen=Purchase.refunded_fen + amount_fen)
            .returning(*columns)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if reduced is None:
            query = sa.select(left).where(Purchase.id == purchase_id)
            left_fen = transaction.execute(query).scalar_one()
            raise RefundTooLarge(left_fen=left_fen, left_yuan=f"{left_fen / 100:.2f}")
    return reduced


def _next_id(purchase_id: int, refunded_fen: int) -> str:
    """A name for this refund's entries: no two refunds of a receipt end at the same amount."""
    return f"{purchase_id}:{refunded_fen}"


def _lost(awarded: int, before_fen: int, after_fen: int, amount_fen: int) -> int:
    return awarded * before_fen // amount_fen - awarded * after_fen // amount_fen


def _take_points(book: Book, purchase: Any, refund_id: str, owed: int, actor: str) -> TakenBack:
    """Take points back: first those that are still to come, then those that are there."""
    pending = points.lower(("purchase", "purchase", str(purchase.id)), owed)
    balance = book.account(purchase.member_id).balance_points
    if owed == pending:
        return TakenBack(pending, 0, balance)
    with atomic() as transaction:
        entry_id = transaction.execute(
            sa.select(LedgerEntry.id).where(
                LedgerEntry.kind == "purchase",
                LedgerEntry.ref_kind == "purchase",
                LedgerEntry.ref_id == str(purchase.id),
            )
        ).scalar_one()
    cause = Cause("refund", "refund", refund_id, actor, store_id=purchase.store_id)
    others: bool = shop.setting("take_back_from_other_lots")
    taken = book.take_back(purchase.member_id, entry_id, owed - pending, cause, from_others=others)
    return replace(taken, points=taken.points + pending)


def _view(id_: int, row: dict[str, Any], taken: TakenBack, after_fen: int) -> dict[str, Any]:
    return {
        "id": id_,
        "purchase_id": row["purchase_id"],
        "amount_fen": row["amount_fen"],
        "refundable_fen": after_fen,
        "points_taken": taken.points,
        "debt_points": taken.debt_points,
        "growth_taken": row["growth_taken"],
        "balance_after": taken.balance_after,
    }
