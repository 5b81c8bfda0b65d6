"""Points set aside, for a dispute or an order that is not paid yet."""

from datetime import timedelta

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    idempotent,
    moment,
    positive,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, holds
from models import Account, Hold

STATES = ["held", "posted", "voided", "expired"]
MAX_HOURS = 24 * 90

bp = Blueprint("holds", __name__, description="Points set aside")


class HoldBody(Body):
    points = positive(required=True)
    reason = text(1, 40, required=True)
    lasts_hours = whole(1, MAX_HOURS)


class HoldOut(Out):
    id = fields.Integer()
    member_id = fields.Integer()
    points = fields.Integer()
    reason = fields.String()
    state = fields.String(validate=validate.OneOf(STATES))
    expires_at = moment()
    created_at = moment()
    ended_at = moment(allow_none=True)


@bp.post("/members/<id:member_id>/holds")
@idempotent
@audited("member.hold_points", Account)
@bp.arguments(HoldBody())
@bp.response(201, HoldOut())
def hold_points(body: dict, member_id: int, *, key):
    """Set a member's points aside; they come back by themselves when the time is over."""
    lasts = timedelta(hours=body["lasts_hours"]) if "lasts_hours" in body else None
    who = {"reason": body["reason"], "lasts": lasts, "actor": _me()}
    return reply(holds.hold(member_id, body["points"], **who, key=key, now=clock.now()))


@bp.post("/holds/<id:hold_id>/posting")
@idempotent
@audited("hold.post", Hold)
@bp.arguments(Nothing())
@bp.response(200, HoldOut())
def post_hold(body: dict, hold_id: int, *, key):
    """Let held points go for good."""
    return reply(holds.post(hold_id, actor=_me(), key=key, now=clock.now()))


@bp.post("/holds/<id:hold_id>/voiding")
@idempotent
@audited("hold.void", Hold)
@bp.arguments(Nothing())
@bp.response(200, HoldOut())
def void_hold(body: dict, hold_id: int, *, key):
    """Give held points back to the lots they came from."""
    return reply(holds.void(hold_id, actor=_me(), key=key, now=clock.now()))


class HoldArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))


@bp.get("/holds")
@bp.arguments(HoldArgs(), location="query")
@bp.response(200, page_of(HoldOut, "HoldPage")())
def list_holds(args: dict):
    """Holds, newest first; `?state=held` are those that wait."""
    query = sa.select(Hold)
    if "state" in args:
        query = query.where(Hold.state == args["state"])
    return page(query, Hold.id, holds.view, args)


def _me() -> str:
    return f"staff:{g.staff.id}"
