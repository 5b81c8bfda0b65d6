"""Benefits at the till: seen, used, verified and undone."""

from flask import g
from marshmallow import ValidationError, fields, validates_schema

from blueprints.audited import left
from blueprints.contract import Blueprint, Body, Nothing, Out, an_id, idempotent, reply, text
from blueprints.tier_shapes import BenefitOut, BenefitUseOut, TierPerksOut
from mall import benefits, clock, members, tiers, tokens
from models import Account, db

bp = Blueprint("benefits", __name__, description="Benefits of members")


class BenefitUseBody(Body):
    scan_token = text(1, 256)
    member_id = an_id()

    @validates_schema
    def names_one_member(self, data: dict, **_: object) -> None:
        if ("scan_token" in data) == ("member_id" in data):
            raise ValidationError("either scan_token or member_id")


class BenefitUsedOut(Out):
    use = fields.Nested(BenefitUseOut)
    benefit = fields.Nested(BenefitOut)


class MemberBenefitsOut(Out):
    tier = fields.Nested(TierPerksOut)
    items = fields.List(fields.Nested(BenefitOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/members/<id:member_id>/benefits")
@bp.response(200, MemberBenefitsOut())
def list_member_benefits(member_id: int):
    """What a member's tier is good for, and what is left to use in this period."""
    member = members.find(member_id)
    items = benefits.usable(member.id, now=clock.now())
    account = db.session.get_one(Account, member_id, populate_existing=True)
    return {"tier": tiers.perks.find(account.tier_code), "items": items, "next_cursor": None}


@bp.post("/benefits/<string:code>/use")
@idempotent
@left("benefit.use")
@bp.arguments(BenefitUseBody())
@bp.response(201, BenefitUsedOut())
@bp.alt_response(404, "NOT_FOUND")
def use_benefit(body: dict, code: str, *, key):
    """Use a benefit once for a member."""
    now = clock.now()
    if "scan_token" in body:
        member_id = tokens.scanned(body["scan_token"], staff_id=g.staff.id, now=now)
    else:
        member_id = members.find(body["member_id"]).id
    return reply(benefits.use(code, member_id, clerk=g.staff, key=key, now=now))


@bp.get("/benefit-uses/<id:use_id>")
@bp.response(200, BenefitUseOut())
def show_benefit_use(use_id: int):
    """One use at this store: for whom, by whom, when, and whether it was undone."""
    return benefits.show_use(use_id, clerk=g.staff)


@bp.post("/benefit-uses/<id:use_id>/undo")
@idempotent
@left("benefit.undo_use")
@bp.arguments(Nothing())
@bp.response(200, BenefitUseOut())
@bp.alt_response(404, "NOT_FOUND")
def undo_benefit_use(body: dict, use_id: int, *, key):
    """Take a use back within its period."""
    return reply(benefits.undo(use_id, clerk=g.staff, key=key, now=clock.now()))
