"""What invitations pay, in versions; and the referrals that wait for a look."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Nothing,
    Out,
    YesOrNo,
    an_id_asked,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, referrals
from models import Referral, ReferralRule

MAX_DAYS, MAX_JOINS, MAX_FRIENDS, MAX_STEPS = 365, 10_000, 100_000, 20

bp = Blueprint("admin_referrals", __name__, description="Rules of inviting, and the review queue")


class ReferralGainBody(Body):
    points = whole(0, MAX_NUMBER, load_default=0)
    bundle = text(0, 32, load_default="")


class ReferralStageBody(Body):
    inviter = fields.Nested(ReferralGainBody(), load_default=lambda: ReferralGainBody().load({}))
    friend = fields.Nested(ReferralGainBody(), load_default=lambda: ReferralGainBody().load({}))
    pending_days = whole(0, MAX_DAYS, load_default=7)


class ReferralPurchaseBody(ReferralStageBody):
    min_amount_fen = whole(0, MAX_NUMBER, load_default=0)


class ReferralStepBody(ReferralGainBody):
    friends = whole(1, MAX_FRIENDS, required=True)


class ReferralCapsBody(Body):
    per_day = whole(1, MAX_FRIENDS, load_default=None, allow_none=True)
    for_life = whole(1, MAX_FRIENDS, load_default=None, allow_none=True)


class ReferralHoldsBody(Body):
    device_joins_per_day = whole(1, MAX_JOINS, load_default=2)
    address_joins_per_hour = whole(1, MAX_JOINS, load_default=60)
    inviter_joins_per_hour = whole(1, MAX_JOINS, load_default=20)
    keep_days = whole(1, MAX_DAYS, load_default=30)


class ReferralTermsBody(Body):
    join = fields.Nested(ReferralStageBody(), load_default=lambda: ReferralStageBody().load({}))
    purchase = fields.Nested(
        ReferralPurchaseBody(), load_default=lambda: ReferralPurchaseBody().load({})
    )
    ladder = fields.List(
        fields.Nested(ReferralStepBody()),
        validate=validate.Length(max=MAX_STEPS),
        load_default=list,
    )
    caps = fields.Nested(ReferralCapsBody(), load_default=lambda: ReferralCapsBody().load({}))
    attribution_days = whole(1, MAX_DAYS, load_default=30)
    holds = fields.Nested(ReferralHoldsBody(), load_default=lambda: ReferralHoldsBody().load({}))


class ReferralRuleBody(Body):
    terms = fields.Nested(ReferralTermsBody(), required=True)
    note = text(0, 200, load_default="")
    publish = YesOrNo(load_default=False)


class ReferralRuleOut(Out):
    id = fields.Integer()
    version = fields.Integer()
    terms = fields.Dict(keys=fields.String())
    note = fields.String()
    state = fields.String(validate=validate.OneOf(["draft", "published"]))
    written_by = fields.Integer(allow_none=True)
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)


@bp.get("/referral-rules")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(ReferralRuleOut, "ReferralRulePage")())
def list_referral_rules(args: dict):
    """Every version of what invitations pay, drafts too, newest first."""
    return page(sa.select(ReferralRule), ReferralRule.id, referrals.rule_view, args)


@bp.post("/referral-rules")
@idempotent
@audited("referral_rule.write")
@bp.arguments(ReferralRuleBody())
@bp.response(201, ReferralRuleOut())
def write_referral_rule(body: dict, *, key):
    """Write a version: a draft, or with `publish` in force for referrals from now on."""
    return reply(referrals.write(**body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.post("/referral-rules/<id:rule_id>/publication")
@idempotent
@audited("referral_rule.publish", ReferralRule)
@bp.arguments(Nothing())
@bp.response(200, ReferralRuleOut())
def publish_referral_rule(_body: dict, rule_id: int, *, key):
    """Put a draft in force. Refused where a newer version is."""
    return reply(referrals.publish(rule_id, staff_id=g.staff.id, key=key, now=clock.now()))


class ReferralSeenOut(Out):
    """`id` and `friend_id` are the friend's; `holds` say why it waits or waited for a look."""

    id = fields.Integer()
    friend_id = fields.Integer()
    inviter_id = fields.Integer()
    state = fields.String(validate=validate.OneOf(referrals.STATES))
    reason = fields.String()
    points = fields.Integer()
    rule_version = fields.Integer()
    source = fields.String(validate=validate.OneOf(["code", "touch"]))
    holds = fields.List(fields.String())
    capped = fields.String(validate=validate.OneOf(["", "day", "life"]))
    purchase_id = fields.Integer(allow_none=True)
    joined_at = moment()
    held_at = moment(allow_none=True)
    join_due_at = moment(allow_none=True)
    due_at = moment(allow_none=True)
    rewarded_at = moment(allow_none=True)
    reviewed_by = fields.Integer(allow_none=True)
    reviewed_at = moment(allow_none=True)
    review_note = fields.String()


class ReferralArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(referrals.STATES))
    inviter_id = an_id_asked()


@bp.get("/referrals")
@bp.arguments(ReferralArgs(), location="query")
@bp.response(200, page_of(ReferralSeenOut, "ReferralPage")())
def list_referrals(args: dict):
    """Referrals, newest first; `state=held` are those that wait for a look, with the reasons."""
    query = referrals.listed(args.get("state"), args.get("inviter_id"))
    return page(query, Referral.invitee_id, referrals.view, args)


class ReferralReviewBody(Body):
    approved = YesOrNo(required=True)
    reason = text(1, 200, required=True)


@bp.post("/referrals/<id:friend_id>/review")
@idempotent
@audited("referral.review", Referral)
@bp.arguments(ReferralReviewBody())
@bp.response(200, ReferralSeenOut())
def review_referral(body: dict, friend_id: int, *, key):
    """Decide a referral that is held: approved it is paid like any other, else it is refused."""
    who, now = g.staff.id, clock.now()
    return reply(referrals.review(friend_id, **body, staff_id=who, key=key, now=now))
