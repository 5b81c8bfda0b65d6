"""The sign-in ladder and its versions; days on which the shop was down."""

import sqlalchemy as sa
from flask import g
from marshmallow import Schema, fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    a_day,
    business_day,
    idempotent,
    moment,
    reply,
    text,
    whole,
    whole_asked,
)
from blueprints.pages import PageArgs, page, page_of
from mall import checkins, clock
from mall.checkins.ladder import MAX_STEP_POINTS, MAX_STEPS
from mall.checkins.outages import view
from models import Outage

MAX_VERSION = 2**31 - 1

bp = Blueprint("checkins", __name__, description="The sign-in ladder, and days of outage")


class CheckInRuleOut(Out):
    streak_day = fields.Integer()
    points = fields.Integer()
    bonus_points = fields.Integer()


class LadderOut(Out):
    version = fields.Integer()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)
    items = fields.List(fields.Nested(CheckInRuleOut))
    next_cursor = fields.String(allow_none=True)


class LadderArgs(Schema):
    version = whole_asked(1, MAX_VERSION, load_default=None)


@bp.get("/checkin-rules")
@bp.arguments(LadderArgs(), location="query")
@bp.response(200, LadderOut())
@bp.alt_response(404, "NOT_FOUND")
def list_checkin_rules(args: dict):
    """The sign-in ladder, day by day; the one in force where no version is named."""
    return checkins.rules_of(args["version"])


class StepBody(Body):
    points = whole(0, MAX_STEP_POINTS, required=True)
    bonus_points = whole(0, MAX_STEP_POINTS, load_default=0)


class LadderBody(Body):
    items = fields.List(
        fields.Nested(StepBody()), required=True, validate=validate.Length(max=MAX_STEPS)
    )


@bp.post("/checkin-rules")
@idempotent
@audited("checkin_rules.publish")
@bp.arguments(LadderBody())
@bp.response(201, LadderOut())
def publish_checkin_rules(body: dict, *, key):
    """Publish a new version of the ladder: the first item pays day 1, and after the last day 1 again."""
    return reply(checkins.publish(**body, staff_id=g.staff.id, key=key, now=clock.now()))


class OutageBody(Body):
    day = a_day(required=True)
    note = text(1, 200, required=True)


class OutageOut(Out):
    id = fields.Integer()
    day = business_day()
    note = fields.String()
    state = fields.String(validate=validate.OneOf(["repairing", "repaired"]))
    members_marked = fields.Integer()
    declared_by = fields.Integer()
    declared_at = moment()
    repaired_at = moment(allow_none=True)


@bp.post("/outages")
@idempotent
@audited("outage.declare")
@bp.arguments(OutageBody())
@bp.response(201, OutageOut())
def declare_outage(body: dict, *, key):
    """Name a past day on which the shop was down: streaks that broke for it are mended."""
    return reply(checkins.declare(**body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.get("/outages")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(OutageOut, "OutagePage")())
def list_outages(args: dict):
    """Days of outage, the latest named first, and how far their repair has come."""
    return page(sa.select(Outage), Outage.id, view, args)
