"""Referrals: who brought whom. One referrer for life, one level only."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Model


class Referral(Model):
    """A friend who joined by somebody's invitation."""

    __tablename__ = "referrals"
    __table_args__ = (
        sa.CheckConstraint("inviter_id <> invitee_id", name="not_oneself"),
        sa.CheckConstraint("state IN ('joined', 'qualified', 'rewarded', 'refused')", name="state"),
        sa.Index("ix_referrals_inviter", "inviter_id", "invitee_id"),
        sa.Index("ix_referrals_due", "state", "due_at"),
    )

    invitee_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    inviter_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"))
    state: Mapped[str] = mapped_column(sa.String(9), default="joined")
    reason: Mapped[str] = mapped_column(sa.String(40), default="")
    points: Mapped[int] = mapped_column(default=0)
    joined_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    rewarded_at: Mapped[datetime | None]


class CodeImage(Model):
    """A mini-program code that WeChat drew for us; it never changes, so it is asked for once."""

    __tablename__ = "code_images"

    scene: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    png: Mapped[bytes]
    created_at: Mapped[datetime]
