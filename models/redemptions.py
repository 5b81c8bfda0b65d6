"""Redemptions: points traded for a reward."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class Redemption(Model):
    """One trade. `request_key` is unique for ever, so that even a pruned key can't pay twice.

    `lease` is the gate's whose units it took; none where it was decided without a gate.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        sa.UniqueConstraint("member_id", "request_key", name="uq_redemptions_request_key"),
        sa.CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity"),
        sa.CheckConstraint("points_paid >= 0", name="points_paid"),
        sa.CheckConstraint(
            "state IN ('issued', 'shipped', 'used', 'cancelled', 'expired')", name="state"
        ),
        sa.CheckConstraint(
            "state <> 'shipped' OR tracking_no IS NOT NULL", name="shipped_with_number"
        ),
        sa.Index("ix_redemptions_member", "member_id", "id"),
        sa.Index("ix_redemptions_reward", "reward_id", "state"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"))
    request_key: Mapped[str] = mapped_column(sa.String(64))
    lease: Mapped[str | None] = mapped_column(sa.String(16))
    quantity: Mapped[int]
    points_paid: Mapped[Points]
    period: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(9), default="issued")
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    address: Mapped[dict[str, Any] | None]
    carrier: Mapped[str | None] = mapped_column(sa.String(32))
    tracking_no: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime]
    shipped_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
