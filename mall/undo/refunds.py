"""A refund undone: the receipt counts whole again, with its points and growth."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mall import earning, payments, points, shop, tiers
from mall.atomic import atomic
from mall.errors import LaterRefundStands
from mall.refunds import UNDONE, gone_points
from mall.tiers import Bought
from mall.undo.undoing import Undoing
from models import GrowthEntry, LedgerEntry, Purchase, Refund
from models.base import table_of

KIND = "undo_refund"
RECEIPT = ("amount_fen", "refunded_fen", "paid_at", "lines", "points_awarded")


def undo(undoing: Undoing) -> None:
    """Give back what a refund took, to the very lots it came from; what it left owed is owed no more."""
    refund = _refund(undoing.ref_id)
    receipt = _count_again(refund)
    _check_last(refund)
    book, member_id = undoing.book, undoing.member_id
    others = gone_points(refund.purchase_id, besides=refund.id)
    gone = others + refund.points_taken + refund.debt_points
    earning.uncount(member_id, receipt, before=gone, after=others)
    grace = timedelta(days=shop.setting("give_back_grace_days"))
    if refund.debt_points:
        book.forgive(
            member_id,
            refund.debt_points,
            undoing.cause(KIND, "debt"),
            since=undoing.done_at,
            grace=grace,
            expires_at=book.life_of(member_id),
        )
    if refund.points_taken:
        _give_points(undoing, refund, grace)
    if refund.points_returned:
        payments.pay_again(book, undoing.entry_ref, undoing.cause("pay_again"))
    _give_growth(undoing, refund, receipt)


def _refund(refund_id: int) -> Any:
    with atomic() as transaction:
        return transaction.execute(sa.select(Refund.__table__).where(Refund.id == refund_id)).one()


def _count_again(refund: Any) -> Any:
    """Count money as not refunded; answers the receipt as it is then."""
    table = table_of(Purchase)
    with atomic() as transaction:
        return transaction.execute(
            sa.update(table)
            .where(table.c.id == refund.purchase_id, table.c.refunded_fen >= refund.amount_fen)
            .values(refunded_fen=table.c.refunded_fen - refund.amount_fen)
            .returning(*(table.c[name] for name in RECEIPT))
        ).one()


def _give_growth(undoing: Undoing, refund: Any, receipt: Any) -> None:
    """Growth returns to the window its receipt counts in, a visit with it."""
    whole = receipt.refunded_fen + refund.amount_fen == receipt.amount_fen
    entry = table_of(GrowthEntry).c
    of_money = sa.select(sa.func.coalesce(sa.func.sum(-entry.delta_value), 0)).where(
        entry.kind == "refund", entry.ref_kind == "refund", entry.ref_id == undoing.entry_ref
    )
    with atomic() as transaction:
        money = int(transaction.execute(of_money).scalar_one())
    bought = Bought(undoing.member_id, refund.purchase_id, money, receipt.paid_at)
    cause = (KIND, "action", str(undoing.action_id))
    tiers.give_again(bought, taken=refund.growth_taken, cause=cause, whole=whole, now=undoing.now)


def _check_last(refund: Any) -> None:
    """Under the receipt's lock: of several refunds the last goes first.

    Each took what was left after those before it, rounded; undone in another order they would
    not add up to what the receipt gave.
    """
    later = sa.select(Refund.id).where(
        Refund.purchase_id == refund.purchase_id, Refund.id > refund.id, ~UNDONE
    )
    with atomic() as transaction:
        if transaction.execute(later).first() is not None:
            raise LaterRefundStands()


def _give_points(undoing: Undoing, refund: Any, grace: timedelta) -> None:
    """Points from the balance return to their lots, those from a promise to the promise."""
    book, member_id = undoing.book, undoing.member_id
    entry = _entry_of(undoing)
    promised = refund.points_taken + (entry.delta_points if entry else 0)
    if entry is not None:
        book.give_back(member_id, entry.id, undoing.cause(KIND), grace=grace)
    if promised:
        cause = ("purchase", "purchase", str(refund.purchase_id))
        due = promised - points.promise_again(cause, promised)
        lives = book.life_of(member_id)
        book.grant(member_id, due, undoing.cause(KIND, "promise"), expires_at=lives)


def _entry_of(undoing: Undoing) -> Any:
    """The entry with which the refund took points; None where all were still promised."""
    query = sa.select(LedgerEntry.id, LedgerEntry.delta_points).where(
        LedgerEntry.kind == "refund",
        LedgerEntry.ref_kind == "refund",
        LedgerEntry.ref_id == undoing.entry_ref,
    )
    with atomic() as transaction:
        return transaction.execute(query).one_or_none()
