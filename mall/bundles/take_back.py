"""Take a bundle back: points and growth whatever became of them, vouchers and benefits nobody has used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import benefits, limits, rewards, tiers, vouchers
from mall.atomic import atomic
from mall.bundles.give import benefit_ref
from mall.events import RedemptionCancelled, record_many
from mall.points import Book, Cause
from mall.tiers import Growth
from models import Bundle, GivenBundle, LedgerEntry, Redemption
from models.base import table_of


@dataclass(frozen=True)
class TakenBack:
    """What came back of a gift: points (and what is owed of them), growth, what nobody had used."""

    id: int
    points: int
    debt_points: int
    growth_value: int
    units: int
    units_used: int
    uses: int
    uses_used: int


def take_back(
    ref_kind: str, ref_id: str, *, book: Book, now: datetime, actor: str = "system"
) -> TakenBack | None:
    """Take back what a cause gave, once; None where it gave nothing or has been taken back.

    The book holds the member's account with its lots, and its owner writes it.
    """
    with atomic():
        gift = _turn(ref_kind, ref_id, now)
        if gift is None:
            return None
        points, debt = _take_points(gift, book, actor)
        loss = Growth(gift.member_id, -gift.growth_value, "bundle_back", "bundle", str(gift.id))
        tiers.grow_many([loss], now=now)
        trades = _trades(gift)
        free = [trade for trade in trades if _void(trade, now)]
        _put_back(free, now)
        refs = [benefit_ref(gift.id, item["code"]) for item in gift.benefits]
        uses = sum(benefits.take_back(ref, now=now) for ref in refs)
    units = sum(trade.quantity for trade in free)
    used = sum(trade.quantity for trade in trades) - units
    uses_used = sum(item["uses"] for item in gift.benefits) - uses
    return TakenBack(gift.id, points, debt, gift.growth_value, units, used, uses, uses_used)


def _turn(ref_kind: str, ref_id: str, now: datetime) -> Any:
    """Mark a gift as taken back; only whoever turns it may act on it."""
    table, bundle = table_of(GivenBundle), table_of(Bundle)
    with atomic() as transaction:
        turned = transaction.execute(
            sa.update(table)
            .where(table.c.ref_kind == ref_kind, table.c.ref_id == ref_id, table.c.state == "given")
            .values(state="taken_back", taken_back_at=now)
            .returning(table.c.id)
        ).scalar()
        if turned is None:
            return None
        parts = (bundle.c.points, bundle.c.growth_value, bundle.c.benefits)
        query = sa.select(table.c.id, table.c.member_id, *parts).join(
            bundle, bundle.c.id == table.c.bundle_id
        )
        return transaction.execute(query.where(table.c.id == turned)).one()


def _take_points(gift: Any, book: Book, actor: str) -> tuple[int, int]:
    entry = sa.select(LedgerEntry.id).where(
        LedgerEntry.kind == "bundle",
        LedgerEntry.ref_kind == "bundle",
        LedgerEntry.ref_id == str(gift.id),
    )
    with atomic() as transaction:
        entry_id = transaction.execute(entry).scalar()
    if entry_id is None:
        return 0, 0
    cause = Cause("bundle_back", "bundle", str(gift.id), actor)
    taken = book.take_back(gift.member_id, entry_id, gift.points, cause, from_others=True)
    return taken.points, taken.debt_points


def _trades(gift: Any) -> Sequence[Any]:
    """The redemptions of a gift that its member still has, used or not."""
    query = sa.select(Redemption.__table__).where(
        Redemption.member_id == gift.member_id,
        Redemption.request_key.startswith(f"gift:{gift.id}:", autoescape=True),
        Redemption.state != "cancelled",
    )
    with atomic() as transaction:
        return transaction.execute(query.order_by(Redemption.reward_id)).all()


def _void(trade: Any, now: datetime) -> bool:
    """Make a voucher that nobody has used worthless, with its redemption."""
    table = table_of(Redemption)
    if not vouchers.void(trade.id, now=now):
        return False
    with atomic() as transaction:
        closed = transaction.execute(
            sa.update(table)
            .where(table.c.id == trade.id, table.c.state == "issued")
            .values(state="cancelled", cancelled_at=now)
        )
    assert closed.rowcount == 1, "a voucher that was issued had a redemption that was not"
    return True


def _put_back(trades: Sequence[Any], now: datetime) -> None:
    """Units go back to the shelf; the gates hear of it as of any cancellation."""
    facts = []
    for trade in trades:  # their rewards' rows ascending
        limits.give_back(trade.member_id, trade.reward_id, trade.period, trade.quantity)
        epoch = rewards.put_back(trade.reward_id, trade.quantity, trade.store_id)
        where = (trade.reward_id, trade.quantity, trade.period, epoch)
        facts.append(RedemptionCancelled(trade.member_id, trade.id, *where))
    record_many(facts, now=now)
