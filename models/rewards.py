"""Rewards: what points buy, how many are left, and every move of the stock."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points

KINDS = ("pickup", "delivery", "virtual", "coupon")
LIMIT_PERIODS = ("ever", "day", "week", "month")


class Reward(Model):
    """Something points buy. `units_left` is the truth about its stock; `epoch` numbers its gates.

    Where it is stocked by store, its units are the sum of the stores' (models/store_stocks.py).
    """

    __tablename__ = "rewards"
    __table_args__ = (
        sa.CheckConstraint("kind IN ('pickup', 'delivery', 'virtual', 'coupon')", name="kind"),
        sa.CheckConstraint("price_points >= 0 AND price_fen >= 0", name="price"),
        sa.CheckConstraint("units_left >= 0", name="units_left"),
        sa.CheckConstraint("units_promised >= 0", name="units_promised"),
        sa.CheckConstraint("units_left + units_promised = units_stocked", name="units_add_up"),
        sa.CheckConstraint("per_member_limit IS NULL OR per_member_limit >= 1", name="limit"),
        sa.CheckConstraint("limit_period IN ('ever', 'day', 'week', 'month')", name="limit_period"),
        sa.Index("ix_rewards_shelf", "published", "sort", "id"),
    )

    id: Mapped[Id]
    title: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(1000), default="")
    kind: Mapped[str] = mapped_column(sa.String(8))
    category: Mapped[str] = mapped_column(sa.String(32), default="")
    image_url: Mapped[str] = mapped_column(sa.String(300), default="")
    price_points: Mapped[Points]
    price_fen: Mapped[int] = mapped_column(default=0)
    tier_prices: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    per_member_limit: Mapped[int | None]
    limit_period: Mapped[str] = mapped_column(sa.String(5), default="ever", server_default="ever")
    tier_min: Mapped[str | None] = mapped_column(sa.ForeignKey("tiers.code"))
    opens_at: Mapped[datetime | None]
    closes_at: Mapped[datetime | None]
    published: Mapped[bool] = mapped_column(default=True)
    hot: Mapped[bool] = mapped_column(default=False)
    sort: Mapped[int] = mapped_column(default=0)
    low_stock_units: Mapped[int] = mapped_column(default=5)
    stock_by_store: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    voucher_lasts_days: Mapped[int] = mapped_column(default=30)
    units_stocked: Mapped[int] = mapped_column(default=0)
    units_left: Mapped[int] = mapped_column(default=0)
    units_promised: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]


class StockMove(Model):
    """Units that came or went by hand, for ever; redemptions are counted apart."""

    __tablename__ = "stock_moves"
    __table_args__ = (
        sa.CheckConstraint("quantity <> 0", name="quantity"),
        sa.CheckConstraint("reason IN ('purchase', 'count', 'damage', 'return')", name="reason"),
        sa.Index("ix_stock_moves_reward", "reward_id", "id"),
    )

    id: Mapped[Id]
    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"))
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(sa.String(8))
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    unit_cost_fen: Mapped[int | None]
    units_left_after: Mapped[int]
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]


class LimitCounter(Model):
    """How many units of a reward a member has taken in a period; deleting history changes nothing."""

    __tablename__ = "limit_counters"
    __table_args__ = (sa.CheckConstraint("quantity >= 0", name="quantity"),)

    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"), primary_key=True)
    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"), primary_key=True)
    period: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    quantity: Mapped[int]
