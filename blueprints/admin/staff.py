"""Who works here."""

from flask import g
from marshmallow import fields, validate

from blueprints.admin.audit import who_runs_the_mall
from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    Pattern,
    YesOrNo,
    an_id,
    idempotent,
    moment,
    reply,
    text,
)
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import StoreOut
from mall import clock, staff
from models import Staff

LONGEST_PASSWORD = 128

bp = Blueprint("staff", __name__, description="Who works here, in which role and store")
bp.before_request(who_runs_the_mall)


def a_role(**options: object) -> fields.String:
    return fields.String(validate=validate.OneOf(staff.ROLES), **options)


class HireBody(Body):
    """Without a password one is made. Either way it is changed at the first log-in."""

    username = fields.String(
        required=True, validate=Pattern(r"^[a-z0-9][a-z0-9._-]{1,31}$", error="a-z, 0-9, . _ -")
    )
    name = text(1, 32, required=True)
    role = a_role(required=True)
    store_id = an_id(allow_none=True)
    password = fields.String(validate=validate.Length(1, LONGEST_PASSWORD))


class StaffChangeBody(Body):
    name = text(1, 32)
    role = a_role()
    store_id = an_id(allow_none=True)
    active = YesOrNo()


class StaffOut(Out):
    id = fields.Integer()
    username = fields.String()
    name = fields.String()
    role = a_role()
    active = fields.Boolean()
    store = fields.Nested(StoreOut, allow_none=True)
    second_factor = fields.Boolean()
    password_change_needed = fields.Boolean()
    sessions = fields.Integer()
    created_at = moment()


class NewPasswordOut(StaffOut):
    """`password` is answered this once and kept nowhere."""

    password = fields.String()


class StaffArgs(PageArgs):
    role = a_role()
    active = fields.Boolean()


@bp.get("/staff")
@bp.arguments(StaffArgs(), location="query")
@bp.response(200, page_of(StaffOut, "StaffPage")())
def list_staff(args: dict):
    """Those who work or worked here, newest first."""
    query = staff.roster(role=args.pop("role", None), active=args.pop("active", None))
    now = clock.now()
    return page(query, Staff.id, lambda member: staff.view(member, now=now), args)


@bp.post("/staff")
@idempotent(sealed=True)
@audited("staff.hire", Staff)
@bp.arguments(HireBody())
@bp.response(201, NewPasswordOut())
@bp.alt_response(404, "NOT_FOUND")
def hire(body: dict, *, key):
    """Hire somebody. Only an owner hires those who run the mall."""
    return reply(staff.hire_with_key(by=g.staff.id, **body, key=key, now=clock.now()))


@bp.patch("/staff/<id:staff_id>")
@audited("staff.change", Staff)
@bp.arguments(StaffChangeBody())
@bp.response(200, StaffOut())
def change_staff(body: dict, staff_id: int):
    """Change somebody's name, role or store, or let them go. A changed role ends their sessions."""
    return staff.change(staff_id, body, by=g.staff.id, now=clock.now())


@bp.post("/staff/<id:staff_id>/password-reset")
@idempotent(sealed=True)
@audited("staff.reset_password", Staff)
@bp.arguments(Nothing())
@bp.response(200, NewPasswordOut())
def reset_password(_body: dict, staff_id: int, *, key):
    """Give somebody who forgot theirs a password for one log-in. Their sessions end."""
    return reply(staff.reset_password(staff_id, by=g.staff.id, key=key, now=clock.now()))


@bp.post("/staff/<id:staff_id>/second-factor-removal")
@idempotent
@audited("staff.remove_anothers_second_factor", Staff)
@bp.arguments(Nothing())
@bp.response(200, StaffOut())
def remove_second_factor(_body: dict, staff_id: int, *, key):
    """Let somebody who lost their phone in with a password alone. Their sessions end."""
    return reply(staff.remove_second_factor(staff_id, by=g.staff.id, key=key, now=clock.now()))
