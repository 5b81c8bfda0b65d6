"""Check-ins: one a member and business day, the milestones they reached, and days the shop was down."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class CheckIn(Model):
    """A day somebody signed in, made up later, or was kept from signing in by the shop itself.

    The key is the rule: one a day. `streak_days` counts the run from its first day.
    """

    __tablename__ = "checkins"
    __table_args__ = (
        sa.CheckConstraint("streak_days >= 1", name="streak_days"),
        sa.CheckConstraint("kind IN ('normal', 'make_up', 'outage')", name="kind"),
        sa.Index("ix_checkins_longest", "member_id", "streak_days"),
        sa.Index("ix_checkins_day", "day", "member_id"),
    )

    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(8), server_default="normal")
    streak_days: Mapped[int]
    points_awarded: Mapped[int]
    bonus_points: Mapped[int] = mapped_column(default=0)
    ladder_version: Mapped[int | None]
    created_at: Mapped[datetime]


class MilestonePaid(Model):
    """A bonus that was paid: the level is the day of the run, `paid_day` the day that reached it.

    A level is paid once a run, however the run grew together.
    """

    __tablename__ = "milestones_paid"
    __table_args__ = (
        sa.CheckConstraint("level >= 1", name="level"),
        sa.CheckConstraint("points >= 1", name="points"),
    )

    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"), primary_key=True)
    ladder_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    paid_day: Mapped[date] = mapped_column(primary_key=True)
    points: Mapped[int]


class Outage(Model):
    """A day on which the shop was down, and how far its repair of streaks has come."""

    __tablename__ = "outages"
    __table_args__ = (
        sa.CheckConstraint("state IN ('repairing', 'repaired')", name="state"),
        sa.CheckConstraint("members_marked >= 0", name="members_marked"),
        sa.Index("ix_outages_state", "state", "day"),
    )

    id: Mapped[Id]
    day: Mapped[date] = mapped_column(unique=True)
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    state: Mapped[str] = mapped_column(sa.String(9), default="repairing")
    after_member_id: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    members_marked: Mapped[int] = mapped_column(default=0)
    declared_by: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    declared_at: Mapped[datetime]
    repaired_at: Mapped[datetime | None]
