"""Points as cash at the till."""

from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import left
from blueprints.clerk.purchases import _member
from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    YesOrNo,
    an_id,
    idempotent,
    positive,
    reply,
    text,
)
from mall import clock, payments
from mall.payments import Bill
from mall.payments.rules import LIMITS

bp = Blueprint("payments", __name__, description="Points as cash")


class PaymentBody(Body):
    scan_token = text(1, 256)
    member_id = an_id()
    receipt_no = text(1, 64, required=True)
    bill_fen = positive(required=True)
    points = positive()
    dry_run = YesOrNo(load_default=False)

    @validates_schema
    def names_one_member(self, data: dict, **_: object) -> None:
        if ("scan_token" in data) == ("member_id" in data):
            raise ValidationError("either scan_token or member_id")


class PaymentOut(Out):
    id = fields.Integer(allow_none=True)
    receipt_no = fields.String()
    bill_fen = fields.Integer()
    points = fields.Integer()
    paid_fen = fields.Integer()
    to_pay_fen = fields.Integer()
    most_points = fields.Integer()
    cap = fields.String(validate=validate.OneOf(LIMITS))
    reason = fields.String()
    reason_en = fields.String()
    rule_version = fields.Integer()
    balance_after = fields.Integer()
    dry_run = fields.Boolean()


@bp.post("/points-payments")
@idempotent
@left("points_payment.pay")
@bp.arguments(PaymentBody())
@bp.response(201, PaymentOut())
@bp.alt_response(200, schema=PaymentOut(), description="A dry run: nothing was changed")
@bp.alt_response(404, "NOT_FOUND")
def pay_with_points(body: dict, *, key):
    """Pay part of a bill with points: so many, or without `points` as many as may be.

    `dry_run: true` says what that would be and changes nothing.
    """
    now = clock.now()
    member_id = _member(body, now)
    bill = Bill(g.staff.store_id, g.staff.id, member_id, body["receipt_no"], body["bill_fen"])
    wanted, dry = body.get("points"), body["dry_run"]
    return reply(payments.pay(bill, wanted, dry_run=dry, key=key, now=now))


class PaymentBackOut(Out):
    id = fields.Integer()
    points_returned = fields.Integer()
    balance_after = fields.Integer()


@bp.post("/points-payments/<id:payment_id>/cancellation")
@idempotent
@left("points_payment.cancel")
@bp.arguments(Nothing())
@bp.response(200, PaymentBackOut())
def cancel_payment(_body: dict, payment_id: int, *, key):
    """Give the points back of a bill that was not settled; a recorded receipt is refunded instead."""
    return reply(payments.cancel(payment_id, clerk=g.staff, key=key, now=clock.now()))
