"""Debts: points that were taken back after they had been spent."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class DebtEntry(Model):
    """One change of what a member owes, for ever. A balance is never below zero: this is."""

    __tablename__ = "debt_entries"
    __table_args__ = (
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_debt_entries_cause"),
        sa.CheckConstraint("delta_points <> 0", name="delta"),
        sa.CheckConstraint("debt_after_points >= 0", name="debt_after"),
        sa.Index("ix_debt_entries_member", "member_id", "id"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(24))
    delta_points: Mapped[Points]
    debt_after_points: Mapped[Points]
    ref_kind: Mapped[str] = mapped_column(sa.String(24))
    ref_id: Mapped[str] = mapped_column(sa.String(64))
    actor: Mapped[str] = mapped_column(sa.String(40))
    created_at: Mapped[datetime]
