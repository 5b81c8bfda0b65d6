"""Tiers and the growth value that leads up to them; growth is never spent."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Id, Model, Points

SOURCES = ("growth", "refund", "review", "grant", "rule", "merge")


class Tier(Model):
    """A step of the membership; the one at growth 0 is where everybody starts."""

    __tablename__ = "tiers"
    __table_args__ = (sa.CheckConstraint("growth_min >= 0", name="growth_min"),)

    code: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(32))
    growth_min: Mapped[Points] = mapped_column(unique=True)


class GrowthEntry(Model):
    """One change of a growth value, for ever.

    `earned_at` is the moment it counts at, where that is not the moment it was written: a receipt
    shown late, and a refund, which is taken from the window that the receipt counted in.
    """

    __tablename__ = "growth_entries"
    __table_args__ = (
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_growth_entries_cause"),
        sa.CheckConstraint("delta_value <> 0", name="delta"),
        sa.Index("ix_growth_entries_member", "member_id", "id"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(24))
    delta_value: Mapped[Points]
    value_after: Mapped[Points]
    ref_kind: Mapped[str] = mapped_column(sa.String(24))
    ref_id: Mapped[str] = mapped_column(sa.String(64))
    rule_version: Mapped[int] = mapped_column(default=0, server_default="0")
    earned_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class TierChange(Model):
    """A member who moved from one tier to another: what for, from which source, by whom.

    `undoes_id` names the rise that a refund took away again; what a rise replaced (the rise before
    it, and when its tier was to be reviewed) is what such a refund restores.
    """

    __tablename__ = "tier_changes"
    __table_args__ = (sa.Index("ix_tier_changes_member", "member_id", "id"),)

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    tier_before: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"))
    tier_after: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"))
    reason: Mapped[str] = mapped_column(sa.String(40))
    source: Mapped[str] = mapped_column(sa.String(8), default="growth", server_default="growth")
    actor: Mapped[str] = mapped_column(sa.String(40), default="system", server_default="system")
    rule_version: Mapped[int] = mapped_column(default=0, server_default="0")
    undoes_id: Mapped[int | None] = mapped_column(BigId)
    replaced_id: Mapped[int | None] = mapped_column(BigId)
    replaced_code: Mapped[str | None] = mapped_column(sa.String(16))
    replaced_review_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
