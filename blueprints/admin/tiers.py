"""Tiers, the rules that lead from one to another, and tiers given by hand."""

from typing import Any

import sqlalchemy as sa
from flask import g, request
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Nothing,
    Out,
    Pattern,
    YesOrNo,
    an_id_asked,
    idempotent,
    moment,
    reply,
    takes_header,
    text,
    when,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from blueprints.tier_shapes import AdminTierOut, QuotaBody, TierChangeOut, change_view
from mall import clock, tiers
from mall.errors import IfMatchMissing, Malformed
from models import Account, Tier, TierChange, TierGrant, TierPerks, TierRule
from models.tier_rules import POLICIES, WINDOWS

MAX_QUOTAS, MAX_TIERS = 20, 100
MAX_PERCENT, MAX_HOURS, MAX_DAYS = 1000, 24 * 30, 3660
DAYS_OF_GRACE = 366

bp = Blueprint("tiers", __name__, description="Tiers, their rules and benefits")


class TierFields(Body):
    """What an admin may say of a tier."""

    name = text(1, 32)
    growth_min = whole(0, MAX_NUMBER)
    colour = fields.String(validate=Pattern(r"^(|#[0-9a-fA-F]{6})$"))
    skin_url = fields.String(validate=Pattern(r"^(|/[^\s/\\]\S{0,298}|https://\S{1,290})$"))
    discount_percent = whole(0, 100)
    points_percent = whole(100, MAX_PERCENT)
    early_access_hours = whole(0, MAX_HOURS)
    contact_name = text(0, 32)
    contact_phone = text(0, 32)
    contact_wechat = text(0, 64)
    gift_bundle = text(1, 32, allow_none=True)
    gift_each_time = YesOrNo()
    quotas = fields.List(fields.Nested(QuotaBody()), validate=validate.Length(max=MAX_QUOTAS))

    @validates_schema
    def each_code_once(self, data: dict, **_: Any) -> None:
        quotas = data.get("quotas", [])
        if len({quota["code"] for quota in quotas}) < len(quotas):
            raise ValidationError("each code once", "quotas")


class NewTier(TierFields):
    code = fields.String(required=True, validate=Pattern(r"^[a-z0-9_-]{1,16}$"))
    name = text(1, 32, required=True)
    growth_min = whole(1, MAX_NUMBER, required=True)


