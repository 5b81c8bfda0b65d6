"""The mall's shelf, as one shopper sees it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Out, moment
from blueprints.pages import PageArgs, page, page_of
from blueprints.words import locked
from mall import clock, limits, points, rewards, store_stock, tiers
from mall.errors import NotFound, Refused
from models import Account, LimitCounter, Reward, Store, db
from models.rewards import KINDS, LIMIT_PERIODS

bp = Blueprint("rewards", __name__, description="The mall's shelf")


class RewardOut(Out):
    """A reward as I see it: `price_points` is what it costs me, `list_price_points` a base member."""

    id = fields.Integer()
    title = fields.String()
    description = fields.String()
    kind = fields.String(validate=validate.OneOf(KINDS))
    category = fields.String()
    price_points = fields.Integer()
    list_price_points = fields.Integer()
    price_fen = fields.Integer()
    stock_state = fields.String(validate=validate.OneOf(["plenty", "low", "sold_out"]))
    units_left = fields.Integer()
    stock_by_store = fields.Boolean()
    per_member_limit = fields.Integer(allow_none=True)
    limit_period = fields.String(validate=validate.OneOf(LIMIT_PERIODS))
    tier_min = fields.String(allow_none=True)
    opens_at = moment(allow_none=True)
    closes_at = moment(allow_none=True)
    affordable = fields.Boolean()
    short_by = fields.Integer()
    locked_reason = fields.String(allow_none=True)
    image_url = fields.String()


class ShelfArgs(PageArgs):
    affordable = fields.Boolean()
    category = fields.String(validate=validate.Length(1, 32))


class Viewer:
    """What decides how a shopper sees a reward: points, tier, and what was taken already."""

    def __init__(self, member_id: int, now: datetime) -> None:
        account = db.session.get_one(Account, member_id)
        self.now = now
        self.points = account.balance_points - points.due_points(member_id, now=now)
        self.ladder = tiers.ladder()
        self.rank = tiers.rank(self.ladder, account.tier_code)
        self.reached = [tier.code for tier in self.ladder[: self.rank + 1]]
        self.early = tiers.benefits(account.tier_code).early
        self.periods = limits.periods_of(now)
        counter = LimitCounter
        taken = sa.select(counter.reward_id, counter.period, counter.quantity).where(
            counter.member_id == member_id, counter.period.in_(self.periods.values())
        )
        self.taken = {
            (row.reward_id, row.period): row.quantity for row in db.session.execute(taken)
        }

    def locked_reason(self, reward: Reward) -> str | None:
        """Why this shopper can't have a reward however many points there are; None where they can."""
        if reward.tier_min and tiers.rank(self.ladder, reward.tier_min) > self.rank:
            name = self.ladder[tiers.rank(self.ladder, reward.tier_min)].name
            return locked("tier_too_low", tier=name)
        try:
            rewards.check_open(reward, now=self.now, early=self.early)
        except Refused as refusal:
            return locked(refusal.code)
        if reward.price_fen:
            return locked("price_in_money")
        limit = reward.per_member_limit
        counted = (reward.id, self.periods[reward.limit_period])
        if limit is not None and self.taken.get(counted, 0) >= limit:
            return locked("limit_reached")
        return locked("sold_out") if reward.units_left <= 0 else None

    def view(self, reward: Reward) -> dict:
        price = rewards.price_of(reward, self.reached)
        short_by = max(0, price - self.points)
        same = ("id", "title", "description", "kind", "category", "price_fen")
        also = ("units_left", "stock_by_store", "per_member_limit", "limit_period", "tier_min")
        return {
            **{name: getattr(reward, name) for name in same + also},
            "image_url": reward.image_url,
            "price_points": price,
            "list_price_points": rewards.price_of(reward, self.reached[:1]),
            "stock_state": rewards.stock_state(reward.units_left, low_units=reward.low_stock_units),
            "opens_at": clock.rfc3339(reward.opens_at - self.early) if reward.opens_at else None,
            "closes_at": clock.rfc3339(reward.closes_at) if reward.closes_at else None,
            "affordable": short_by == 0,
            "short_by": short_by,
            "locked_reason": self.locked_reason(reward),
        }


@bp.get("/rewards")
@bp.arguments(ShelfArgs(), location="query")
@bp.response(200, page_of(RewardOut, "RewardPage")())
def list_rewards(args: dict):
    """What the mall offers, as far as it concerns me."""
    viewer = Viewer(g.member_id, clock.now())
    closed = Reward.closes_at.is_not(None) & (Reward.closes_at <= viewer.now)
    query = sa.select(Reward).where(Reward.published, ~closed)
    if "affordable" in args:
        enough = sa.or_(*(price <= viewer.points for price in _prices(viewer)))
        query = query.where(enough if args["affordable"] else ~enough)
    if "category" in args:
        query = query.where(Reward.category == args["category"])
    return page(query, Reward.id, viewer.view, args, ascending=True)


def _prices(viewer: Viewer) -> list[Any]:
    """The prices a shopper may pay, as SQL."""
    own = [Reward.tier_prices[code].as_integer() for code in viewer.reached]
    return [sa.func.coalesce(price, Reward.price_points) for price in own] + [Reward.price_points]


@bp.get("/rewards/<id:reward_id>")
@bp.response(200, RewardOut())
def show_reward(reward_id: int):
    """One reward; what was taken off the shelf is not found."""
    return Viewer(g.member_id, clock.now()).view(_on_the_shelf(reward_id))


def _on_the_shelf(reward_id: int) -> Reward:
    reward = rewards.find(reward_id)
    if not reward.published:
        raise NotFound()
    return reward


class PickupStoreOut(Out):
    """A store, and the units of a reward that can be had there."""

    id = fields.Integer()
    name = fields.String()
    address = fields.String()
    units_left = fields.Integer()
    stock_state = fields.String(validate=validate.OneOf(["plenty", "low", "sold_out"]))


@bp.get("/rewards/<id:reward_id>/stores")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(PickupStoreOut, "PickupStorePage")())
def list_pickup_stores(args: dict, reward_id: int):
    """Where a reward can be fetched. One stock serves every store, or each has its own."""
    reward = _on_the_shelf(reward_id)
    handed_over = sa.false() if reward.kind == "delivery" else sa.true()
    query = sa.select(Store).where(handed_over)
    left: dict[int, int] = {}
    if reward.stock_by_store:
        left = {each["store_id"]: each["units_left"] for each in store_stock.shelves(reward_id)}
        query = query.where(Store.id.in_(left))

    def view(store: Store) -> dict:
        units = left.get(store.id, reward.units_left)
        state = rewards.stock_state(units, low_units=reward.low_stock_units)
        named = {name: getattr(store, name) for name in ("id", "name", "address")}
        return {**named, "units_left": units, "stock_state": state}

    return page(query, Store.id, view, args, ascending=True)
