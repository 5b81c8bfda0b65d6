"""A refund undone: the receipt counts whole again, with its points and growth."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mall import actions, shop
from mall.atomic import atomic
from mall.errors import LaterRefundStands
from mall.undo import growth
from mall.undo.undoing import Undoing
from models import LedgerEntry, Purchase, Refund, TillAction
from models.base import table_of

KIND = "undo_refund"


def undo(undoing: Undoing) -> None:
    """Give back what a refund took, to the very lots it came from; what it left owed is owed no more."""
    refund = _refund(undoing.ref_id)
    _count_again(refund)
    _check_last(refund)
    book, member_id = undoing.book, undoing.member_id
    grace = timedelta(days=shop.setting("give_back_grace_days"))
    if refund.debt_points:
        book.forgive(
            member_id,
            refund.debt_points,
            undoing.cause(KIND, "debt"),
            since=undoing.done_at,
            grace=grace,
            expires_at=shop.points_expire_at(undoing.now),
        )
    if refund.points_taken:
        book.give_back(member_id, _entry_of(undoing), undoing.cause(KIND), grace=grace)
    growth.give(undoing, KIND, refund.growth_taken)


def _refund(refund_id: int) -> Any:
    with atomic() as transaction:
        return transaction.execute(sa.select(Refund.__table__).where(Refund.id == refund_id)).one()


def _count_again(refund: Any) -> None:
    table = table_of(Purchase)
    with atomic() as transaction:
        counted = transaction.execute(
            sa.update(table)
            .where(table.c.id == refund.purchase_id, table.c.refunded_fen >= refund.amount_fen)
            .values(refunded_fen=table.c.refunded_fen - refund.amount_fen)
        )
    assert counted.rowcount == 1, "a refund that stands is counted on its receipt"


def _check_last(refund: Any) -> None:
    """Under the receipt's lock: of several refunds the last goes first.

    Each took what was left after those before it, rounded; undone in another order they would
    not add up to what the receipt gave.
    """
    undone = sa.exists().where(
        TillAction.kind == actions.REFUND,
        TillAction.ref_id == Refund.id,
        TillAction.undone_at.is_not(None),
    )
    later = sa.select(Refund.id).where(
        Refund.purchase_id == refund.purchase_id, Refund.id > refund.id, ~undone
    )
    with atomic() as transaction:
        if transaction.execute(later).first() is not None:
            raise LaterRefundStands()


def _entry_of(undoing: Undoing) -> int:
    """The entry with which the refund took points."""
    query = sa.select(LedgerEntry.id).where(
        LedgerEntry.kind == "refund",
        LedgerEntry.ref_kind == "refund",
        LedgerEntry.ref_id == undoing.entry_ref,
    )
    with atomic() as transaction:
        return int(transaction.execute(query).scalar_one())
