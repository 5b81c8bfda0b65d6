"""My tier: where I am, what is next, what keeps it, and what it is good for."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields

from blueprints.contract import Blueprint, Out, moment
from blueprints.pages import PageArgs, page, page_of
from blueprints.tier_shapes import (
    BenefitOut,
    ContactOut,
    CountedGrowthOut,
    KeepOut,
    NextTierOut,
    ReachedTierOut,
    TierChangeOut,
    TierPerksOut,
    change_view,
)
from mall import benefits, clock, tiers
from models import TierChange

bp = Blueprint("tiers", __name__, description="My tier and its benefits")


class MyTierOut(Out):
    now = fields.Nested(TierPerksOut)
    held_since = moment(allow_none=True)
    growth = fields.Nested(CountedGrowthOut)
    next = fields.Nested(NextTierOut, allow_none=True)
    keep = fields.Nested(KeepOut, allow_none=True)
    tiers = fields.List(fields.Nested(ReachedTierOut))
    contact = fields.Nested(ContactOut, allow_none=True)


@bp.get("/me/tier")
@bp.response(200, MyTierOut())
def show_tier():
    """My tier, the next, what keeps mine until when, and the benefits of all of them side by side."""
    return tiers.path(g.member_id, now=clock.now())


@bp.get("/me/tier/changes")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(TierChangeOut, "MyTierChangePage")())
def list_tier_changes(args: dict):
    """How I came to my tier, newest first."""
    query = sa.select(TierChange).where(TierChange.member_id == g.member_id)
    return page(query, TierChange.id, change_view, args)


class MyBenefitsOut(Out):
    items = fields.List(fields.Nested(BenefitOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/me/benefits")
@bp.response(200, MyBenefitsOut())
def list_benefits():
    """What I can use in this period, and how much of it is left."""
    return {"items": benefits.usable(g.member_id, now=clock.now()), "next_cursor": None}
