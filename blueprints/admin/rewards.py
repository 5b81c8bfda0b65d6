"""Rewards and their stock."""

from typing import Any

import sqlalchemy as sa
from flask import g, request
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Out,
    Pattern,
    YesOrNo,
    an_id,
    idempotent,
    moment,
    positive,
    reply,
    signed,
    takes_header,
    text,
    when,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, gates, rewards, store_stock
from mall.errors import IfMatchMissing, Malformed
from mall.guards import stock
from mall.guards.client import RedisError
from models import Redemption, Reward, StoreMove, Tier, db
from models.rewards import KINDS, LIMIT_PERIODS

MAX_LASTS_DAYS, MAX_TIERS = 3650, 100
MOVE_REASONS = ("purchase", "count", "damage", "return")
STORE_MOVE_REASONS = (*MOVE_REASONS, "transfer")

bp = Blueprint("rewards", __name__, description="Rewards and their stock")


class RewardFields(Body):
    """What an admin may say of a reward."""

    title = text(1, 100)
    description = text(0, 1000)
    kind = fields.String(validate=validate.OneOf(KINDS))
    category = text(0, 32)
    image_url = fields.String(validate=Pattern(r"^(|/[^\s/\\]\S{0,298}|https://\S{1,290})$"))
    price_points = whole(0, MAX_NUMBER)
    price_fen = whole(0, MAX_NUMBER)
    tier_prices = fields.Dict(
        keys=text(1, 16), values=whole(0, MAX_NUMBER), validate=validate.Length(max=MAX_TIERS)
    )
    per_member_limit = positive(allow_none=True)
    limit_period = fields.String(validate=validate.OneOf(LIMIT_PERIODS))
    tier_min = text(1, 16, allow_none=True)
    opens_at = when(allow_none=True)
    closes_at = when(allow_none=True)
    published = YesOrNo()
    hot = YesOrNo()
    stock_by_store = YesOrNo()
    sort = whole(-MAX_NUMBER, MAX_NUMBER)
    low_stock_units = whole(0, MAX_NUMBER)
    voucher_lasts_days = whole(1, MAX_LASTS_DAYS)

    @validates_schema
    def tier_exists(self, data: dict, **_: Any) -> None:
        code = data.get("tier_min")
        if code is not None and db.session.get(Tier, code) is None:
            raise ValidationError("no such tier", "tier_min")
        for name in data.get("tier_prices", {}):
            if db.session.get(Tier, name) is None:
                raise ValidationError(f"no such tier: {name}", "tier_prices")

    @validates_schema
    def opens_before_it_closes(self, data: dict, **_: Any) -> None:
        opens_at, closes_at = data.get("opens_at"), data.get("closes_at")
        if opens_at and closes_at and opens_at >= closes_at:
            raise ValidationError("must be later than opens_at", "closes_at")


class NewReward(RewardFields):
    title = text(1, 100, required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    price_points = whole(0, MAX_NUMBER, required=True)


class AdminRewardOut(Out):
    id = fields.Integer()
    title = fields.String()
    description = fields.String()
    kind = fields.String(validate=validate.OneOf(KINDS))
    category = fields.String()
    image_url = fields.String()
    price_points = fields.Integer()
    price_fen = fields.Integer()
    tier_prices = fields.Dict(keys=fields.String(), values=fields.Integer())
    per_member_limit = fields.Integer(allow_none=True)
    limit_period = fields.String(validate=validate.OneOf(LIMIT_PERIODS))
    tier_min = fields.String(allow_none=True)
    opens_at = moment(allow_none=True)
    closes_at = moment(allow_none=True)
    published = fields.Boolean()
    hot = fields.Boolean()
    stock_by_store = fields.Boolean()
    sort = fields.Integer()
    low_stock_units = fields.Integer()
    voucher_lasts_days = fields.Integer()
    units_stocked = fields.Integer()
    units_left = fields.Integer()
    units_promised = fields.Integer()
    stock_state = fields.String(validate=validate.OneOf(["plenty", "low", "sold_out"]))
    version = fields.Integer()
    created_at = moment()


@bp.get("/rewards")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(AdminRewardOut, "AdminRewardPage")())
def list_rewards(args: dict):
    """Every reward, on the shelf or not, newest first."""
    return page(sa.select(Reward), Reward.id, rewards.admin_view, args)


@bp.post("/rewards")
@idempotent
@audited("reward.add")
@bp.arguments(NewReward())
@bp.response(201, AdminRewardOut())
def add_reward(body: dict, *, key):
    """Add a reward."""
    return reply(rewards.shelve(body, key=key, now=clock.now()))


@bp.get("/rewards/<id:reward_id>")
@bp.response(200, AdminRewardOut(), headers={"ETag": {"schema": {"type": "string"}}})
def show_reward(reward_id: int):
    """One reward; its ETag is what a change must name."""
    return _with_etag(rewards.find(reward_id))


def _with_etag(reward: Reward) -> tuple[dict, dict]:
    return rewards.admin_view(reward), {"ETag": f'"{reward.version}"'}


