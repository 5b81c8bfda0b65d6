"""Policies with their versions, and closing an account that its owner asked to have closed."""

from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from blueprints.shopper.privacy import ClosureOut
from mall import clock, privacy
from mall.privacy.consents import KINDS
from models import Account, Policy
from models.consents import BODY_LENGTH, TITLE_LENGTH

bp = Blueprint("admin-privacy", __name__, description="Policies, and accounts that are closed")


class ShopPolicyBody(Body):
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    title_zh = text(1, TITLE_LENGTH, required=True)
    body_zh = text(1, BODY_LENGTH, required=True)
    title_en = text(1, TITLE_LENGTH, required=True)
    body_en = text(1, BODY_LENGTH, required=True)


class ShopPolicyOut(Out):
    id = fields.Integer()
    kind = fields.String(validate=validate.OneOf(KINDS))
    version = fields.Integer()
    title_zh = fields.String()
    body_zh = fields.String()
    title_en = fields.String()
    body_en = fields.String()
    published_by = fields.Integer(allow_none=True)
    published_at = moment()


class ShopPolicyArgs(PageArgs):
    kind = fields.String(validate=validate.OneOf(KINDS))


@bp.get("/policies")
@bp.arguments(ShopPolicyArgs(), location="query")
@bp.response(200, page_of(ShopPolicyOut, "ShopPolicyPage")())
def list_policies(args: dict):
    """Every version of every policy, newest first."""
    return page(privacy.policies(args.pop("kind", None)), Policy.id, privacy.policy_view, args)


@bp.post("/policies")
@idempotent
@audited("policy.publish")
@bp.arguments(ShopPolicyBody())
@bp.response(201, ShopPolicyOut())
def publish_policy(body: dict, *, key):
    """Put another version in force. Who agreed to the one before is asked anew."""
    stamp = {"staff_id": g.staff.id, "key": key, "now": clock.now()}
    return reply(privacy.publish(body.pop("kind"), body, **stamp))


class ClosingBody(Body):
    reason = text(1, 40, required=True)


@bp.post("/members/<id:member_id>/closure")
@idempotent
@audited("member.close", Account)
@bp.arguments(ClosingBody())
@bp.response(200, ClosureOut())
def close_member(body: dict, member_id: int, *, key):
    """Close an account whose owner asked for it in writing. It can't be undone."""
    stamp = {"actor": f"staff:{g.staff.id}", "key": key, "now": clock.now()}
    return reply(privacy.close(member_id, seen_points=None, reason=body["reason"], **stamp))
