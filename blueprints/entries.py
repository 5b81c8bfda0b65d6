"""Ledger entries as people read them: each with its rule, the numbers behind it, and its receipt."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from blueprints.clerk.purchases import LineOut
from blueprints.contract import Out, moment
from blueprints.words import KINDS, reason_of
from mall import clock, earning
from mall.payments.rules import yuan
from models import LedgerEntry, Lot, PointsPayment, Purchase, Store, db

WHY = {  # what more there is to say than an entry's name; the numbers are its inputs
    "purchase": (
        "消费 {amount_yuan} 元，得 {points} 分；明细见 lines",
        "{amount_yuan} yuan spent earned {points} points; the lines say by which rules.",
    ),
    "refund": (
        "退款后累计已退 {refunded_yuan} 元，扣回 {points} 分",
        "{refunded_yuan} yuan are refunded so far; {points} points were taken back.",
    ),
    "pay": (
        "账单 {bill_yuan} 元，用 {points} 分抵 {paid_yuan} 元",
        "{points} points paid {paid_yuan} of a bill of {bill_yuan} yuan.",
    ),
    "pay_back": (
        "抵现 {paid_points} 分，按退款比例退回 {points} 分至原批次",
        "Of {paid_points} points that paid, {points} returned to the lots they came from.",
    ),
    "expire": (
        "{earned_on} 获得的 {points_earned} 分，{expires_on} 为最后一天，未用 {points} 分到期",
        "Of {points_earned} points of {earned_on}, {points} were left on the last day, {expires_on}.",
    ),
    "check_in": ("{day} 签到", "Signed in on {day}."),
}
Inputs = dict[str, Any]


class ReceiptRefOut(Out):
    purchase_id = fields.Integer(allow_none=True)
    receipt_no = fields.String()
    store = fields.String()
    amount_fen = fields.Integer()


class EntryOut(Out):
    id = fields.Integer()
    kind = fields.String()
    delta = fields.Integer()
    balance_after = fields.Integer()
    reason = fields.String()
    rule = fields.String()
    rule_version = fields.Integer()
    why = fields.String()
    why_en = fields.String()
    inputs = fields.Dict(keys=fields.String())
    receipt = fields.Nested(ReceiptRefOut, allow_none=True)
    lines = fields.List(fields.Nested(LineOut))
    expires_at = moment(allow_none=True)
    ref = fields.String()
    created_at = moment()


def explained(entries: Sequence[LedgerEntry]) -> list[dict[str, Any]]:
    """Entries with their why: a look-up for each noun they name, not for each entry."""
    found = _Named(entries)
    return [_view(entry, found) for entry in entries]


class _Named:
    """The rows that some entries name."""

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        self.payments = _rows(PointsPayment, {payment_of(entry) for entry in entries})
        self.purchases = _rows(Purchase, {purchase_of(entry) for entry in entries})
        self.lots = _rows(Lot, {lot_of(entry) for entry in entries})
        self._by_receipt = self._payments_of_purchases()
        stores = {each.store_id for each in (*self.payments.values(), *self.purchases.values())}
        self.stores = _rows(Store, stores)

    def _payments_of_purchases(self) -> dict[tuple[int, str], PointsPayment]:
        receipts = [(each.store_id, each.receipt_no) for each in self.purchases.values()]
        named = sa.tuple_(PointsPayment.store_id, PointsPayment.receipt_no).in_(receipts)
        query = sa.select(PointsPayment).where(named).order_by(PointsPayment.id)
        rows = db.session.scalars(query) if receipts else ()
        return {(each.store_id, each.receipt_no): each for each in rows}

    def purchase(self, entry: LedgerEntry) -> Purchase | None:
        return self.purchases.get(purchase_of(entry) or 0)

    def payment(self, entry: LedgerEntry) -> PointsPayment | None:
        purchase = self.purchase(entry)
        if purchase is not None:
            return self._by_receipt.get((purchase.store_id, purchase.receipt_no))
        return self.payments.get(payment_of(entry) or 0)

    def lot(self, entry: LedgerEntry) -> Lot | None:
        return self.lots.get(lot_of(entry) or 0)


def _rows(model: Any, ids: Iterable[int | None]) -> dict[int, Any]:
    wanted = {each for each in ids if each is not None}
    if not wanted:
        return {}
    return {row.id: row for row in db.session.scalars(sa.select(model).where(model.id.in_(wanted)))}


def _number(text: str, mark: str) -> int | None:
    head = text.partition(mark)[0]
    return int(head) if head.isdecimal() else None


def purchase_of(entry: LedgerEntry) -> int | None:
    """The receipt that an entry is about, by the name of its cause."""
    if entry.ref_kind == "purchase":
        return _number(entry.ref_id, ":")
    return _number(entry.ref_id, ":") if entry.ref_kind == "refund" else None


def payment_of(entry: LedgerEntry) -> int | None:
    if entry.ref_kind == "payment":
        return _number(entry.ref_id, ":")
    kind, _, rest = entry.ref_id.partition(":")
    return _number(rest, ":") if (entry.kind, kind) == ("pay_back", "payment") else None


def lot_of(entry: LedgerEntry) -> int | None:
    return _number(entry.ref_id, "@") if entry.kind == "expire" else None


def _view(entry: LedgerEntry, named: _Named) -> dict[str, Any]:
    inputs = INPUTS.get(entry.kind, _nothing)(entry, named)
    purchase, payment = named.purchase(entry), named.payment(entry)
    lines = purchase.lines if purchase is not None and entry.kind == "purchase" else ()
    why, why_en = _why(entry, inputs)
    return {
        "id": entry.id,
        "kind": entry.kind,
        "delta": entry.delta_points,
        "balance_after": entry.balance_after_points,
        "reason": reason_of(entry),
        "rule": entry.rule,
        "rule_version": entry.rule_version,
        "why": why,
        "why_en": why_en,
        "inputs": inputs,
        "receipt": _receipt(purchase, payment, named),
        "lines": [earning.told(line) for line in lines],
        "expires_at": clock.rfc3339(entry.expires_at) if entry.expires_at else None,
        "ref": f"{entry.ref_kind}:{entry.ref_id}",
        "created_at": clock.rfc3339(entry.created_at),
    }


def _why(entry: LedgerEntry, inputs: Inputs) -> tuple[str, str]:
    """Both sentences: what there is to say with the inputs, else the entry's name and reason."""
    if inputs and entry.kind in WHY:
        fen = {
            name.replace("_fen", "_yuan"): yuan(inputs[name]) for name in inputs if "_fen" in name
        }
        zh, en = WHY[entry.kind]
        numbers = {**inputs, **fen, "points": abs(entry.delta_points)}
        return zh.format(**numbers), en.format(**numbers)
    zh, en = KINDS[entry.kind]
    return (f"{zh}：{entry.reason}", f"{en}: {entry.reason}") if entry.reason else (zh, en)


