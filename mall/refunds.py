"""Refunds: money given back for a receipt takes back what it earned, and gives back what it paid.

By amount, by item or whole; mall/receipts.py says what stays. However a refund is cut into parts, the
whole of it takes exactly what the receipt gave, and gives back every point that paid for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import actions, earning, payments, points, receipts, shop, tiers
from mall.atomic import Contended, atomic
from mall.errors import NotFound, PurchaseUndone, RefundTooLarge
from mall.events import Refunded, record
from mall.idempotency import Answer, Key
from mall.points import Book, Cause, TakenBack
from mall.receipts import Items
from mall.tiers import Bought
from models import LedgerEntry, Purchase, Refund, Staff, TillAction, db
from models.base import insert

UNDONE = sa.exists().where(
    TillAction.kind == actions.REFUND,
    TillAction.ref_id == Refund.id,
    TillAction.undone_at.is_not(None),
)


@dataclass(frozen=True)
class Asked:
    """What is to be refunded: an amount, some items, or (neither) all that is left."""

    amount_fen: int | None = None
    items: Items = ()


def refund(
    purchase_id: int, asked: Asked | int, *, clerk: Staff, key: Key, now: datetime
) -> Answer:
    """Give back part or all of a receipt's money: its points and growth follow, even if spent."""
    asked = Asked(asked) if isinstance(asked, int) else asked
    with atomic() as transaction:
        key.claim(now=now)
        member_id = _member_of(purchase_id, clerk)
        book = points.open_book([member_id], now=now, lots=True)
        amount_fen, gone = _amount(purchase_id, asked)
        purchase = _reduce(purchase_id, amount_fen)
        if purchase.member_id != member_id:
            raise Contended()  # the two members became one meanwhile: the same again goes through
        after_fen = purchase.amount_fen - purchase.refunded_fen
        owed, growth = _lost(purchase, gone, asked, after_fen + amount_fen, after_fen)
        refund_id = _next_id(purchase_id, purchase.refunded_fen)
        actor = f"staff:{clerk.id}"
        returned = _give_back(book, purchase, refund_id, after_fen, actor)
        taken = _take_points(book, purchase, refund_id, owed, actor)
        book.write()
        before = gone_points(purchase_id)
        after = before + taken.points + taken.debt_points
        earning.uncount(member_id, purchase, before=before, after=after)
        bought = Bought(member_id, purchase_id, purchase.growth_awarded, purchase.paid_at)
        cause = ("refund", "refund", refund_id)
        growth = tiers.take_back(bought, growth=growth, cause=cause, whole=not after_fen, now=now)
        row = {
            "purchase_id": purchase_id,
            "amount_fen": amount_fen,
            "points_taken": taken.points,
            "debt_points": taken.debt_points,
            "growth_taken": growth,
            "items": list(asked.items),
            "points_returned": returned,
            "forgiven_points": taken.forgiven_points,
            "staff_id": clerk.id,
            "created_at": now,
        }
        id_ = transaction.execute(insert(Refund).values(**row).returning(Refund.id)).scalar_one()
        where = (member_id, purchase.store_id, clerk.id)
        label = f"{purchase.receipt_no} -{amount_fen / 100:.2f}"
        actions.note_many([actions.Action(actions.REFUND, id_, *where, label, refund_id)], now=now)
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


def _amount(purchase_id: int, asked: Asked) -> tuple[int, dict[str, int]]:
    """The money of what is asked, and the units refunded before. Under the account's lock."""
    gone = _gone(purchase_id)
    if asked.amount_fen is not None:
        return asked.amount_fen, gone
    with atomic() as transaction:
        query = sa.select(Purchase.__table__).where(Purchase.id == purchase_id)
        row = transaction.execute(query).one()
    if not asked.items:
        if row.refunded_fen == row.amount_fen:
            raise _too_large(0)
        return row.amount_fen - row.refunded_fen, gone
    receipt, wanted = receipts.read(row), receipts.counted(asked.items)
    receipt.check(wanted, gone)
    amount_fen = receipt.fen_of(_with(gone, wanted)) - receipt.fen_of(gone)
    if not amount_fen:
        raise _too_large(0)
    return amount_fen, gone