class TierListOut(Out):
    items = fields.List(fields.Nested(AdminTierOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/tiers")
@bp.response(200, TierListOut())
def list_tiers():
    """The tiers, lowest first, with what each is good for."""
    return {"items": tiers.perks.views(), "next_cursor": None}


@bp.post("/tiers")
@idempotent
@audited("tier.add")
@bp.arguments(NewTier())
@bp.response(201, AdminTierOut())
def add_tier(body: dict, *, key):
    """Add a tier; who has its growth already rises within a minute."""
    return reply(tiers.perks.add(body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.get("/tiers/<string:code>")
@bp.response(200, AdminTierOut(), headers={"ETag": {"schema": {"type": "string"}}})
def show_tier(code: str):
    """One tier; its ETag is what a change must name."""
    found = tiers.perks.find(code)
    return found, {"ETag": f'"{found["version"]}"'}


@bp.patch("/tiers/<string:code>")
@takes_header("If-Match", {"type": "string", "pattern": r'^"?[0-9]{1,9}"?$'}, required=True)
@audited("tier.change", Tier, TierPerks)
@bp.arguments(TierFields())
@bp.response(200, AdminTierOut(), headers={"ETag": {"schema": {"type": "string"}}})
def change_tier(body: dict, code: str):
    """Change a tier that nobody has changed since it was read; a threshold is a new rule version."""
    who = {"version": _version(), "staff_id": g.staff.id}
    changed = tiers.perks.change(code, body, **who, now=clock.now())
    return changed, {"ETag": f'"{changed["version"]}"'}


def _version() -> int:
    sent = request.headers.get("If-Match")
    if sent is None:
        raise IfMatchMissing()
    version = sent.strip().strip('"')
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise Malformed(if_match=sent[:40])
    return int(version)


class ActivityBody(Body):
    kind = fields.String(required=True, validate=validate.OneOf(tiers.ACTIVITIES))
    growth = whole(0, MAX_NUMBER, required=True)
    daily_cap = whole(1, MAX_NUMBER, load_default=None, allow_none=True)


class ThresholdBody(Body):
    tier = text(1, 16, required=True)
    growth_min = whole(0, MAX_NUMBER, required=True)


class RuleFields(Body):
    """What an admin may say of the rules; what is not said stays as it is in force."""

    growth_per_yuan = whole(0, MAX_PERCENT)
    growth_per_visit = whole(0, 10**6)
    min_amount_fen = whole(0, MAX_NUMBER)
    activities = fields.List(fields.Nested(ActivityBody()), validate=validate.Length(max=10))
    spend_weight_percent = whole(0, MAX_PERCENT)
    visit_weight_percent = whole(0, MAX_PERCENT)
    activity_weight_percent = whole(0, MAX_PERCENT)
    window_kind = fields.String(validate=validate.OneOf(WINDOWS))
    window_days = whole(1, MAX_DAYS)
    grace_days = whole(0, DAYS_OF_GRACE)
    review_policy = fields.String(validate=validate.OneOf(POLICIES))
    recount = YesOrNo()
    thresholds = fields.List(
        fields.Nested(ThresholdBody()), validate=validate.Length(max=MAX_TIERS)
    )
    note = text(0, 200)

    @validates_schema
    def each_name_once(self, data: dict, **_: Any) -> None:
        for name, part in (("activities", "kind"), ("thresholds", "tier")):
            named = [each[part] for each in data.get(name, ())]
            if len(set(named)) < len(named):
                raise ValidationError(f"each {part} once", name)


class ActivityOut(Out):
    kind = fields.String()
    growth = fields.Integer()
    daily_cap = fields.Integer(allow_none=True)


class ThresholdOut(Out):
    tier = fields.String()
    growth_min = fields.Integer()


class TierRuleOut(Out):
    """A version of the rules; a draft has no version."""

    id = fields.Integer()
    version = fields.Integer(allow_none=True)
    growth_per_yuan = fields.Integer()
    growth_per_visit = fields.Integer()
    min_amount_fen = fields.Integer()
    activities = fields.List(fields.Nested(ActivityOut))
    spend_weight_percent = fields.Integer()
    visit_weight_percent = fields.Integer()
    activity_weight_percent = fields.Integer()
    window_kind = fields.String(validate=validate.OneOf(WINDOWS))
    window_days = fields.Integer()
    grace_days = fields.Integer()
    review_policy = fields.String(validate=validate.OneOf(POLICIES))
    recount = fields.Boolean()
    thresholds = fields.List(fields.Nested(ThresholdOut))
    note = fields.String()
    created_by = fields.Integer(allow_none=True)
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)
    effective_at = moment(allow_none=True)
    applied_at = moment(allow_none=True)
    settled_at = moment(allow_none=True)


def _values(body: dict) -> dict:
    """A body as the rules keep it: thresholds by tier."""
    if "thresholds" not in body:
        return body
    return {**body, "thresholds": {each["tier"]: each["growth_min"] for each in body["thresholds"]}}


@bp.get("/tier-rules")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(TierRuleOut, "TierRulePage")())
def list_tier_rules(args: dict):
    """Every version of the rules and every draft, newest first."""
    return page(sa.select(TierRule), TierRule.id, tiers.drafts.view, args)


@bp.post("/tier-rules")
@idempotent
@audited("tier_rule.draft")
@bp.arguments(RuleFields())
@bp.response(201, TierRuleOut())
def draft_tier_rule(body: dict, *, key):
    """Write a draft; nothing changes before it is published."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(tiers.drafts.draft(_values(body), **who, now=clock.now()))


@bp.get("/tier-rules/<id:rule_id>")
@bp.response(200, TierRuleOut())
def show_tier_rule(rule_id: int):
    """One version or draft."""
    return tiers.drafts.view(tiers.drafts.find(rule_id))


@bp.patch("/tier-rules/<id:rule_id>")
@audited("tier_rule.change", TierRule)
@bp.arguments(RuleFields())
@bp.response(200, TierRuleOut())
def change_tier_rule(body: dict, rule_id: int):
    """Change a draft; what is published stays what it is."""
    return tiers.drafts.view(tiers.drafts.redraft(rule_id, _values(body)))


class MembersOfTierOut(Out):
    tier = fields.String()
    members_now = fields.Integer()
    members_then = fields.Integer()


class SampleOut(Out):
    member_id = fields.Integer()
    tier_before = fields.String()
    tier_after = fields.String()
    growth_value = fields.Integer()
    direction = fields.String(validate=validate.OneOf(["up", "down"]))


class PreviewOut(Out):
    """Who would rise at once and who would be lowered by the next review, as things stand."""

    members = fields.Integer()
    up = fields.Integer()
    down = fields.Integer()
    by_tier = fields.List(fields.Nested(MembersOfTierOut))
    samples = fields.List(fields.Nested(SampleOut))


@bp.get("/tier-rules/<id:rule_id>/preview")
@bp.response(200, PreviewOut())
def preview_tier_rule(rule_id: int):
    """Count who would move under a draft; nothing is changed."""
    return tiers.preview(rule_id, now=clock.now())


class PublicationBody(Body):
    effective_at = when(load_default=None, allow_none=True)


@bp.post("/tier-rules/<id:rule_id>/publication")
@idempotent
@audited("tier_rule.publish", TierRule)
@bp.arguments(PublicationBody())
@bp.response(200, TierRuleOut())
def publish_tier_rule(body: dict, rule_id: int, *, key):
    """Publish a draft as the next version, to count at once or from a moment on."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(tiers.drafts.publish(rule_id, **body, **who, now=clock.now()))


class TierGrantBody(Body):
    tier = text(1, 16, required=True)
    until = when(load_default=None, allow_none=True)
    reason = text(1, 40, required=True)


class TierGrantOut(Out):
    """A tier given by hand; `until` null is for life."""

    id = fields.Integer()
    member_id = fields.Integer()
    tier = fields.String()
    until = moment(allow_none=True)
    reason = fields.String()
    state = fields.String(validate=validate.OneOf(["active", "ended", "revoked"]))
    granted_by = fields.Integer()
    granted_at = moment()
    ended_by = fields.Integer(allow_none=True)
    ended_at = moment(allow_none=True)


class OfMemberArgs(PageArgs):
    member_id = an_id_asked()


def _of(model: Any, args: dict) -> sa.Select[Any]:
    query = sa.select(model)
    return query.where(model.member_id == args["member_id"]) if "member_id" in args else query


@bp.get("/tier-grants")
@bp.arguments(OfMemberArgs(), location="query")
@bp.response(200, page_of(TierGrantOut, "TierGrantPage")())
def list_tier_grants(args: dict):
    """Tiers given by hand, newest first; `?member_id=` are those of one."""
    return page(_of(TierGrant, args), TierGrant.id, tiers.grants.view, args)


@bp.post("/members/<id:member_id>/tier-grants")
@idempotent
@audited("member.grant_tier", Account)
@bp.arguments(TierGrantBody())
@bp.response(201, TierGrantOut())
def grant_tier(body: dict, member_id: int, *, key):
    """Give a member a tier until a moment, or for life; no review takes it before."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(tiers.grants.grant(member_id, **body, **who, now=clock.now()))


@bp.post("/tier-grants/<id:grant_id>/revocation")
@idempotent
@audited("tier_grant.revoke", TierGrant)
@bp.arguments(Nothing())
@bp.response(200, TierGrantOut())
def revoke_tier_grant(body: dict, grant_id: int, *, key):
    """End a grant before its time."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(tiers.grants.revoke(grant_id, **who, now=clock.now()))


class AdminTierChangeOut(TierChangeOut):
    member_id = fields.Integer()


@bp.get("/tier-changes")
@bp.arguments(OfMemberArgs(), location="query")
@bp.response(200, page_of(AdminTierChangeOut, "TierChangePage")())
def list_tier_changes(args: dict):
    """Who came to which tier, newest first: from which source, what for, by whom."""

    def view(change: TierChange) -> dict:
        return {**change_view(change), "member_id": change.member_id}

    return page(_of(TierChange, args), TierChange.id, view, args)
