"""Tasks: what they ask and give, what counted towards them, and what was claimed."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Id, Model, Points

PERIODS = ("once", "daily", "weekly", "monthly", "window", "each")
COUNTS = (
    "purchase_count",
    "purchase_amount",
    "check_in",
    "profile_completed",
    "review_approved",
    "friend_joined",
    "friend_bought",
    "friend_checked_in",
    "friend_acted",
    "redemption",
    "voucher_used",
    "visit",
    "tier_reached",
)
LIVE = "state <> 'taken_back'"


class Task(Model):
    """A task, whatever its versions say. How often it can be done never changes."""

    __tablename__ = "tasks"
    __table_args__ = (
        sa.CheckConstraint(
            "period IN ('once', 'daily', 'weekly', 'monthly', 'window', 'each')", name="period"
        ),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(sa.String(32), unique=True)
    period: Mapped[str] = mapped_column(sa.String(8))
    created_at: Mapped[datetime]


class TaskVersion(Model):
    """A version of a task; a draft until it is published, and never changed after.

    `steps` are `[{code, title, title_en, counts, target, only}]`, `audience` says for whom.
    """

    __tablename__ = "task_versions"
    __table_args__ = (
        sa.UniqueConstraint("task_id", "version", name="uq_task_versions_version"),
        sa.CheckConstraint("points >= 0 AND (points > 0 OR bundle_code <> '')", name="gift"),
        sa.CheckConstraint("starts_on IS NULL OR ends_on >= starts_on", name="days"),
    )

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id"))
    version: Mapped[int]
    title: Mapped[str] = mapped_column(sa.String(48))
    title_en: Mapped[str] = mapped_column(sa.String(96))
    steps: Mapped[list[Any]]
    ordered: Mapped[bool]
    audience: Mapped[dict[str, Any]]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    points: Mapped[Points]
    bundle_code: Mapped[str] = mapped_column(sa.String(32))
    automatic: Mapped[bool]
    active: Mapped[bool]
    sort: Mapped[int]
    created_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime | None]

    task: Mapped[Task] = relationship(lazy="raise")


class TaskMark(Model):
    """Something a member did that counts towards a step: once, and as much as still stands of it.

    Progress is the sum of the marks of a period; it is kept nowhere else.
    """

    __tablename__ = "task_marks"
    __table_args__ = (
        sa.UniqueConstraint(
            *("member_id", "ref_kind", "ref_id", "task_id", "step"), name="uq_task_marks_cause"
        ),
        sa.CheckConstraint("amount >= 0", name="amount"),
        sa.Index("ix_task_marks_progress", "member_id", "task_id", "period"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id"))
    step: Mapped[str] = mapped_column(sa.String(16))
    period: Mapped[str] = mapped_column(sa.String(24))
    ref_kind: Mapped[str] = mapped_column(sa.String(12))
    ref_id: Mapped[str] = mapped_column(sa.String(24))
    amount: Mapped[Points]
    version_id: Mapped[int] = mapped_column(sa.ForeignKey("task_versions.id"))
    done_at: Mapped[datetime]
    counted_at: Mapped[datetime]


class TaskClaim(Model):
    """What a member was given for a task that was done: once a period, unless it was taken back.

    `kept` is one whose gift was used before a refund undid the task; `note` says so.
    """

    __tablename__ = "task_claims"
    __table_args__ = (
        sa.CheckConstraint("state IN ('claimed', 'kept', 'taken_back')", name="state"),
        sa.CheckConstraint("state <> 'kept' OR note <> ''", name="kept_for_a_reason"),
        sa.Index(
            "uq_task_claims_live",
            *("member_id", "task_id", "period"),
            unique=True,
            postgresql_where=sa.text(LIVE),
            sqlite_where=sa.text(LIVE),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id"))
    period: Mapped[str] = mapped_column(sa.String(24))
    version_id: Mapped[int] = mapped_column(sa.ForeignKey("task_versions.id"))
    state: Mapped[str] = mapped_column(sa.String(10))
    automatic: Mapped[bool]
    points: Mapped[Points]
    note: Mapped[str] = mapped_column(sa.String(100))
    claimed_at: Mapped[datetime]
    changed_at: Mapped[datetime | None]
