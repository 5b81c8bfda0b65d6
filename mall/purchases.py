"""Purchases: a receipt earns points and growth, once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, earning_rules, points, shop, tiers
from mall.atomic import atomic
from mall.earning_rules import Rule
from mall.errors import NotFound, ReceiptKnown
from mall.events import Purchased, record_many
from mall.idempotency import Answer, Key
from mall.points import Cause
from models import Purchase, Staff, db
from models.base import insert


@dataclass(frozen=True)
class Receipt:
    """What a till, an ERP or a file says was bought."""

    store_id: int
    receipt_no: str
    member_id: int
    amount_fen: int
    paid_at: datetime
    channel: str = "till"
    staff_id: int | None = None
    items: Sequence[dict[str, Any]] = field(default=(), hash=False)

    @property
    def actor(self) -> str:
        return f"staff:{self.staff_id}" if self.staff_id else "system"


@dataclass(frozen=True)
class Recorded:
    """A receipt that is in the books, with what it earned."""

    id: int
    receipt: Receipt
    points: int
    growth: int
    balance_after: int


def record_receipts(receipts: Sequence[Receipt], *, now: datetime) -> list[Recorded]:
    """Put receipts in the books, all in one transaction, with points, growth and tiers.

    A receipt that its store has shown before is left out; so the answer may be shorter.
    """
    if not receipts:
        return []
    rule = earning_rules.in_force(now=now)
    growth = tiers.in_force()
    with atomic() as transaction:
        book = points.open_book([receipt.member_id for receipt in receipts], now=now)
        for receipt in receipts:
            book.account(receipt.member_id)
        statement = insert(Purchase).on_conflict_do_nothing()
        added = transaction.execute(
            statement.returning(Purchase.id, Purchase.store_id, Purchase.receipt_no),
            [_row(receipt, rule, growth, now) for receipt in receipts],
        )
        ids = {(row.store_id, row.receipt_no): row.id for row in added}
        recorded = _award(ids, receipts, rule, growth, book)
        book.write()
        recorded = _grow(recorded, now)
        record_many([_fact(each) for each in recorded], now=now)
    return recorded


def _row(receipt: Receipt, rule: Rule | None, growth: tiers.Rules, now: datetime) -> dict[str, Any]:
    return {
        "store_id": receipt.store_id,
        "receipt_no": receipt.receipt_no,
        "member_id": receipt.member_id,
        "amount_fen": receipt.amount_fen,
        "channel": receipt.channel,
        "items": list(receipt.items),
        "points_awarded": rule.points(receipt.amount_fen) if rule else 0,
        "growth_awarded": growth.of_spend(receipt.amount_fen),
        "staff_id": receipt.staff_id,
        "paid_at": receipt.paid_at,
        "created_at": now,
    }


def _award(
    ids: dict[tuple[int, str], int],
    receipts: Sequence[Receipt],
    rule: Rule | None,
    growth: tiers.Rules,
    book: points.Book,
) -> list[Recorded]:
    expires_at = shop.points_expire_at(book.now)
    recorded = []
    for receipt in receipts:
        purchase_id = ids.pop((receipt.store_id, receipt.receipt_no), None)
        if purchase_id is None:
            continue
        earned = rule.points(receipt.amount_fen) if rule else 0
        cause = Cause(
            "purchase",
            "purchase",
            str(purchase_id),
            receipt.actor,
            rule=rule.label if rule else "",
            rule_version=rule.version if rule else 0,
            store_id=receipt.store_id,
        )
        balance = book.grant(receipt.member_id, earned, cause, expires_at=expires_at)
        grown = growth.of_spend(receipt.amount_fen)
        recorded.append(Recorded(purchase_id, receipt, earned, grown, balance))
    return recorded


def _grow(recorded: Sequence[Recorded], now: datetime) -> list[Recorded]:
    bought = [
        tiers.Bought(each.receipt.member_id, each.id, each.growth, each.receipt.paid_at)
        for each in recorded
    ]
    grown = tiers.grow_by_receipts(bought, now=now)
    return [replace(each, growth=grown[each.id]) for each in recorded]


def _fact(each: Recorded) -> Purchased:
    return Purchased(each.receipt.member_id, each.id, each.receipt.amount_fen)


def shown_before(receipts: Iterable[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
    """Member and amount of those receipts, named by store and number, that are in the books."""
    columns = (Purchase.store_id, Purchase.receipt_no, Purchase.member_id, Purchase.amount_fen)
    named = sa.tuple_(Purchase.store_id, Purchase.receipt_no).in_(list(receipts))
    with atomic() as transaction:
        found = transaction.execute(sa.select(*columns).where(named)).all()
    return {(r.store_id, r.receipt_no): (r.member_id, r.amount_fen) for r in found}


def record_one(receipt: Receipt, *, key: Key, now: datetime) -> Answer:
    """Put a till's receipt in the books; one shown before is refused with who and when."""
    with atomic():
        key.claim(now=now)
        recorded = record_receipts([receipt], now=now)
        if not recorded:
            raise _known(receipt)
        done = recorded[0]
        rule = earning_rules.in_force(now=now)
        lines = [{"rule": rule.label, "points": done.points}] if rule else []
        return key.store(
            201,
            {
                "id": done.id,
                "points_awarded": done.points,
                "growth_awarded": done.growth,
                "balance_after": done.balance_after,
                "lines": lines,
            },
        )


def _known(receipt: Receipt) -> ReceiptKnown:
    row = db.session.execute(
        sa.select(Purchase.created_at, Staff.name)
        .outerjoin(Staff, Staff.id == Purchase.staff_id)
        .where(Purchase.store_id == receipt.store_id, Purchase.receipt_no == receipt.receipt_no)
    ).one_or_none()
    if row is None:
        raise NotFound()
    return ReceiptKnown(at=clock.rfc3339(row.created_at), by=row.name or "批量导入")
