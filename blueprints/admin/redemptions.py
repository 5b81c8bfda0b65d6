"""Redemptions of the whole mall, and the parcels that leave it."""

from datetime import date, datetime

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    a_day,
    an_id_asked,
    idempotent,
    moment,
    reply,
    text,
)
from blueprints.pages import PageArgs, page, page_of
from mall import addresses, clock, redemptions
from mall.staff import OFFICE_ROLES
from models import Redemption

STATES = ["issued", "shipped", "used", "cancelled", "expired"]

bp = Blueprint("redemptions", __name__, description="Every redemption, and parcels")


class RedemptionArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))
    reward_id = an_id_asked()
    store_id = an_id_asked()
    day = a_day()


class OfficeRedemptionOut(Out):
    id = fields.Integer()
    member_id = fields.Integer()
    reward_id = fields.Integer()
    title = fields.String()
    quantity = fields.Integer()
    points_paid = fields.Integer()
    state = fields.String(validate=validate.OneOf(STATES))
    store_id = fields.Integer(allow_none=True)
    address = fields.Dict(keys=fields.String(), values=fields.String(), allow_none=True)
    carrier = fields.String(allow_none=True)
    tracking_no = fields.String(allow_none=True)
    created_at = moment()
    shipped_at = moment(allow_none=True)
    cancelled_at = moment(allow_none=True)


@bp.get("/redemptions")
@bp.arguments(RedemptionArgs(), location="query")
@bp.response(200, page_of(OfficeRedemptionOut, "OfficeRedemptionPage")())
def list_redemptions(args: dict):
    """Redemptions, newest first, by state, reward, store and day."""
    query = sa.select(Redemption)
    for name in ("state", "reward_id", "store_id"):
        if name in args:
            query = query.where(getattr(Redemption, name) == args[name])
    if "day" in args:
        began, ended = _bounds(args["day"])
        query = query.where(Redemption.created_at >= began, Redemption.created_at < ended)
    return page(query, Redemption.id, _view, args)


def _view(redemption: Redemption) -> dict:
    """With the address for who may send a parcel; who only looks sees where it goes."""
    view = redemptions.office_view(redemption)
    if g.staff.role in OFFICE_ROLES:
        return view
    return {**view, "address": addresses.masked(view["address"])}


def _bounds(day: date) -> tuple[datetime, datetime]:
    """The first moment of a shop's day, and the first that is no longer in it."""
    return clock.start_of_day(day), clock.end_of_day(day)


class ParcelBody(Body):
    carrier = text(1, 32, required=True)
    tracking_no = text(1, 64, required=True)


@bp.post("/redemptions/<id:redemption_id>/shipment")
@idempotent(sealed=True)
@audited("redemption.ship", Redemption)
@bp.arguments(ParcelBody())
@bp.response(200, OfficeRedemptionOut())
def ship(body: dict, redemption_id: int, *, key):
    """Note that a parcel has left."""
    return reply(redemptions.ship(redemption_id, body, key=key, now=clock.now()))
