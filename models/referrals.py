"""Referrals: who brought whom. One referrer for life, one level only."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class ReferralRule(Model):
    """A version of what invitations pay; a draft until it is published, and never changed after.

    `terms` are as mall/referrals/terms.py reads them. Each referral names the version it has.
    """

    __tablename__ = "referral_rules"
    __table_args__ = (sa.UniqueConstraint("version", name="uq_referral_rules_version"),)

    id: Mapped[Id]
    version: Mapped[int]
    terms: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(sa.String(200))
    written_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime | None]


class Referral(Model):
    """A friend who joined by somebody's invitation.

    A moment that is due is that of a promise: none while the referral is held, `held_at` to
    `reviewed_at`. `counted_on` is the day it counted for its inviter's caps.
    """

    __tablename__ = "referrals"
    __table_args__ = (
        sa.CheckConstraint("inviter_id <> invitee_id", name="not_oneself"),
        sa.CheckConstraint("state IN ('joined', 'qualified', 'rewarded', 'refused')", name="state"),
        sa.Index("ix_referrals_inviter", "inviter_id", "invitee_id"),
        sa.Index("ix_referrals_due", "state", "due_at"),
        sa.Index("ix_referrals_join_due", "join_due_at"),
        sa.Index("ix_referrals_held", "held_at"),
    )

    invitee_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    inviter_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"))
    state: Mapped[str] = mapped_column(sa.String(9), default="joined")
    reason: Mapped[str] = mapped_column(sa.String(40), default="")
    points: Mapped[int] = mapped_column(default=0)
    joined_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    rewarded_at: Mapped[datetime | None]
    rule_version: Mapped[int] = mapped_column(default=1, server_default="1")
    source: Mapped[str] = mapped_column(sa.String(8), default="code", server_default="code")
    purchase_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    join_due_at: Mapped[datetime | None]
    join_paid_at: Mapped[datetime | None]
    counted_on: Mapped[date | None]
    capped: Mapped[str] = mapped_column(sa.String(8), default="", server_default=sa.text("''"))
    holds: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    held_at: Mapped[datetime | None]
    reviewed_by: Mapped[int | None] = mapped_column(sa.BigInteger)
    reviewed_at: Mapped[datetime | None]
    review_note: Mapped[str] = mapped_column(
        sa.String(200), default="", server_default=sa.text("''")
    )


class ReferralStep(Model):
    """A step of the ladder that an inviter was given; each once for life."""

    __tablename__ = "referral_steps"

    inviter_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    friends: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rule_version: Mapped[int]
    points: Mapped[Points]
    bundle_code: Mapped[str] = mapped_column(sa.String(32))
    paid_at: Mapped[datetime]


class CodeImage(Model):
    """A mini-program code that WeChat drew for us; it never changes, so it is asked for once."""

    __tablename__ = "code_images"

    scene: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    png: Mapped[bytes]
    created_at: Mapped[datetime]
