"""Gifts a member was given."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate
from sqlalchemy.orm import joinedload

from blueprints.contract import Blueprint, Out, moment
from blueprints.pages import PageArgs, page, page_of
from blueprints.tier_shapes import QuotaOut
from mall import clock
from models import GivenBundle

bp = Blueprint("gifts", __name__, description="Gifts")


class GiftRewardOut(Out):
    reward_id = fields.Integer()
    quantity = fields.Integer()


class GiftOut(Out):
    id = fields.Integer()
    name = fields.String()
    reason = fields.String()
    points = fields.Integer()
    growth_value = fields.Integer()
    rewards = fields.List(fields.Nested(GiftRewardOut))
    benefits = fields.List(fields.Nested(QuotaOut))
    state = fields.String(validate=validate.OneOf(["given", "taken_back"]))
    given_at = moment()


@bp.get("/me/gifts")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(GiftOut, "GiftPage")())
def list_gifts(args: dict):
    """The gifts I was given, newest first, with what was in each; vouchers are among my vouchers."""
    mine = sa.select(GivenBundle).where(GivenBundle.member_id == g.member_id)
    return page(mine.options(joinedload(GivenBundle.bundle)), GivenBundle.id, _gift, args)


def _gift(gift: GivenBundle) -> dict:
    bundle = gift.bundle
    return {
        "id": gift.id,
        "name": bundle.name,
        "reason": gift.reason,
        "points": bundle.points,
        "growth_value": bundle.growth_value,
        "rewards": bundle.rewards,
        "benefits": bundle.benefits,
        "state": gift.state,
        "given_at": clock.rfc3339(gift.given_at),
    }
