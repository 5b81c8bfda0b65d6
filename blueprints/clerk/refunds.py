"""Money given back for a receipt."""

from flask import g
from marshmallow import fields

from blueprints.contract import Blueprint, Body, Out, idempotent, positive, reply
from mall import clock, refunds

bp = Blueprint("refunds", __name__, description="Money given back")


class RefundBody(Body):
    amount_fen = positive(required=True)


class RefundOut(Out):
    id = fields.Integer()
    purchase_id = fields.Integer()
    amount_fen = fields.Integer()
    refundable_fen = fields.Integer()
    points_taken = fields.Integer()
    debt_points = fields.Integer()
    growth_taken = fields.Integer()
    balance_after = fields.Integer()


@bp.post("/purchases/<id:purchase_id>/refunds")
@idempotent
@bp.arguments(RefundBody())
@bp.response(201, RefundOut())
def refund_purchase(body: dict, purchase_id: int, *, key):
    """Give money back for one of this store's receipts; points and growth go back in proportion."""
    now = clock.now()
    return reply(refunds.refund(purchase_id, **body, clerk=g.staff, key=key, now=now))
