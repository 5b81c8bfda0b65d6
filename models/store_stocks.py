"""The units of a reward at each store, and how they came there."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class StoreStock(Model):
    """A store's part of a reward that is stocked by store: the parts add up to the reward's own."""

    __tablename__ = "store_stocks"
    __table_args__ = (
        sa.CheckConstraint("units_left >= 0", name="units_left"),
        sa.CheckConstraint("units_promised >= 0", name="units_promised"),
        sa.CheckConstraint("units_left + units_promised = units_stocked", name="units_add_up"),
    )

    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"), primary_key=True)
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"), primary_key=True)
    units_stocked: Mapped[int] = mapped_column(default=0)
    units_left: Mapped[int] = mapped_column(default=0)
    units_promised: Mapped[int] = mapped_column(default=0)


class StoreMove(Model):
    """Units that came to a store or left it by hand, for ever; a transfer is two of them."""

    __tablename__ = "store_moves"
    __table_args__ = (
        sa.CheckConstraint("quantity <> 0", name="quantity"),
        sa.CheckConstraint(
            "reason IN ('purchase', 'count', 'damage', 'return', 'transfer')", name="reason"
        ),
        sa.Index("ix_store_moves_reward", "reward_id", "id"),
    )

    id: Mapped[Id]
    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"))
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"))
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(sa.String(8))
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    units_left_after: Mapped[int]
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
