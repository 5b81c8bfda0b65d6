"""Where members come from: channels with cost, owner and period, and what each brought."""

import marshmallow as ma
import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Out,
    a_day,
    an_id,
    business_day,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import channels, clock
from models import Channel

bp = Blueprint("channels", __name__, description="Where members come from")


class ChannelBody(Body):
    code = text(1, 32, required=True)
    name = text(1, 64, required=True)
    kind = fields.String(required=True, validate=validate.OneOf(channels.KINDS))
    cost_fen = whole(0, MAX_NUMBER, load_default=0)
    owner = text(0, 32, load_default="")
    starts_on = a_day(load_default=None, allow_none=True)
    ends_on = a_day(load_default=None, allow_none=True)
    store_id = an_id(load_default=None, allow_none=True)
    bundle_code = text(0, 32, load_default="")


class ChannelChangeBody(Body):
    name = text(1, 64)
    cost_fen = whole(0, MAX_NUMBER)
    owner = text(0, 32)
    starts_on = a_day(allow_none=True)
    ends_on = a_day(allow_none=True)
    bundle_code = text(0, 32)


class ChannelOut(Out):
    id = fields.Integer()
    code = fields.String()
    name = fields.String()
    kind = fields.String(validate=validate.OneOf(channels.KINDS))
    cost_fen = fields.Integer()
    owner = fields.String()
    starts_on = business_day(allow_none=True)
    ends_on = business_day(allow_none=True)
    store_id = fields.Integer(allow_none=True)
    bundle_code = fields.String()
    changed_by = fields.Integer(allow_none=True)
    changed_at = moment()


@bp.get("/channels")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(ChannelOut, "ChannelPage")())
def list_channels(args: dict):
    """Channels, newest first."""
    return page(sa.select(Channel), Channel.id, channels.view, args)


@bp.post("/channels")
@idempotent
@audited("channel.open")
@bp.arguments(ChannelBody())
@bp.response(201, ChannelOut())
def open_channel(body: dict, *, key):
    """Add a channel; a store's may give whoever joins by its code a bundle at once."""
    return reply(channels.open_channel(body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.post("/channels/<id:channel_id>")
@idempotent
@audited("channel.change", Channel)
@bp.arguments(ChannelChangeBody())
@bp.response(200, ChannelOut())
def change_channel(body: dict, channel_id: int, *, key):
    """Change a channel's name, cost, owner, period or gift from now on."""
    return reply(channels.change(channel_id, body, staff_id=g.staff.id, key=key, now=clock.now()))


class ChannelReportArgs(ma.Schema):
    first_day = a_day(required=True)
    last_day = a_day(required=True)

    @validates_schema
    def in_order(self, data: dict, **_: object) -> None:
        if data["first_day"] > data["last_day"]:
            raise ValidationError("before first_day", "last_day")


class ChannelLineOut(Out):
    """Of those who joined in these days, `first_purchases` have bought since."""

    code = fields.String()
    name = fields.String()
    kind = fields.String(allow_none=True)
    owner = fields.String()
    cost_fen = fields.Integer()
    scans = fields.Integer()
    joins = fields.Integer()
    first_purchases = fields.Integer()
    cost_per_join_fen = fields.Integer(allow_none=True)
    cost_per_purchase_fen = fields.Integer(allow_none=True)


class ChannelReportOut(Out):
    items = fields.List(fields.Nested(ChannelLineOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/channels/report")
@bp.arguments(ChannelReportArgs(), location="query")
@bp.response(200, ChannelReportOut())
def report_channels(args: dict):
    """What every channel brought in some days: scans, joins, first purchases, and their cost."""
    return {"items": channels.report(args["first_day"], args["last_day"]), "next_cursor": None}
