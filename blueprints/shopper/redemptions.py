"""Trade points for rewards; my redemptions and vouchers."""

from datetime import datetime

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    an_id,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.paces import paced
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import OwnVoucherOut
from mall import clock, redemptions, vouchers
from mall.errors import NotFound
from mall.guards import pace
from mall.redemptions import Request
from models import Redemption, Reward, Voucher, db

STATES = validate.OneOf(["issued", "shipped", "used", "cancelled", "expired"])

bp = Blueprint("redemptions", __name__, description="Points traded for rewards, and vouchers")


class AddressBody(Body):
    name = text(1, 32, required=True)
    phone = text(5, 20, required=True)
    region = text(1, 64, required=True)
    detail = text(1, 120, required=True)


class RedeemBody(Body):
    reward_id = an_id(required=True)
    quantity = whole(1, redemptions.MAX_QUANTITY, required=True)
    store_id = an_id()
    address = fields.Nested(AddressBody)


class VoucherCodeOut(Out):
    code = fields.String()
    expires_at = moment()


class RedeemedOut(Out):
    id = fields.Integer()
    reward_id = fields.Integer()
    quantity = fields.Integer()
    points_paid = fields.Integer()
    balance_after = fields.Integer()
    state = fields.String(validate=STATES)
    voucher = fields.Nested(VoucherCodeOut, allow_none=True)


@bp.post("/me/redemptions")
@paced(lambda: pace.REDEEM)
@idempotent(reveal=vouchers.reveal, finds=False)
@bp.arguments(RedeemBody())
@bp.response(201, RedeemedOut())
@bp.alt_response(404, "NOT_FOUND")
def redeem(body: dict, *, key):
    """Trade points for a reward."""
    return reply(redemptions.redeem_together(Request(g.member_id, **body, key=key)))


class RedemptionOut(Out):
    id = fields.Integer()
    reward_id = fields.Integer()
    title = fields.String()
    quantity = fields.Integer()
    points_paid = fields.Integer()
    state = fields.String(validate=STATES)
    store_id = fields.Integer(allow_none=True)
    created_at = moment()
    cancelled_at = moment(allow_none=True)
    voucher = fields.Nested(OwnVoucherOut, allow_none=True)


def _own_voucher(voucher: Voucher, now: datetime) -> dict:
    shown = vouchers.view(voucher, now=now)
    return {**shown, "code": vouchers.code_of(voucher) if shown["state"] == "issued" else None}


def _view(redemption: Redemption) -> dict:
    now = clock.now()
    voucher = db.session.scalar(sa.select(Voucher).where(Voucher.redemption_id == redemption.id))
    overdue = voucher is not None and vouchers.state_of(voucher, now=now) == "expired"
    return {
        "id": redemption.id,
        "reward_id": redemption.reward_id,
        "title": db.session.get_one(Reward, redemption.reward_id).title,
        "quantity": redemption.quantity,
        "points_paid": redemption.points_paid,
        "state": "expired" if overdue and redemption.state == "issued" else redemption.state,
        "store_id": redemption.store_id,
        "created_at": clock.rfc3339(redemption.created_at),
        "cancelled_at": clock.rfc3339(redemption.cancelled_at) if redemption.cancelled_at else None,
        "voucher": _own_voucher(voucher, now) if voucher else None,
    }


@bp.get("/me/redemptions")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(RedemptionOut, "RedemptionPage")())
def list_redemptions(args: dict):
    """My redemptions, newest first."""
    query = sa.select(Redemption).where(Redemption.member_id == g.member_id)
    return page(query, Redemption.id, _view, args)


@bp.get("/me/redemptions/<id:redemption_id>")
@bp.response(200, RedemptionOut())
def show_redemption(redemption_id: int):
    """One of my redemptions."""
    query = sa.select(Redemption).where(
        Redemption.id == redemption_id, Redemption.member_id == g.member_id
    )
    found = db.session.scalar(query)
    if found is None:
        raise NotFound()
    return _view(found)


class CancelledOut(Out):
    id = fields.Integer()
    state = fields.String(validate=STATES)
    points_returned = fields.Integer()
    balance_after = fields.Integer()
    grace_days = fields.Integer()


@bp.post("/me/redemptions/<id:redemption_id>/cancellation")
@idempotent
@bp.arguments(Nothing(), required=False)
@bp.response(200, CancelledOut())
def cancel(_body: dict, redemption_id: int, *, key):
    """Take a redemption back, as long as nothing was handed over."""
    return reply(redemptions.cancel(g.member_id, redemption_id, key=key, now=clock.now()))


@bp.get("/me/vouchers")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(OwnVoucherOut, "VoucherPage")())
def list_vouchers(args: dict):
    """My vouchers, newest first: usable, used with where and by whom, expired."""
    now = clock.now()
    query = sa.select(Voucher).where(Voucher.member_id == g.member_id)
    return page(query, Voucher.id, lambda voucher: _own_voucher(voucher, now), args)
