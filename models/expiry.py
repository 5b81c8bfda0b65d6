"""How long points live: policies with versions, and what members were told before the end."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class ExpiryPolicy(Model):
    """A version of how long points live. Versions are added, never changed; the highest is in force.

    A lot keeps the version it was made under. `by_tier` has terms of their own for some tiers.
    """

    __tablename__ = "expiry_policies"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    terms: Mapped[dict[str, Any]]
    by_tier: Mapped[dict[str, Any]]
    remind_days: Mapped[list[Any]]
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime]


class PointsReminder(Model):
    """Points of a member that end on a day, to be told of so many days before; the outbox sends it."""

    __tablename__ = "points_reminders"
    __table_args__ = (
        sa.CheckConstraint("points > 0", name="points"),
        sa.CheckConstraint("step_days >= 0", name="step_days"),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'dropped')", name="state"),
        sa.Index("ix_points_reminders_member", "member_id", "id"),
        sa.Index("ix_points_reminders_state", "state", "id"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    points: Mapped[Points]
    lots: Mapped[int]
    expires_on: Mapped[date]
    step_days: Mapped[int]
    policy_version: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(8), default="waiting")
    created_at: Mapped[datetime]


class RemindedLot(Model):
    """A lot that a reminder is about: once for each step, unless its end was moved meanwhile."""

    __tablename__ = "reminded_lots"

    lot_id: Mapped[int] = mapped_column(
        sa.ForeignKey("lots.id"), primary_key=True, autoincrement=False
    )
    step_days: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    expires_on: Mapped[date] = mapped_column(primary_key=True)
    reminder_id: Mapped[int] = mapped_column(sa.ForeignKey("points_reminders.id"))
    points: Mapped[Points]
