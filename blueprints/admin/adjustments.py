"""Points by hand, and the second pair of eyes over large ones."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    YesOrNo,
    idempotent,
    moment,
    reply,
    signed,
    text,
)
from blueprints.pages import PageArgs, page, page_of
from mall import adjustments, clock
from models import Account, PointsAdjustment

STATES = ["pending", "posted", "rejected"]

bp = Blueprint("adjustments", __name__, description="Points by hand")


class AdjustmentBody(Body):
    points = signed(required=True)
    reason = text(1, 40, required=True)
    note = text(0, 200, load_default="")


class AdjustmentOut(Out):
    id = fields.Integer()
    member_id = fields.Integer()
    points = fields.Integer()
    reason = fields.String()
    note = fields.String()
    state = fields.String(validate=validate.OneOf(STATES))
    asked_by = fields.Integer()
    asked_at = moment()
    reviewed_by = fields.Integer(allow_none=True)
    balance_after = fields.Integer(allow_none=True)


@bp.post("/members/<id:member_id>/points-adjustments")
@idempotent
@audited("member.adjust_points", Account)
@bp.arguments(AdjustmentBody())
@bp.response(201, AdjustmentOut())
@bp.alt_response(202, schema=AdjustmentOut(), success=True, description="Waits for another admin")
def adjust_points(body: dict, member_id: int, *, key):
    """Give or take points by hand."""
    now = clock.now()
    return reply(adjustments.adjust(member_id, body, staff_id=g.staff.id, key=key, now=now))


class AdjustmentArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))


@bp.get("/points-adjustments")
@bp.arguments(AdjustmentArgs(), location="query")
@bp.response(200, page_of(AdjustmentOut, "AdjustmentPage")())
def list_adjustments(args: dict):
    """Adjustments, newest first; `?state=pending` are those that wait."""
    query = sa.select(PointsAdjustment)
    if "state" in args:
        query = query.where(PointsAdjustment.state == args["state"])
    return page(query, PointsAdjustment.id, adjustments.view, args)


class ReviewBody(Body):
    approved = YesOrNo(required=True)


@bp.post("/points-adjustments/<id:adjustment_id>/review")
@idempotent
@audited("points_adjustment.review", PointsAdjustment)
@bp.arguments(ReviewBody())
@bp.response(200, AdjustmentOut())
def review_adjustment(body: dict, adjustment_id: int, *, key):
    """Approve or reject another admin's adjustment."""
    return reply(
        adjustments.review(adjustment_id, **body, staff_id=g.staff.id, key=key, now=clock.now())
    )
