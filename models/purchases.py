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
        sa.CheckConstraint("refunded_fen BETWEEN 0 AND amount_fen", name="refunded"),
        sa.Index("ix_purchases_member", "member_id", "paid_at"),
    )

    id: Mapped[Id]
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"))
    receipt_no: Mapped[str] = mapped_column(sa.String(64))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    amount_fen: Mapped[int]
    channel: Mapped[str] = mapped_column(sa.String(8))
    items: Mapped[list[Any]] = mapped_column(default=list)
    lines: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    points_awarded: Mapped[Points]
    growth_awarded: Mapped[Points]
    refunded_fen: Mapped[int] = mapped_column(default=0, server_default="0")
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    paid_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Refund(Model):
    """Money given back for a receipt, for ever, with the points and growth that went back with it."""

    __tablename__ = "refunds"
    __table_args__ = (
        sa.CheckConstraint("amount_fen >= 1", name="amount"),
        sa.CheckConstraint("points_taken >= 0 AND debt_points >= 0", name="points"),
        sa.CheckConstraint("growth_taken >= 0", name="growth"),
        sa.Index("ix_refunds_purchase", "purchase_id", "id"),
    )

    id: Mapped[Id]
    purchase_id: Mapped[int] = mapped_column(sa.ForeignKey("purchases.id"))
    amount_fen: Mapped[int]
    points_taken: Mapped[Points]
    debt_points: Mapped[Points]
    growth_taken: Mapped[Points]
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
