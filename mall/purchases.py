"""Purchases: a receipt earns points and growth, once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import actions, clock, earning, points, tiers
from mall.atomic import atomic
from mall.earning import NOW, PICKUP, Awarded, Bill
from mall.errors import NotFound, ReceiptKnown
from mall.events import Purchased, record_many
from mall.idempotency import Answer, Key
from mall.points import Book, Cause, Promise
from models import Purchase, Staff, db
from models.base import insert, table_of


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
    awaits_pickup: bool = False

    @property
    def actor(self) -> str:
        return f"staff:{self.staff_id}" if self.staff_id else "system"

    @property
    def bill(self) -> Bill:
        day = clock.business_day(self.paid_at)
        return Bill(self.amount_fen, day, self.store_id, self.items, self.awaits_pickup)


@dataclass(frozen=True)
class Recorded:
    """A receipt that is in the books, with what it earned."""

    id: int
    receipt: Receipt
    awarded: Awarded
    growth: int
    balance_after: int
    pending_until: datetime | None = None


def record_receipts(receipts: Sequence[Receipt], *, now: datetime) -> list[Recorded]:
    """Put receipts in the books, all in one transaction, with points, growth and tiers.

    A receipt that its store has shown before is left out; so the answer may be shorter.
    """
    if not receipts:
        return []
    with atomic() as transaction:
        book = points.open_book([receipt.member_id for receipt in receipts], now=now)
        for receipt in receipts:
            book.account(receipt.member_id)
        statement = insert(Purchase).on_conflict_do_nothing()
        added = transaction.execute(
            statement.returning(Purchase.id, Purchase.store_id, Purchase.receipt_no),
            [_row(receipt, now) for receipt in receipts],
        )
        ids = {(row.store_id, row.receipt_no): row.id for row in added}
        recorded = _award(_new(receipts, ids), book)
        book.write()
        _remember(recorded)
        recorded = _grow(recorded, now)
        record_many([_fact(each) for each in recorded], now=now)
        actions.note_many([_action(each) for each in recorded if each.receipt.staff_id], now=now)
    return recorded


def _row(receipt: Receipt, now: datetime) -> dict[str, Any]:
    return {
        "store_id": receipt.store_id,
        "receipt_no": receipt.receipt_no,
        "member_id": receipt.member_id,
        "amount_fen": receipt.amount_fen,
        "channel": receipt.channel,
        "items": list(receipt.items),
        "lines": [],
        "points_awarded": 0,
        "growth_awarded": 0,
        "staff_id": receipt.staff_id,
        "paid_at": receipt.paid_at,
        "created_at": now,
    }


def _new(receipts: Sequence[Receipt], ids: dict[tuple[int, str], int]) -> list[tuple[int, Receipt]]:
    """Those that were not in the books, with their ids."""
    found = [(ids.pop((each.store_id, each.receipt_no), 0), each) for each in receipts]
    return [(id_, receipt) for id_, receipt in found if id_]


def _award(receipts: Sequence[tuple[int, Receipt]], book: Book) -> list[Recorded]:
    """Grant what receipts earn, or promise it where their rules say later."""
    bills = [(receipt.member_id, receipt.bill) for _, receipt in receipts]
    decided, counted = earning.of_receipts(bills, book)
    recorded, promised, growth = [], [], tiers.in_force()
    for (id_, receipt), awarded in zip(receipts, decided, strict=True):
        book.act(receipt.member_id, "purchase")
        due_at, cause = awarded.due_at(book.now), _cause(id_, receipt, awarded)
        grown = growth.of_spend(receipt.amount_fen)
        if awarded.moment == NOW:
            balance = book.earn(receipt.member_id, awarded.points, cause)
        else:
            balance = book.account(receipt.member_id).balance_points
            promised.append(Promise(receipt.member_id, awarded.points, cause, due_at))
        recorded.append(Recorded(id_, receipt, awarded, grown, balance, due_at))
    counted.write()
    points.promise_many([each for each in promised if each.points], now=book.now)
    return recorded


def _cause(purchase_id: int, receipt: Receipt, awarded: Awarded) -> Cause:
    rule = awarded.main
    return Cause(
        *("purchase", "purchase", str(purchase_id), receipt.actor),
        rule=rule.label if rule else "",
        rule_version=rule.version if rule else 0,
        store_id=receipt.store_id,
    )


def _remember(recorded: Sequence[Recorded]) -> None:
    """Write down on the receipts what they earned, and why."""
    table = table_of(Purchase)
    rows = [
        {
            "purchase": each.id,
            "lines": each.awarded.told(),
            "shares": list(each.awarded.shares),
            "points_awarded": each.awarded.points,
            "growth_awarded": each.growth,
        }
        for each in recorded
    ]
    if rows:
        with atomic() as transaction:
            names = ("lines", "shares", "points_awarded", "growth_awarded")
            transaction.execute(
                sa.update(table)
                .where(table.c.id == sa.bindparam("purchase"))
                .values({name: sa.bindparam(name) for name in names}),
                rows,
            )


def _grow(recorded: Sequence[Recorded], now: datetime) -> list[Recorded]:
    bought = [
        tiers.Bought(each.receipt.member_id, each.id, each.growth, each.receipt.paid_at)
        for each in recorded
    ]
    grown = tiers.grow_by_receipts(bought, now=now)
    return [replace(each, growth=grown[each.id]) for each in recorded]


def _fact(each: Recorded) -> Purchased:
    return Purchased(each.receipt.member_id, each.id, each.receipt.amount_fen)


def _action(each: Recorded) -> actions.Action:
    receipt = each.receipt
    assert receipt.staff_id is not None
    where = (receipt.member_id, receipt.store_id, receipt.staff_id)
    return actions.Action(actions.PURCHASE, each.id, *where, receipt.receipt_no, str(each.id))


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
        return key.store(201, _said(recorded[0]))


def _said(done: Recorded) -> dict[str, Any]:
    until = done.pending_until
    return {
        "id": done.id,
        "points_awarded": done.awarded.points,
        "awaits_pickup": done.awarded.moment == PICKUP,
        "points_pending_until": clock.rfc3339(until) if until and done.awarded.points else None,
        "growth_awarded": done.growth,
        "balance_after": done.balance_after,
        "lines": [earning.told(line) for line in done.awarded.told()],
    }


def _known(receipt: Receipt) -> ReceiptKnown:
    row = db.session.execute(
        sa.select(Purchase.created_at, Staff.name)
        .outerjoin(Staff, Staff.id == Purchase.staff_id)
        .where(Purchase.store_id == receipt.store_id, Purchase.receipt_no == receipt.receipt_no)
    ).one_or_none()
    if row is None:
        raise NotFound()
    return ReceiptKnown(at=clock.rfc3339(row.created_at), by=row.name or "批量导入")
