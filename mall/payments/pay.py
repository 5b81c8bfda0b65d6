"""Pay part of a bill with points, or look what that would be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import points
from mall.atomic import atomic
from mall.errors import (
    MoreThanShare,
    NotEnoughPoints,
    NotInSteps,
    ReceiptOfAnother,
    ReceiptPaid,
    ShareTooSmall,
)
from mall.idempotency import Answer, Key
from mall.payments.rules import in_force, in_steps, most_for, worth_fen, yuan
from mall.points import Book, Cause
from models import PaymentRule, PointsPayment, Purchase
from models.base import insert

RULE = "积分抵现"


@dataclass(frozen=True)
class Bill:
    """A bill at a till, before anything is paid."""

    store_id: int
    staff_id: int
    member_id: int
    receipt_no: str
    bill_fen: int


@dataclass(frozen=True)
class Quote:
    """What points pay of a bill, and what keeps them from paying more."""

    points: int
    most: int
    limit: str
    available: int


def pay(
    bill: Bill, wanted: int | None, *, dry_run: bool = False, key: Key, now: datetime
) -> Answer:
    """Take points as cash for a bill: so many, or as many as it takes; a dry run changes nothing."""
    with atomic():
        key.claim(now=now)
        book = points.open_book([bill.member_id], now=now, lots=True)
        rule = in_force()
        _check_receipt(bill)
        quote = _quote(rule, bill, wanted, book)
        book.check_spend(bill.member_id, quote.points)
        if dry_run:
            balance = book.account(bill.member_id).spendable(now)
            return key.store(200, _view(None, bill, rule, quote, balance))
        payment_id = _record(bill, rule, quote.points, now)
        cause = Cause(
            *("pay", "payment", str(payment_id), f"staff:{bill.staff_id}"),
            reason=bill.receipt_no,
            rule=f"{RULE}@{rule.version}",
            rule_version=rule.version,
            store_id=bill.store_id,
        )
        balance = book.spend(bill.member_id, quote.points, cause)
        book.write()
        return key.store(201, _view(payment_id, bill, rule, quote, balance))


def _check_receipt(bill: Bill) -> None:
    """Refuse a receipt that points have paid, or that is another member's. Under the account's lock."""
    paid = sa.select(PointsPayment.points).where(
        PointsPayment.store_id == bill.store_id,
        PointsPayment.receipt_no == bill.receipt_no,
        PointsPayment.returned_points < PointsPayment.points,
    )
    owner = sa.select(Purchase.member_id).where(
        Purchase.store_id == bill.store_id, Purchase.receipt_no == bill.receipt_no
    )
    with atomic() as transaction:
        found = transaction.execute(paid).scalar()
        member_id = transaction.execute(owner).scalar()
    if found is not None:
        raise ReceiptPaid(points=found)
    if member_id is not None and member_id != bill.member_id:
        raise ReceiptOfAnother()


def _quote(rule: PaymentRule, bill: Bill, wanted: int | None, book: Book) -> Quote:
    most, limit = most_for(rule, bill.bill_fen)
    available = book.account(bill.member_id).spendable(book.now)
    named = {"max_percent": rule.max_percent, "step": rule.step_points}
    if not most:
        raise ShareTooSmall(**named, bill_fen=bill.bill_fen)
    if wanted is None:
        wanted = min(most, in_steps(rule, available))
        limit = limit if wanted == most else "available"
        if not wanted:
            raise NotEnoughPoints(short_by=rule.step_points - available)
    if wanted > most:
        raise MoreThanShare(limit=most, max_percent=rule.max_percent, cap=limit)
    if wanted % rule.step_points:
        raise NotInSteps(step=rule.step_points, fits=in_steps(rule, wanted))
    return Quote(wanted, most, limit, available)


def _record(bill: Bill, rule: PaymentRule, amount: int, now: datetime) -> int:
    """Write the payment down; of two tills at a moment the second is refused."""
    row = {
        **vars(bill),
        "points": amount,
        "paid_fen": worth_fen(rule, amount),
        "rule_version": rule.version,
        "returned_points": 0,
        "created_at": now,
    }
    statement = insert(PointsPayment).values(**row).on_conflict_do_nothing()
    with atomic() as transaction:
        added = transaction.execute(statement.returning(PointsPayment.id)).scalar()
    if added is None:
        raise ReceiptPaid(points=amount)
    return int(added)


def _view(
    payment_id: int | None, bill: Bill, rule: PaymentRule, quote: Quote, balance: int
) -> dict[str, Any]:
    paid_fen = worth_fen(rule, quote.points)
    zh, en = WHY[quote.limit]
    numbers = {"most": quote.most, "percent": rule.max_percent, "available": quote.available}
    said = {**numbers, "yuan": yuan(paid_fen), "points": quote.points}
    return {
        "id": payment_id,
        "receipt_no": bill.receipt_no,
        "bill_fen": bill.bill_fen,
        "points": quote.points,
        "paid_fen": paid_fen,
        "to_pay_fen": bill.bill_fen - paid_fen,
        "most_points": quote.most,
        "cap": quote.limit,
        "reason": zh.format(**said),
        "reason_en": en.format(**said),
        "rule_version": rule.version,
        "balance_after": balance if payment_id else balance - quote.points,
        "dry_run": payment_id is None,
    }


WHY = {
    "share": (
        "{points} 分抵 {yuan} 元；本单最多可用 {most} 分（账单的 {percent}%）",
        "{points} points pay {yuan} yuan; at most {most} on this bill ({percent} % of it).",
    ),
    "most_points": (
        "{points} 分抵 {yuan} 元；每单最多可用 {most} 分",
        "{points} points pay {yuan} yuan; at most {most} on any bill.",
    ),
    "available": (
        "{points} 分抵 {yuan} 元；可用积分 {available} 分，本单最多可用 {most} 分",
        "{points} points pay {yuan} yuan; {available} are there, {most} could be used.",
    ),
}
