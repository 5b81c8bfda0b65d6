"""What I agreed to, a copy of all there is of me, and closing my account."""

from flask import g, jsonify
from marshmallow import fields, validate

from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Out,
    YesOrNo,
    idempotent,
    moment,
    positive,
    reply,
    whole,
)
from mall import clock, privacy
from mall.privacy.consents import KINDS

bp = Blueprint("privacy", __name__, description="Consents, a copy of my data, closing my account")


class ConsentOut(Out):
    """`needed`: nothing was said to the version in force yet."""

    kind = fields.String(validate=validate.OneOf(KINDS))
    version = fields.Integer()
    title_zh = fields.String()
    title_en = fields.String()
    granted = fields.Boolean()
    said_version = fields.Integer(allow_none=True)
    said_at = moment(allow_none=True)
    needed = fields.Boolean()


class ConsentListOut(Out):
    items = fields.List(fields.Nested(ConsentOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/me/consents")
@bp.response(200, ConsentListOut())
def list_consents():
    """What the shop asks me to agree to, and what I said last."""
    return {"items": privacy.said_by(g.member_id), "next_cursor": None}


class ConsentBody(Body):
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    version = positive(required=True)
    granted = YesOrNo(required=True)


@bp.post("/me/consents")
@idempotent
@bp.arguments(ConsentBody())
@bp.response(201, ConsentOut())
def say(body: dict, *, key):
    """Agree to the version in force, or take it back."""
    return reply(privacy.consent(g.member_id, **body, key=key, now=clock.now()))


class CopyOut(Out):
    exported_at = moment()
    profile = fields.Dict(keys=fields.String())
    account = fields.Dict(keys=fields.String())
    consents = fields.List(fields.Nested(ConsentOut))
    friends = fields.Dict(keys=fields.String())
    records = fields.Dict(keys=fields.String())


@bp.get("/me/export")
@bp.response(200, CopyOut(), headers={"Content-Disposition": {"schema": {"type": "string"}}})
def export():
    """A copy of everything the shop has of me."""
    answer = jsonify(privacy.copy_of(g.member_id, now=clock.now()))
    answer.headers["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return answer


class LossOut(Out):
    """What closing takes away. `blocked_by` says why it can't be done now."""

    points = fields.Integer()
    pending_points = fields.Integer()
    held_points = fields.Integer()
    debt_points = fields.Integer()
    vouchers = fields.Integer()
    parcels = fields.Integer()
    tier = fields.String()
    growth_value = fields.Integer()
    blocked_by = fields.String(allow_none=True)
    rejoin_after_days = fields.Integer()


@bp.get("/me/closure")
@bp.response(200, LossOut())
def preview_closure():
    """What closing my account would take."""
    return privacy.preview(g.member_id, now=clock.now())


class ClosureBody(Body):
    """`points` as the preview had them: where they changed, the member looks again."""

    points = whole(0, MAX_NUMBER, required=True)


class ClosureOut(Out):
    id = fields.Integer()
    closed_at = moment()
    lost = fields.Nested(LossOut)


@bp.post("/me/closure")
@idempotent
@bp.arguments(ClosureBody())
@bp.response(200, ClosureOut())
def close_account(body: dict, *, key):
    """Close my account for good. Points and vouchers go, and who I was is forgotten."""
    stamp = {"actor": f"member:{g.member_id}", "key": key, "now": clock.now()}
    return reply(privacy.close(g.member_id, seen_points=body["points"], **stamp))
