"""Profiles: corrected for a reason, with their history; and what the shop asks of them."""

from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import ProfileOut
from blueprints.shopper.members import ProfileBody
from mall import clock, profiles
from mall.profiles import COUNTED
from models import ProfileChange

LONGEST_WINDOW_MINUTES = 7 * 24 * 60

bp = Blueprint("admin-profiles", __name__, description="Profiles and their history")


class CorrectionBody(ProfileBody):
    reason = text(1, 40, required=True)

    @validates_schema
    def changes_something(self, data: dict, **_: object) -> None:
        if len(data) < 2:
            raise ValidationError("nothing to change")


@bp.patch("/members/<id:member_id>")
@bp.arguments(CorrectionBody())
@bp.response(200, ProfileOut())
def correct_profile(body: dict, member_id: int):
    """Correct a member's profile; also a birthday, which its owner can set only once."""
    reason, now = body.pop("reason"), clock.now()
    return profiles.view(profiles.correct(member_id, body, reason, staff_id=g.staff.id, now=now))


class ProfileChangeOut(Out):
    id = fields.Integer()
    field = fields.String()
    before = fields.String()
    after = fields.String()
    reason = fields.String()
    actor = fields.String()
    changed_at = moment()


@bp.get("/members/<id:member_id>/profile-changes")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(ProfileChangeOut, "ProfileChangePage")())
def list_profile_changes(args: dict, member_id: int):
    """What was changed of a profile, newest first, by whom and why."""
    return page(profiles.changes_of(member_id), ProfileChange.id, profiles.seen, args)


class MemberRulesBody(Body):
    profile_fields = fields.List(
        fields.String(validate=validate.OneOf(COUNTED)), validate=validate.Length(0, len(COUNTED))
    )
    undo_window_minutes = whole(0, LONGEST_WINDOW_MINUTES)

    @validates_schema
    def each_once(self, data: dict, **_: object) -> None:
        named = data.get("profile_fields", [])
        if len(set(named)) != len(named):
            raise ValidationError("each field once", "profile_fields")


class MemberRulesOut(Out):
    profile_fields = fields.List(fields.String())
    undo_window_minutes = fields.Integer()


@bp.get("/member-rules")
@bp.response(200, MemberRulesOut())
def show_member_rules():
    """Which fields make a profile complete, and how many minutes a clerk can undo."""
    return profiles.rules()


@bp.post("/member-rules")
@idempotent
@bp.arguments(MemberRulesBody())
@bp.response(200, MemberRulesOut())
def tune_member_rules(body: dict, *, key):
    """Tune them; what is not named stays."""
    return reply(profiles.tune(body, key=key, now=clock.now()))
