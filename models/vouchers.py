"""Vouchers: the right to fetch something, shown as a code."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class Voucher(Model):
    """A right that a clerk can verify once. The code is derived from `nonce`; only its HMAC is kept."""

    __tablename__ = "vouchers"
    __table_args__ = (
        sa.CheckConstraint("state IN ('issued', 'used', 'void', 'expired')", name="state"),
        sa.CheckConstraint("(state = 'used') = (used_at IS NOT NULL)", name="used_at"),
        sa.Index(
            "ix_vouchers_due",
            "expires_at",
            postgresql_where=sa.text("state = 'issued'"),
            sqlite_where=sa.text("state = 'issued'"),
        ),
        sa.Index("ix_vouchers_member", "member_id", "state", "expires_at"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    redemption_id: Mapped[int] = mapped_column(sa.ForeignKey("redemptions.id"), unique=True)
    title: Mapped[str] = mapped_column(sa.String(100))
    quantity: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(8), default="issued")
    key_name: Mapped[str] = mapped_column(sa.String(8))
    nonce: Mapped[str] = mapped_column(sa.String(32))
    code_hmac: Mapped[str] = mapped_column(sa.String(64), unique=True)
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    used_staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