def _receipt(
    purchase: Purchase | None, payment: PointsPayment | None, named: _Named
) -> dict[str, Any] | None:
    row = purchase or payment
    if row is None:
        return None
    return {
        "purchase_id": purchase.id if purchase else None,
        "receipt_no": row.receipt_no,
        "store": named.stores[row.store_id].name,
        "amount_fen": purchase.amount_fen if purchase else row.bill_fen,
    }


def _nothing(_entry: LedgerEntry, _named: _Named) -> Inputs:
    return {}


def _of_purchase(entry: LedgerEntry, named: _Named) -> Inputs:
    row = named.purchase(entry)
    return {"amount_fen": row.amount_fen, "points_awarded": row.points_awarded} if row else {}


def _of_refund(entry: LedgerEntry, named: _Named) -> Inputs:
    row = named.purchase(entry)
    refunded = _number(entry.ref_id.partition(":")[2], "~")
    if row is None or refunded is None:
        return {}
    awarded = {"points_awarded": row.points_awarded}
    return {"amount_fen": row.amount_fen, "refunded_fen": refunded, **awarded}


def _of_payment(entry: LedgerEntry, named: _Named) -> Inputs:
    row = named.payment(entry)
    if row is None:
        return {}
    return {"bill_fen": row.bill_fen, "paid_fen": row.paid_fen, "paid_points": row.points}


def _of_lot(entry: LedgerEntry, named: _Named) -> Inputs:
    row = named.lot(entry)
    if row is None or row.expires_at is None:
        return {}
    return {
        "points_earned": row.points_earned,
        "earned_on": clock.business_day(row.earned_at).isoformat(),
        "expires_on": clock.last_day_before(row.expires_at).isoformat(),
        "policy_version": row.policy_version,
    }


def _of_day(entry: LedgerEntry, _named: _Named) -> Inputs:
    return {"day": entry.ref_id.partition(":")[2]}


INPUTS: dict[str, Callable[[LedgerEntry, _Named], Inputs]] = {
    "purchase": _of_purchase,
    "refund": _of_refund,
    "pay": _of_payment,
    "pay_back": _of_payment,
    "expire": _of_lot,
    "check_in": _of_day,
}
