"""How points pay a bill: versions, and what was paid."""

from typing import Any

import sqlalchemy as sa
from flask import g
from marshmallow import fields

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Out,
    YesOrNo,
    idempotent,
    moment,
    positive,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, payments
from models import PaymentRule, PointsPayment

bp = Blueprint("payments", __name__, description="Points as cash")


class PaymentRuleBody(Body):
    active = YesOrNo(load_default=True)
    rate_points = positive(load_default=100)
    rate_fen = positive(load_default=100)
    min_bill_fen = whole(0, MAX_NUMBER, load_default=0)
    max_percent = whole(1, 100, load_default=30)
    step_points = positive(load_default=100)
    most_points = positive(load_default=None)
    note = text(0, 200, load_default="")


class PaymentRuleOut(Out):
    version = fields.Integer()
    active = fields.Boolean()
    rate_points = fields.Integer()
    rate_fen = fields.Integer()
    min_bill_fen = fields.Integer()
    max_percent = fields.Integer()
    step_points = fields.Integer()
    most_points = fields.Integer(allow_none=True)
    note = fields.String()
    published_by = fields.Integer(allow_none=True)
    published_at = moment()


@bp.get("/payment-rules")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(PaymentRuleOut, "PaymentRulePage")())
def list_rules(args: dict):
    """Every version of how points pay a bill, newest first; the newest is in force."""
    return page(sa.select(PaymentRule), PaymentRule.version, payments.view, args)


@bp.post("/payment-rules")
@idempotent
@audited("payment_rule.publish")
@bp.arguments(PaymentRuleBody())
@bp.response(201, PaymentRuleOut())
def publish_rule(body: dict, *, key):
    """Put a version in force: rate, smallest bill, highest share, step. `active: false` ends it."""
    return reply(payments.publish(body, staff_id=g.staff.id, key=key, now=clock.now()))


class PaymentSeenOut(Out):
    id = fields.Integer()
    store_id = fields.Integer()
    receipt_no = fields.String()
    member_id = fields.Integer()
    bill_fen = fields.Integer()
    points = fields.Integer()
    paid_fen = fields.Integer()
    returned_points = fields.Integer()
    rule_version = fields.Integer()
    staff_id = fields.Integer()
    created_at = moment()


def payment_view(payment: PointsPayment) -> dict[str, Any]:
    names = [name for name in PaymentSeenOut._declared_fields if name != "created_at"]
    shown = {name: getattr(payment, name) for name in names}
    return {**shown, "created_at": clock.rfc3339(payment.created_at)}


@bp.get("/points-payments")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(PaymentSeenOut, "PointsPaymentPage")())
def list_payments(args: dict):
    """Bills that points have paid part of, newest first."""
    return page(sa.select(PointsPayment), PointsPayment.id, payment_view, args)
