"""Give back what points paid: in proportion to the money refunded, to the very lots that paid."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import points, shop
from mall.atomic import atomic
from mall.errors import NotFound, PaymentReturned, ReceiptPaid, ReceiptRecorded
from mall.idempotency import Answer, Key
from mall.points import Book, Cause
from models import LedgerEntry, Lot, PaymentReturn, PointsPayment, Purchase, Staff
from models.base import insert, table_of


def give_back(
    book: Book, receipt: tuple[int, str], *, left_fen: int, amount_fen: int, ref_id: str, actor: str
) -> int:
    """Give back points that paid a receipt of which so much money is left; answers how many.

    What stays paid is the share of the money that stays, rounded down; so however a refund is cut,
    the whole of it gives back every point. The book holds the account with its lots.
    """
    payment = _open_payment(receipt)
    if payment is None:
        return 0
    stays = payment.points * left_fen // amount_fen
    more = payment.points - stays - payment.returned_points
    return _return(book, payment, more, ref_id, actor) if more > 0 else 0


def cancel(payment_id: int, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Give all points of a payment back whose bill was not settled after all."""
    with atomic() as transaction:
        key.claim(now=now)
        member_id = transaction.execute(
            sa.select(PointsPayment.member_id).where(
                PointsPayment.id == payment_id, PointsPayment.store_id == clerk.store_id
            )
        ).scalar()
        if member_id is None:
            raise NotFound()
        book = points.open_book([member_id], now=now, lots=True)
        table = table_of(PointsPayment)
        payment = transaction.execute(sa.select(table).where(table.c.id == payment_id)).one()
        more = payment.points - payment.returned_points
        if not more:
            raise PaymentReturned()
        recorded = sa.select(Purchase.id).where(
            Purchase.store_id == payment.store_id, Purchase.receipt_no == payment.receipt_no
        )
        if transaction.execute(recorded).scalar() is not None:
            raise ReceiptRecorded()
        _return(book, payment, more, f"payment:{payment_id}", f"staff:{clerk.id}")
        book.write()
        balance = book.account(member_id).balance_points
        view = {"id": payment_id, "points_returned": more, "balance_after": balance}
        return key.store(200, view)


def pay_again(book: Book, ref_id: str, cause: Cause) -> None:
    """Undo what went back for `ref_id`: points pay the bill again, from the lots they went back to.

    What is spent of them by now comes from other lots where the shop wants that; the rest is owed.
    """
    parts = _went_back(ref_id)
    table = table_of(PointsPayment)
    with atomic() as transaction:
        payment = transaction.execute(
            sa.select(table).where(table.c.id == parts[0].payment_id)
        ).one()
    other = _open_payment((payment.store_id, payment.receipt_no))
    if other is not None and other.id != payment.id:
        raise ReceiptPaid(points=other.points)
    taken = [(row, row.points) for row in parts]
    others: bool = shop.setting("take_back_from_other_lots")
    book.take_back_parts(payment.member_id, taken, cause, from_others=others)
    less = [(row, -points) for row, points in taken]
    _note(payment, less, f"{cause.ref_kind}:{cause.ref_id}", book.now)


def _went_back(ref_id: str) -> Sequence[Any]:
    """The lots that got points back for a cause, with how many each."""
    query = (
        sa.select(*points.LOT_COLUMNS, PaymentReturn.points, PaymentReturn.payment_id)
        .join(Lot, Lot.id == PaymentReturn.lot_id)
        .where(PaymentReturn.ref_id == ref_id)
        .order_by(PaymentReturn.lot_id)
    )
    with atomic() as transaction:
        return transaction.execute(query).all()


def _open_payment(receipt: tuple[int, str]) -> Any:
    table = table_of(PointsPayment)
    store_id, receipt_no = receipt
    query = sa.select(table).where(
        table.c.store_id == store_id,
        table.c.receipt_no == receipt_no,
        table.c.returned_points < table.c.points,
    )
    with atomic() as transaction:
        return transaction.execute(query).one_or_none()


def _return(book: Book, payment: Any, more: int, ref_id: str, actor: str) -> int:
    rows = _uses(payment.id)
    back = _returned(payment.id)
    missing = [row.points - back.get(row.id, 0) for row in rows]
    parts = list(zip(rows, spread(more, missing), strict=True))
    cause = Cause(
        *("pay_back", "refund", ref_id, actor),
        reason=payment.receipt_no,
        rule_version=payment.rule_version,
        store_id=payment.store_id,
    )
    grace = timedelta(days=shop.setting("give_back_grace_days"))
    book.give_back_parts(payment.member_id, [each for each in parts if each[1]], cause, grace=grace)
    _note(payment, parts, ref_id, book.now)
    return more


def _uses(payment_id: int) -> Sequence[Any]:
    """The lots that paid, with what each gave."""
    entry = sa.select(LedgerEntry.id).where(
        LedgerEntry.kind == "pay",
        LedgerEntry.ref_kind == "payment",
        LedgerEntry.ref_id == str(payment_id),
    )
    with atomic() as transaction:
        return points.uses_of(transaction.execute(entry).scalar_one())


def _returned(payment_id: int) -> dict[int, int]:
    """What has gone back so far, by lot."""
    query: Any = (
        sa.select(PaymentReturn.lot_id, sa.func.sum(PaymentReturn.points))
        .where(PaymentReturn.payment_id == payment_id)
        .group_by(PaymentReturn.lot_id)
    )
    with atomic() as transaction:
        rows: Any = transaction.execute(query)
        return {lot_id: int(back) for lot_id, back in rows}


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Share a number out by weights in whole parts that add up to it, none above its weight."""
    whole, before, done, parts = sum(weights), 0, 0, []
    for weight in weights:
        before += weight
        upto = total * before // whole
        parts.append(upto - done)
        done = upto
    return parts


def _note(payment: Any, parts: Sequence[tuple[Any, int]], ref_id: str, now: datetime) -> None:
    table = table_of(PointsPayment)
    rows = [
        {
            "payment_id": payment.id,
            "ref_id": ref_id,
            "lot_id": row.id,
            "points": part,
            "created_at": now,
        }
        for row, part in parts
        if part
    ]
    more = sum(row["points"] for row in rows)
    with atomic() as transaction:
        transaction.execute(insert(PaymentReturn), rows)
        done = transaction.execute(
            sa.update(table)
            .where(table.c.id == payment.id, table.c.returned_points == payment.returned_points)
            .values(returned_points=payment.returned_points + more)
        )
    assert done.rowcount == 1, "a payment changed under its account's lock"
