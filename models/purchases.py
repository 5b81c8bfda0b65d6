"""Purchases: receipts of the tills."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class Purchase(Model):
    """A receipt that was shown. A store's receipt number counts once, whoever shows it again."""

    __tablename__ = "purchases"
    __table_args__ = (
        sa.UniqueConstraint("store_id", "receipt_no", name="uq_purchases_receipt"),
        sa.CheckConstraint("amount_fen >= 1", name="amount"),
        sa.Index("ix_purchases_member", "member_id", "paid_at"),
    )

    id: Mapped[Id]
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"))
    receipt_no: Mapped[str] = mapped_column(sa.String(64))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    amount_fen: Mapped[int]
    channel: Mapped[str] = mapped_column(sa.String(8))
    items: Mapped[list[Any]] = mapped_column(default=list)
    points_awarded: Mapped[Points]
    growth_awarded: Mapped[Points]
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    paid_at: Mapped[datetime]
    created_at: Mapped[datetime]
