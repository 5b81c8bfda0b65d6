"""Profiles: corrected for a reason, with their history; and what the shop asks of them."""

from flask import g
from marshmallow import ValidationError, fields, validates_schema

from blueprints.audited import audited
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import ProfileOut
from blueprints.shopper.members import ProfileBody
from mall import clock, phones, profiles
from models import Member, ProfileChange

bp = Blueprint("admin-profiles", __name__, description="Profiles and their history")


class CorrectionBody(ProfileBody):
    reason = text(1, 40, required=True)

    @validates_schema
    def changes_something(self, data: dict, **_: object) -> None:
        if len(data) < 2:
            raise ValidationError("nothing to change")


@bp.patch("/members/<id:member_id>")
@audited("member.correct", Member)
@bp.arguments(CorrectionBody())
@bp.response(200, ProfileOut())
def correct_profile(body: dict, member_id: int):
    """Correct a member's profile; also a birthday, which its owner can set only once."""
    reason, now = body.pop("reason"), clock.now()
    return profiles.view(profiles.correct(member_id, body, reason, staff_id=g.staff.id, now=now))


class PhoneViewBody(Body):
    reason = text(1, 40, required=True)


class PhoneViewOut(Out):
    id = fields.Integer()
    phone = fields.String(allow_none=True)
    reason = fields.String()


@bp.post("/members/<id:member_id>/phone-views")
@idempotent(sealed=True)
@audited("member.view_phone")
@bp.arguments(PhoneViewBody())
@bp.response(200, PhoneViewOut())
def view_phone(body: dict, member_id: int, *, key):
    """Show a member's whole phone number for a reason; who looked is in the audit log."""
    return reply(phones.show(member_id, body["reason"], key=key, now=clock.now()))


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
