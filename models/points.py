"""Points: the account, the entries that made it, the lots they wait in."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points

MAX_BALANCE_POINTS = 10**12


class Account(Model):
    """A member's points. The row every change of them locks first; never written as a whole."""

    __tablename__ = "accounts"
    __table_args__ = (
        sa.CheckConstraint(f"balance_points BETWEEN 0 AND {MAX_BALANCE_POINTS}", name="balance"),
        sa.CheckConstraint("pending_points >= 0", name="pending"),
        sa.CheckConstraint("held_points >= 0", name="held"),
        sa.CheckConstraint("debt_points >= 0", name="debt"),
        sa.CheckConstraint("entries >= 0", name="entries"),
        sa.CheckConstraint("growth_value >= 0", name="growth"),
        sa.CheckConstraint("state IN ('open', 'frozen', 'closed')", name="state"),
    )

    member_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    balance_points: Mapped[Points] = mapped_column(default=0)
    pending_points: Mapped[Points] = mapped_column(default=0)
    held_points: Mapped[Points] = mapped_column(default=0, server_default="0")
    debt_points: Mapped[Points] = mapped_column(default=0, server_default="0")
    entries: Mapped[int] = mapped_column(default=0)
    growth_value: Mapped[Points] = mapped_column(default=0)
    tier_code: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"))
    state: Mapped[str] = mapped_column(sa.String(8), default="open")


class LedgerEntry(Model):
    """One change of a balance, for ever. `seq` counts an account's entries from 1 without a gap.

    (kind, ref_kind, ref_id) says what caused it, and lets nothing be paid twice for one cause.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        sa.UniqueConstraint("member_id", "seq", name="uq_ledger_entries_seq"),
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_ledger_entries_cause"),
        sa.CheckConstraint("delta_points <> 0", name="delta"),
        sa.CheckConstraint("balance_after_points >= 0", name="balance_after"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(24))
    delta_points: Mapped[Points]
    balance_after_points: Mapped[Points]
    reason: Mapped[str] = mapped_column(sa.String(64), default="")
    rule: Mapped[str] = mapped_column(sa.String(64), default="")
    rule_version: Mapped[int] = mapped_column(default=0, server_default="0")
    expires_at: Mapped[datetime | None]
    ref_kind: Mapped[str] = mapped_column(sa.String(24))
    ref_id: Mapped[str] = mapped_column(sa.String(64))
    actor: Mapped[str] = mapped_column(sa.String(40))
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    created_at: Mapped[datetime]


class Lot(Model):
    """Points earned together, which therefore expire together.

    `policy_version` said until when; where `idle_days` is set, acts in `kept_by` move that.
    """

    __tablename__ = "lots"
    __table_args__ = (
        sa.CheckConstraint("points_left BETWEEN 0 AND points_earned", name="points_left"),
        sa.Index(
            "ix_lots_due",
            "expires_at",
            postgresql_where=sa.text("points_left > 0"),
            sqlite_where=sa.text("points_left > 0"),
        ),
        sa.Index(
            "ix_lots_first_expiring",
            "member_id",
            "expires_at",
            "id",
            postgresql_where=sa.text("points_left > 0"),
            sqlite_where=sa.text("points_left > 0"),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), unique=True)
    points_earned: Mapped[Points]
    points_left: Mapped[Points]
    earned_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    policy_version: Mapped[int] = mapped_column(default=0, server_default="0")
    idle_days: Mapped[int | None]
    kept_by: Mapped[int] = mapped_column(default=0, server_default="0")


class LotUse(Model):
    """How many points an entry took from a lot, so that a cancellation restores that very lot."""

    __tablename__ = "lot_uses"
    __table_args__ = (sa.CheckConstraint("points > 0", name="points"),)

    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), primary_key=True)
    lot_id: Mapped[int] = mapped_column(sa.ForeignKey("lots.id"), primary_key=True)
    points: Mapped[Points]


class PendingGrant(Model):
    """Points promised for a later moment; they join the balance once, when it has come."""

    __tablename__ = "pending_grants"
    __table_args__ = (
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_pending_grants_cause"),
        sa.CheckConstraint("points > 0", name="points"),
        sa.CheckConstraint("state IN ('pending', 'granted', 'voided')", name="state"),
        sa.Index("ix_pending_grants_due", "state", "due_at"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    points: Mapped[Points]
    kind: Mapped[str] = mapped_column(sa.String(24))
    rule: Mapped[str] = mapped_column(sa.String(64), default="")
    rule_version: Mapped[int] = mapped_column(default=0, server_default="0")
    ref_kind: Mapped[str] = mapped_column(sa.String(24))
    ref_id: Mapped[str] = mapped_column(sa.String(64))
    actor: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(8), default="pending")
    due_at: Mapped[datetime | None]  # none: it waits for somebody's word
    created_at: Mapped[datetime]


class PointsAdjustment(Model):
    """A change of points by hand; above the shop's limit it waits for a second admin."""

    __tablename__ = "points_adjustments"
    __table_args__ = (
        sa.CheckConstraint("points <> 0", name="points"),
        sa.CheckConstraint("state IN ('pending', 'posted', 'rejected')", name="state"),
        sa.CheckConstraint("reviewed_by IS NULL OR reviewed_by <> asked_by", name="second_person"),
        sa.Index("ix_points_adjustments_state", "state"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    points: Mapped[Points]
    reason: Mapped[str] = mapped_column(sa.String(40))
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    state: Mapped[str] = mapped_column(sa.String(8))
    asked_by: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    asked_at: Mapped[datetime]
    reviewed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    reviewed_at: Mapped[datetime | None]
