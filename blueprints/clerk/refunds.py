"""Money given back for a receipt."""

from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import left
from blueprints.clerk.purchases import MAX_ITEMS
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    YesOrNo,
    idempotent,
    positive,
    reply,
    text,
)
from mall import clock, refunds
from mall.refunds import Asked

bp = Blueprint("refunds", __name__, description="Money given back")


class RefundItemBody(Body):
    sku = text(1, 64, required=True)
    quantity = positive(required=True)


class RefundBody(Body):
    """One of the three: an amount, some items, or all that is left."""

    amount_fen = positive()
    items = fields.List(fields.Nested(RefundItemBody()), validate=validate.Length(1, MAX_ITEMS))
    whole = YesOrNo()

    @validates_schema
    def says_one_thing(self, data: dict, **_: object) -> None:
        said = [name for name in ("amount_fen", "items", "whole") if data.get(name)]
        if len(said) != 1:
            raise ValidationError("either amount_fen, items or whole: true")


class RefundOut(Out):
    id = fields.Integer()
    purchase_id = fields.Integer()
    amount_fen = fields.Integer()
    refundable_fen = fields.Integer()
    points_taken = fields.Integer()
    debt_points = fields.Integer()
    forgiven_points = fields.Integer()
    points_returned = fields.Integer()
    growth_taken = fields.Integer()
    balance_after = fields.Integer()


@bp.post("/purchases/<id:purchase_id>/refunds")
@idempotent
@left("purchase.refund")
@bp.arguments(RefundBody())
@bp.response(201, RefundOut())
def refund_purchase(body: dict, purchase_id: int, *, key):
    """Give money back for one of this store's receipts: an amount, some items, or the whole.

    What it earned goes back, by item what that item earned; points that paid it return to their lots.
    """
    asked = Asked(body.get("amount_fen"), body.get("items", ()))
    return reply(refunds.refund(purchase_id, asked, clerk=g.staff, key=key, now=clock.now()))