@bp.patch("/rewards/<id:reward_id>")
@takes_header("If-Match", {"type": "string", "pattern": r'^"?[0-9]{1,9}"?$'}, required=True)
@audited("reward.change", Reward)
@bp.arguments(RewardFields())
@bp.response(200, AdminRewardOut(), headers={"ETag": {"schema": {"type": "string"}}})
def change_reward(body: dict, reward_id: int):
    """Change a reward that nobody has changed since it was read."""
    return _with_etag(rewards.change(reward_id, body, version=_version()))


def _version() -> int:
    sent = request.headers.get("If-Match")
    if sent is None:
        raise IfMatchMissing()
    version = sent.strip().strip('"')
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise Malformed(if_match=sent[:40])
    return int(version)


class StockMoveBody(Body):
    quantity = signed(required=True)
    reason = fields.String(required=True, validate=validate.OneOf(MOVE_REASONS))
    note = text(0, 200, load_default="")
    unit_cost_fen = whole(0, MAX_NUMBER, load_default=None)
    store_id = an_id()


class MoveOut(Out):
    id = fields.Integer()
    store_id = fields.Integer(allow_none=True)
    quantity = fields.Integer()
    reason = fields.String()
    note = fields.String()
    unit_cost_fen = fields.Integer(allow_none=True)
    created_at = moment()


class MovedOut(Out):
    units_left = fields.Integer()
    move = fields.Nested(MoveOut)


@bp.post("/rewards/<id:reward_id>/stock-moves")
@idempotent
@audited("reward.move_stock", Reward)
@bp.arguments(StockMoveBody())
@bp.response(201, MovedOut())
def move_stock(body: dict, reward_id: int, *, key):
    """Put units into stock or take some out; at one store, where the reward is stocked by store."""
    where = {"store_id": body.pop("store_id", None), "staff_id": g.staff.id}
    return reply(rewards.move_stock(reward_id, body, **where, key=key, now=clock.now()))


class StockTransferBody(Body):
    from_store_id = an_id(required=True)
    to_store_id = an_id(required=True)
    quantity = positive(required=True)
    note = text(0, 200, load_default="")


class StockTransferredOut(Out):
    units_left_from = fields.Integer()
    units_left_to = fields.Integer()


@bp.post("/rewards/<id:reward_id>/stock-transfers")
@idempotent
@audited("reward.transfer_stock")
@bp.arguments(StockTransferBody())
@bp.response(201, StockTransferredOut())
def transfer_stock(body: dict, reward_id: int, *, key):
    """Bring units from one store to another; none that is promised to somebody."""
    who = {"staff_id": g.staff.id, "key": key, "now": clock.now()}
    return reply(rewards.transfer_stock(reward_id, body, **who))


class StoreMoveOut(Out):
    id = fields.Integer()
    store_id = fields.Integer()
    quantity = fields.Integer()
    reason = fields.String(validate=validate.OneOf(STORE_MOVE_REASONS))
    note = fields.String()
    units_left_after = fields.Integer()
    staff_id = fields.Integer()
    created_at = moment()


@bp.get("/rewards/<id:reward_id>/store-moves")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(StoreMoveOut, "StoreMovePage")())
def list_store_moves(args: dict, reward_id: int):
    """What came to the stores and left them, newest first."""
    rewards.find(reward_id)
    return page(store_stock.moves(reward_id), StoreMove.id, store_stock.move_view, args)


class GateOut(Out):
    state = fields.String(validate=validate.OneOf(["open", "closed", "absent"]))
    units_left = fields.Integer(allow_none=True)
    leases = fields.Integer()


class StoreShelfOut(Out):
    store_id = fields.Integer()
    code = fields.String()
    name = fields.String()
    units_stocked = fields.Integer()
    units_left = fields.Integer()
    units_promised = fields.Integer()


class StockOut(Out):
    stocked = fields.Integer()
    units_left = fields.Integer()
    redeemed = fields.Integer()
    cancelled = fields.Integer()
    gate = fields.Nested(GateOut)
    drift = fields.Integer(allow_none=True)
    stores = fields.List(fields.Nested(StoreShelfOut))


@bp.get("/rewards/<id:reward_id>/stock")
@bp.response(200, StockOut())
def show_stock(reward_id: int):
    """What SQL and the gate say of a reward's stock, side by side; by store where it lies there."""
    reward = rewards.find(reward_id)
    counted = sa.select(Redemption.state, sa.func.sum(Redemption.quantity))
    by_state = {
        state: int(units)
        for state, units in db.session.execute(
            counted.where(Redemption.reward_id == reward_id).group_by(Redemption.state)
        )
    }
    return {
        "stocked": reward.units_stocked,
        "units_left": reward.units_left,
        "redeemed": sum(n for state, n in by_state.items() if state != "cancelled"),
        "cancelled": by_state.get("cancelled", 0),
        "stores": store_stock.shelves(reward_id) if reward.stock_by_store else [],
        **_gate(reward),
    }


def _gate(reward: Reward) -> dict:
    try:
        gate, drift = stock.look(reward.id), gates.drift(reward)
    except RedisError:
        gate, drift = None, None
    if gate is None:
        return {"gate": {"state": "absent", "units_left": None, "leases": 0}, "drift": None}
    shown = {"state": "open", "units_left": gate.units_left, "leases": gate.leases}
    return {"gate": shown, "drift": drift}
