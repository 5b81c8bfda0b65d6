"""Daily sign-in and its calendar."""

from datetime import date

from flask import g
from marshmallow import Schema, fields

from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    Pattern,
    a_day,
    business_day,
    idempotent,
    reply,
)
from blueprints.shapes import MarkOut
from mall import checkins, clock

MONTH = Pattern(r"^20[0-9]{2}-(0[1-9]|1[0-2])$")

bp = Blueprint("checkins", __name__, description="Daily sign-in and its calendar")


class BonusOut(Out):
    in_days = fields.Integer()
    points = fields.Integer()


class CheckInOut(Out):
    day = business_day()
    streak_days = fields.Integer()
    points_awarded = fields.Integer()
    bonus_points = fields.Integer()
    next_bonus = fields.Nested(BonusOut, allow_none=True)
    already = fields.Boolean()


@bp.post("/me/checkins")
@idempotent(required=False)
@bp.arguments(Nothing(), required=False)
@bp.response(201, CheckInOut())
@bp.alt_response(200, schema=CheckInOut(), success=True, description="Signed in already today")
def check_in(_body: dict, *, key):
    """Sign in for today; the day is the key, so asking again changes nothing."""
    return reply(checkins.check_in(g.member_id, key=key, now=clock.now()))


class MakeUpBody(Body):
    day = a_day(required=True)


class MakeUpOut(CheckInOut):
    points_paid = fields.Integer()
    balance_after = fields.Integer()
    make_ups_left = fields.Integer()


@bp.post("/me/checkins/make-ups")
@idempotent
@bp.arguments(MakeUpBody())
@bp.response(201, MakeUpOut())
def make_up(body: dict, *, key):
    """Sign in for a past day of this month, for points; it counts in the streak like any other."""
    return reply(checkins.make_up(g.member_id, body["day"], key=key, now=clock.now()))


class MonthArgs(Schema):
    month = fields.String(validate=MONTH)


class MonthOut(Out):
    month = fields.String()
    days = fields.List(business_day())
    marks = fields.List(fields.Nested(MarkOut))
    streak_days = fields.Integer()
    longest_streak_days = fields.Integer()
    make_ups_left = fields.Integer()
    make_up_price_points = fields.Integer()
    make_up_window_days = fields.Integer()


@bp.get("/me/checkins")
@bp.arguments(MonthArgs(), location="query")
@bp.response(200, MonthOut())
def show_month(args: dict):
    """A month of my sign-ins; this month where none is named."""
    now = clock.now()
    month = args.get("month", f"{clock.business_day(now):%Y-%m}")
    return checkins.calendar(g.member_id, date.fromisoformat(f"{month}-01"), now=now)
