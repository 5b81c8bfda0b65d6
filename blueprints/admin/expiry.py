"""How long points live: versions, what a draft would mean, and what members were told."""

import re
from calendar import monthrange
from typing import Any

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    business_day,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, expiry_policies
from mall.expiry_policies.terms import ACTS, KINDS, ROUNDINGS, UNITS
from models import ExpiryPolicy, PointsReminder

MAX_LASTS, MAX_DAYS = {"day": 3_650, "month": 120, "year": 10}, 3_650
MAX_DATES, MAX_STEPS, MAX_STEP_DAYS, MAX_TIERS = 20, 10, 365, 100
A_LEAP_YEAR = 2024
MONTH_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
NEEDED = {
    "never": set(),
    "rolling": {"lasts", "unit"},
    "fixed": {"dates"},
    "inactivity": {"days", "resets"},
}
MAY_HAVE = {"rolling": {"round_up_to"}, "fixed": {"min_days"}}

bp = Blueprint("expiry", __name__, description="How long points live")


def _is_a_date(value: str) -> None:
    found = MONTH_DAY.fullmatch(value)
    if not found or int(found[2]) > monthrange(A_LEAP_YEAR, int(found[1]))[1]:
        raise ValidationError("a day of the year, MM-DD")


class TermsBody(Body):
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    lasts = whole(1, MAX_LASTS["day"])
    unit = fields.String(validate=validate.OneOf(UNITS))
    round_up_to = fields.String(validate=validate.OneOf(ROUNDINGS))
    dates = fields.List(
        fields.String(validate=[_is_a_date]), validate=validate.Length(1, MAX_DATES)
    )
    min_days = whole(0, MAX_DAYS)
    days = whole(1, MAX_DAYS)
    resets = fields.List(
        fields.String(validate=validate.OneOf(ACTS)), validate=validate.Length(1, len(ACTS))
    )

    @validates_schema
    def of_one_kind(self, data: dict, **_: object) -> None:
        needed = NEEDED.get(data.get("kind", ""), set())
        known = needed | MAY_HAVE.get(data.get("kind", ""), set()) | {"kind"}
        if missing := needed - set(data):
            raise ValidationError(f"needs {', '.join(sorted(missing))}", "kind")
        if more := set(data) - known:
            raise ValidationError(f"takes no {', '.join(sorted(more))}", "kind")
        if data.get("lasts", 0) > MAX_LASTS.get(data.get("unit", "day"), 0):
            raise ValidationError(f"at most {MAX_LASTS[data['unit']]} of these", "lasts")


class PreviewBody(Body):
    terms = fields.Nested(TermsBody(), required=True)
    by_tier = fields.Dict(
        keys=text(1, 16),
        values=fields.Nested(TermsBody()),
        load_default=dict,
        validate=validate.Length(max=MAX_TIERS),
    )
    remind_days = fields.List(
        whole(1, MAX_STEP_DAYS),
        validate=validate.Length(max=MAX_STEPS),
        load_default=lambda: [30, 7, 1],
    )


class PolicyBody(PreviewBody):
    note = text(0, 200, load_default="")


class PolicyOut(Out):
    version = fields.Integer()
    terms = fields.Dict(keys=fields.String())
    by_tier = fields.Dict(keys=fields.String())
    remind_days = fields.List(fields.Integer())
    note = fields.String()
    published_by = fields.Integer(allow_none=True)
    published_at = moment()


@bp.get("/expiry-policies")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(PolicyOut, "ExpiryPolicyPage")())
def list_policies(args: dict):
    """Every version of how long points live, newest first; the newest is in force."""
    return page(sa.select(ExpiryPolicy), ExpiryPolicy.version, expiry_policies.view, args)


@bp.post("/expiry-policies")
@idempotent
@audited("expiry_policy.publish")
@bp.arguments(PolicyBody())
@bp.response(201, PolicyOut())
def publish_policy(body: dict, *, key):
    """Put a version in force for points that are earned from now on, by tier where it says so.

    Points that are there keep the end that their own version gave them.
    """
    now = clock.now()
    return reply(expiry_policies.publish(body, staff_id=g.staff.id, key=key, now=now))


class EndsOut(Out):
    month = fields.String()
    points = fields.Integer()
    members = fields.Integer()
    over = fields.Boolean()


class ExpiryPreviewOut(Out):
    lots = fields.Integer()
    today = business_day()
    now = fields.List(fields.Nested(EndsOut))
    draft = fields.List(fields.Nested(EndsOut))


@bp.post("/expiry-policies/previews")
@idempotent
@bp.arguments(PreviewBody())
@bp.response(200, ExpiryPreviewOut())
def preview_policy(body: dict, *, key):
    """How many points of how many members end in which month: as it is, and had they been earned
    under a draft by the tier held today. Nothing is changed."""
    return reply(expiry_policies.preview(body, key=key, now=clock.now()))


class ReminderOut(Out):
    id = fields.Integer()
    member_id = fields.Integer()
    points = fields.Integer()
    lots = fields.Integer()
    expires_on = business_day()
    step_days = fields.Integer()
    state = fields.String(validate=validate.OneOf(["waiting", "sent", "dropped"]))
    created_at = moment()


def reminder_view(reminder: PointsReminder) -> dict[str, Any]:
    names = ("id", "member_id", "points", "lots", "step_days", "state")
    return {
        **{name: getattr(reminder, name) for name in names},
        "expires_on": reminder.expires_on.isoformat(),
        "created_at": clock.rfc3339(reminder.created_at),
    }


@bp.get("/points-reminders")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(ReminderOut, "PointsReminderPage")())
def list_reminders(args: dict):
    """What members are told of points that end soon, newest first."""
    return page(sa.select(PointsReminder), PointsReminder.id, reminder_view, args)
