"""Members who were one person all along."""

from flask import g
from marshmallow import fields, validate

from blueprints.admin.members import MemberOut, row
from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    an_id,
    an_id_asked,
    idempotent,
    reply,
    text,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, merges
from mall.merges.duplicates import KEYS, twins_of
from models import Account, Member

bp = Blueprint("merges", __name__, description="Members who are one person")


class TwinsOut(Out):
    reason = fields.String(validate=validate.OneOf(list(KEYS)))
    members = fields.List(fields.Integer())


class DuplicateOut(MemberOut):
    looks_like = fields.List(fields.Nested(TwinsOut))


@bp.get("/members/duplicates")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(DuplicateOut, "DuplicatePage")())
def list_duplicates(args: dict):
    """Members who may be one person: one phone in two spellings, or one name and birthday."""
    return page(
        merges.duplicates(), Member.id, lambda m: {**row(m), "looks_like": twins_of(m)}, args
    )


class FiguresOut(Out):
    id = fields.Integer()
    points = fields.Integer()
    pending_points = fields.Integer()
    held_points = fields.Integer()
    debt_points = fields.Integer()
    growth_value = fields.Integer()
    tier = fields.String()
    state = fields.String()


class MovesOut(Out):
    purchases = fields.Integer()
    redemptions = fields.Integer()
    vouchers = fields.Integer()
    gifts = fields.Integer()
    checkin_days = fields.Integer()
    friends = fields.Integer()


class AfterOut(Out):
    points = fields.Integer()
    pending_points = fields.Integer()
    held_points = fields.Integer()
    debt_points = fields.Integer()
    growth_value = fields.Integer()
    tier = fields.String()


class MergePreviewOut(Out):
    from_ = fields.Nested(FiguresOut, data_key="from", attribute="from")
    into = fields.Nested(FiguresOut)
    moves = fields.Nested(MovesOut)
    after = fields.Nested(AfterOut)
    differs = fields.List(fields.String())


class PreviewArgs(Body):
    from_member_id = an_id_asked(required=True)


@bp.get("/members/<id:member_id>/merge")
@bp.arguments(PreviewArgs(), location="query")
@bp.response(200, MergePreviewOut())
def preview_merge(args: dict, member_id: int):
    """What a merge would move; `differs` names fields of the profile where the target's will stay."""
    return merges.preview(args["from_member_id"], member_id, now=clock.now())


class MergeBody(Body):
    from_member_id = an_id(required=True)
    reason = text(1, 100, required=True)


class MergedOut(Out):
    id = fields.Integer()
    from_member_id = fields.Integer()
    from_ = fields.Nested(FiguresOut, data_key="from", attribute="from")
    into = fields.Nested(FiguresOut)
    moves = fields.Nested(MovesOut)
    after = fields.Nested(FiguresOut)


@bp.post("/members/<id:member_id>/merge")
@idempotent
@audited("member.merge", Account)
@bp.arguments(MergeBody())
@bp.response(201, MergedOut())
def merge_members(body: dict, member_id: int, *, key):
    """Move everything of another member into this one; the other's account closes."""
    actor = f"staff:{g.staff.id}"
    source, reason = body["from_member_id"], body["reason"]
    return reply(merges.merge(member_id, source, reason, actor=actor, key=key, now=clock.now()))