def _gone(purchase_id: int) -> dict[str, int]:
    """Units of a receipt that have been refunded, by sku; refunds that were undone are none."""
    query = sa.select(Refund.items).where(Refund.purchase_id == purchase_id, ~UNDONE)
    with atomic() as transaction:
        rows: Sequence[Any] = transaction.execute(query).scalars().all()
    return receipts.counted([item for items in rows for item in items])


def _with(gone: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {sku: gone.get(sku, 0) + more.get(sku, 0) for sku in {**gone, **more}}


def _too_large(left_fen: int) -> RefundTooLarge:
    return RefundTooLarge(left_fen=left_fen, left_yuan=f"{left_fen / 100:.2f}")


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
        Purchase.receipt_no,
        Purchase.items,
        Purchase.shares,
        Purchase.lines,
    )
    left = Purchase.amount_fen - Purchase.refunded_fen
    with atomic() as transaction:
        reduced = transaction.execute(
            sa.update(Purchase)
            .where(Purchase.id == purchase_id, Purchase.undone_at.is_(None), left >= amount_fen)
            .values(refunded_fen=Purchase.refunded_fen + amount_fen)
            .returning(*columns)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if reduced is None:
            query = sa.select(left.label("fen"), Purchase.undone_at)
            row = transaction.execute(query.where(Purchase.id == purchase_id)).one()
            raise _too_large(row.fen) if row.undone_at is None else PurchaseUndone()
    return reduced


def gone_points(purchase_id: int, *, besides: int = 0) -> int:
    """Points of a receipt that its refunds took or left owed; what they forgave has stayed."""
    taken = sa.func.sum(Refund.points_taken + Refund.debt_points)
    query = sa.select(sa.func.coalesce(taken, 0)).where(Refund.purchase_id == purchase_id, ~UNDONE)
    with atomic() as transaction:
        return int(transaction.execute(query.where(Refund.id != besides)).scalar_one())


def _next_id(purchase_id: int, refunded_fen: int) -> str:
    """A name for this refund's entries: no two refunds of a receipt end at the same amount.

    Those that were undone did, so their number is told apart.
    """
    refunds = sa.select(sa.func.count()).select_from(Refund)
    undone = refunds.where(Refund.purchase_id == purchase_id, UNDONE)
    with atomic() as transaction:
        times = transaction.execute(undone).scalar_one()
    name = f"{purchase_id}:{refunded_fen}"
    return f"{name}~{times}" if times else name


def _lost(
    purchase: Any, gone: dict[str, int], asked: Asked, before_fen: int, after_fen: int
) -> tuple[int, int]:
    """The points and the growth that do not stay."""
    receipt = receipts.read(purchase)
    now_gone = _with(gone, receipts.counted(asked.items))
    kept = receipt.points_kept(gone, before_fen), receipt.points_kept(now_gone, after_fen)
    growth = receipt.growth_kept(before_fen) - receipt.growth_kept(after_fen)
    return kept[0] - kept[1], growth


def _give_back(book: Book, purchase: Any, refund_id: str, after_fen: int, actor: str) -> int:
    """Return what points had paid of the receipt, in proportion to the money that goes back."""
    return payments.give_back(
        book,
        (purchase.store_id, purchase.receipt_no),
        left_fen=after_fen,
        amount_fen=purchase.amount_fen,
        ref_id=refund_id,
        actor=actor,
    )


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
    taken = book.take_back(
        *(purchase.member_id, entry_id, owed - pending, cause),
        from_others=others,
        forgive=shop.setting("refund_shortfall") == "forgive",
    )
    return replace(taken, points=taken.points + pending)


def _view(id_: int, row: dict[str, Any], taken: TakenBack, after_fen: int) -> dict[str, Any]:
    return {
        "id": id_,
        "purchase_id": row["purchase_id"],
        "amount_fen": row["amount_fen"],
        "refundable_fen": after_fen,
        "points_taken": taken.points,
        "debt_points": taken.debt_points,
        "forgiven_points": taken.forgiven_points,
        "points_returned": row["points_returned"],
        "growth_taken": row["growth_taken"],
        "balance_after": taken.balance_after,
    }
