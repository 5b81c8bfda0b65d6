"""Bundles: what is given together as a gift."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Out,
    an_id,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from blueprints.tier_shapes import QuotaBody, QuotaOut
from mall import bundles, clock
from mall.redemptions import MAX_QUANTITY
from models import Bundle

MAX_REWARDS = 10


bp = Blueprint("bundles", __name__, description="What is given together as a gift")


class BundleRewardBody(Body):
    reward_id = an_id(required=True)
    quantity = whole(1, MAX_QUANTITY, load_default=1)


class BundleBody(Body):
    code = text(1, 32, required=True)
    name = text(1, 32, required=True)
    points = whole(0, MAX_NUMBER, load_default=0)
    growth_value = whole(0, MAX_NUMBER, load_default=0)
    rewards = fields.List(
        fields.Nested(BundleRewardBody()),
        validate=validate.Length(max=MAX_REWARDS),
        load_default=list,
    )
    benefits = fields.List(
        fields.Nested(QuotaBody()), validate=validate.Length(max=MAX_REWARDS), load_default=list
    )


class BundleRewardOut(Out):
    reward_id = fields.Integer()
    quantity = fields.Integer()


class BundleOut(Out):
    id = fields.Integer()
    code = fields.String()
    version = fields.Integer()
    name = fields.String()
    points = fields.Integer()
    growth_value = fields.Integer()
    rewards = fields.List(fields.Nested(BundleRewardOut))
    benefits = fields.List(fields.Nested(QuotaOut))
    published_by = fields.Integer(allow_none=True)
    published_at = moment()


@bp.get("/bundles")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(BundleOut, "BundlePage")())
def list_bundles(args: dict):
    """Every version of every bundle, newest first; of each code the newest is in force."""
    return page(sa.select(Bundle), Bundle.id, bundles.view, args)


@bp.post("/bundles")
@idempotent
@audited("bundle.publish")
@bp.arguments(BundleBody())
@bp.response(201, BundleOut())
def publish_bundle(body: dict, *, key):
    """Put a bundle in force, or a new version of it. What was given before stays what it was."""
    return reply(bundles.publish(body, staff_id=g.staff.id, key=key, now=clock.now()))
