"""Hand over what a voucher stands for."""

from flask import g
from marshmallow import fields

from blueprints.audited import left
from blueprints.contract import Blueprint, Nothing, Out, idempotent, reply
from blueprints.shapes import VoucherOut
from mall import clock, vouchers

bp = Blueprint("vouchers", __name__, description="Hand-over")


class HandOverOut(Out):
    title = fields.String()
    quantity = fields.Integer()


class UsedOut(Out):
    voucher = fields.Nested(VoucherOut)
    hand_over = fields.Nested(HandOverOut)


@bp.post("/vouchers/<string:code>/use")
@idempotent
@left("voucher.use")
@bp.arguments(Nothing(), required=False)
@bp.response(200, UsedOut())
def use_voucher(_body: dict, code: str, *, key):
    """Verify a voucher: once, at its store, before it expires."""
    return reply(vouchers.use(code, clerk=g.staff, key=key, now=clock.now()))
