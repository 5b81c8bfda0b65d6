"""A receipt undone: its points, growth and tier go, and its number may be recorded again."""

from typing import Any

import sqlalchemy as sa

from mall import earning, points, shop, tiers
from mall.atomic import atomic
from mall.errors import RefundsStand
from mall.tiers import Bought
from mall.undo.undoing import Undoing
from models import LedgerEntry, Purchase
from models.base import table_of

KIND = "undo_purchase"
STANDS_FOR = " undone:"  # no till can send a number that begins with a blank


def undo(undoing: Undoing) -> None:
    """Take a receipt out of the books. What it earned goes even if it is spent: the rest is owed."""
    receipt = _free_number(undoing)
    earning.uncount(undoing.member_id, receipt, before=0, after=receipt.points_awarded)
    for entry in _earned(undoing):
        others: bool = shop.setting("take_back_from_other_lots")
        cause = undoing.cause(KIND, "" if entry.kind == "purchase" else str(entry.id))
        undoing.book.take_back(
            undoing.member_id, entry.id, entry.delta_points, cause, from_others=others
        )
    points.void_promises("purchase", str(undoing.ref_id))
    bought = Bought(*(undoing.member_id, undoing.ref_id), receipt.growth_awarded, receipt.paid_at)
    taken = (KIND, "action", str(undoing.action_id))
    tiers.take_back(bought, growth=receipt.growth_awarded, cause=taken, whole=True, now=undoing.now)


def _free_number(undoing: Undoing) -> Any:
    """Mark the receipt as undone, unless money was given back for it since."""
    table = table_of(Purchase)
    with atomic() as transaction:
        freed = transaction.execute(
            sa.update(table)
            .where(
                table.c.id == undoing.ref_id,
                table.c.undone_at.is_(None),
                table.c.refunded_fen == 0,
            )
            .values(
                undone_at=undoing.now,
                undone_receipt_no=table.c.receipt_no,
                receipt_no=f"{STANDS_FOR}{undoing.ref_id}",
            )
            .returning(
                *(table.c.paid_at, table.c.lines, table.c.points_awarded, table.c.growth_awarded)
            )
        ).one_or_none()
        if freed is None:
            refunded = sa.select(table.c.refunded_fen).where(table.c.id == undoing.ref_id)
            fen = transaction.execute(refunded).scalar_one()
            raise RefundsStand(refunded_fen=fen, refunded_yuan=f"{fen / 100:.2f}")
    return freed


def _earned(undoing: Undoing) -> list[Any]:
    """The entries that a receipt made: one of each rule or moment that paid for it."""
    query = sa.select(LedgerEntry.id, LedgerEntry.kind, LedgerEntry.delta_points).where(
        LedgerEntry.ref_kind == "purchase",
        LedgerEntry.ref_id == str(undoing.ref_id),
        LedgerEntry.delta_points > 0,
    )
    with atomic() as transaction:
        return list(transaction.execute(query.order_by(LedgerEntry.id)).all())
