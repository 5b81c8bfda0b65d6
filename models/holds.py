"""Holds: points set aside for something that is not decided yet."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class Hold(Model):
    """Points out of reach until the hold is posted, voided or expires; one of these, once."""

    __tablename__ = "holds"
    __table_args__ = (
        sa.CheckConstraint("points > 0", name="points"),
        sa.CheckConstraint("state IN ('held', 'posted', 'voided', 'expired')", name="state"),
        sa.CheckConstraint("(state = 'held') = (ended_at IS NULL)", name="ended_at"),
        sa.Index("ix_holds_member", "member_id", "state"),
        sa.Index(
            "ix_holds_due",
            "expires_at",
            postgresql_where=sa.text("state = 'held'"),
            sqlite_where=sa.text("state = 'held'"),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    points: Mapped[Points]
    reason: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(7), default="held")
    actor: Mapped[str] = mapped_column(sa.String(40))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(sa.String(40))
