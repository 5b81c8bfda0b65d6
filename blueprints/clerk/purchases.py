"""Record a receipt."""

from datetime import datetime, timedelta

from flask import g
from marshmallow import ValidationError, fields, validate, validates, validates_schema

from blueprints.audited import left
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Nothing,
    Out,
    YesOrNo,
    an_id,
    idempotent,
    moment,
    positive,
    reply,
    text,
    when,
    whole,
)
from mall import clock, members, pickups, purchases, tokens
from mall.purchases import Receipt
from models import Member

MAX_ITEMS = 200
CLOCKS_MAY_DIFFER = timedelta(minutes=5)

bp = Blueprint("purchases", __name__, description="Receipts")


class ItemBody(Body):
    sku = text(1, 64, required=True)
    title = text(1, 100)
    category = text(1, 32)
    quantity = positive(required=True)
    amount_fen = whole(0, MAX_NUMBER, required=True)  # what was given with it costs nothing


class PurchaseBody(Body):
    scan_token = text(1, 256)
    member_id = an_id()
    receipt_no = text(1, 64, required=True)
    amount_fen = positive(required=True)
    paid_at = when()
    items = fields.List(fields.Nested(ItemBody), validate=validate.Length(0, MAX_ITEMS))
    awaits_pickup = YesOrNo(load_default=False)

    @validates_schema
    def names_one_member(self, data: dict, **_: object) -> None:
        if ("scan_token" in data) == ("member_id" in data):
            raise ValidationError("either scan_token or member_id")

    @validates_schema
    def items_are_part_of_it(self, data: dict, **_: object) -> None:
        if sum(item["amount_fen"] for item in data.get("items", ())) > data["amount_fen"]:
            raise ValidationError("items may not cost more than the receipt", "items")

    @validates("paid_at")
    def not_in_the_future(self, value: datetime, **_: object) -> None:
        if value > clock.now() + CLOCKS_MAY_DIFFER:
            raise ValidationError("a moment of the past")


class LineOut(Out):
    rule = fields.String()
    points = fields.Integer()
    why = fields.String()
    reason = fields.String()
    reason_en = fields.String()
    numbers = fields.Dict(keys=fields.String())


class PurchaseOut(Out):
    id = fields.Integer()
    points_awarded = fields.Integer()
    awaits_pickup = fields.Boolean()
    points_pending_until = moment(allow_none=True)
    growth_awarded = fields.Integer()
    balance_after = fields.Integer()
    lines = fields.List(fields.Nested(LineOut))


@bp.post("/purchases")
@idempotent
@left("purchase.record")
@bp.arguments(PurchaseBody())
@bp.response(201, PurchaseOut())
@bp.alt_response(404, "NOT_FOUND")
def record_purchase(body: dict, *, key):
    """Record a receipt: points and growth follow from the rules."""
    now = clock.now()
    receipt = Receipt(
        store_id=g.staff.store_id,
        receipt_no=body["receipt_no"],
        member_id=_member(body, now),
        amount_fen=body["amount_fen"],
        paid_at=body.get("paid_at", now),
        staff_id=g.staff.id,
        items=body.get("items", ()),
        awaits_pickup=body["awaits_pickup"],
    )
    return reply(purchases.record_one(receipt, key=key, now=now))


class PickupOut(Out):
    points_awarded = fields.Integer()
    balance_after = fields.Integer()


@bp.post("/purchases/<id:purchase_id>/pickup")
@idempotent
@left("purchase.hand_over")
@bp.arguments(Nothing())
@bp.response(200, PickupOut())
def hand_over_purchase(_body: dict, purchase_id: int, *, key):
    """What was bought has been picked up: the points that waited for it are given."""
    return reply(pickups.pick_up(purchase_id, clerk=g.staff, key=key, now=clock.now()))


def _member(body: dict, now: datetime) -> int:
    if "scan_token" in body:
        body["member_id"] = tokens.scanned(body["scan_token"], staff_id=g.staff.id, now=now)
    return members.holder(Member.id == body["member_id"]) or members.find(body["member_id"]).id
