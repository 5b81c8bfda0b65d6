"""Transfers: points that one member gave another."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class Transfer(Model):
    """A gift of points, for ever; both members' entries name it."""

    __tablename__ = "transfers"
    __table_args__ = (
        sa.CheckConstraint("points > 0", name="points"),
        sa.CheckConstraint("giver_id <> taker_id", name="two_members"),
        sa.Index("ix_transfers_giver", "giver_id", "created_at"),
    )

    id: Mapped[Id]
    giver_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    taker_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    points: Mapped[Points]
    note: Mapped[str] = mapped_column(sa.String(40), default="")
    created_at: Mapped[datetime]
