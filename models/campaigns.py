"""Points for many members at once: what is given to whom, and how far it has come."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Id, Model, Points


class PointsCampaign(Model):
    """A grant of the same points to each member of a segment, once.

    A preview takes down who they are; a run gives to those and nobody else.
    """

    __tablename__ = "points_campaigns"
    __table_args__ = (
        sa.CheckConstraint("points > 0 AND budget_points > 0", name="points"),
        sa.CheckConstraint(
            "state IN ('draft', 'previewed', 'pending', 'running', 'done', 'rejected')",
            name="state",
        ),
        sa.CheckConstraint("reviewed_by IS NULL OR reviewed_by <> run_by", name="second_person"),
        sa.CheckConstraint(
            "state NOT IN ('pending', 'running', 'done')"
            " OR (run_by IS NOT NULL AND cost_points <= budget_points)",
            name="within_budget",
        ),
        sa.Index("ix_points_campaigns_state", "state", "id"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(sa.String(40))
    filters: Mapped[dict[str, Any]]
    points: Mapped[Points]
    budget_points: Mapped[Points]
    state: Mapped[str] = mapped_column(sa.String(9), default="draft")
    members: Mapped[int] = mapped_column(default=0)
    cost_points: Mapped[Points] = mapped_column(default=0)
    members_given: Mapped[int] = mapped_column(default=0)
    members_skipped: Mapped[int] = mapped_column(default=0)
    drafted_by: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    drafted_at: Mapped[datetime]
    previewed_at: Mapped[datetime | None]
    run_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    reviewed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    reviewed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class CampaignMember(Model):
    """A member whom a campaign's preview found, and whether the points were given."""

    __tablename__ = "campaign_members"
    __table_args__ = (
        sa.CheckConstraint("state IN ('waiting', 'given', 'skipped')", name="state"),
        sa.Index(
            "ix_campaign_members_waiting",
            "campaign_id",
            "member_id",
            postgresql_where=sa.text("state = 'waiting'"),
            sqlite_where=sa.text("state = 'waiting'"),
        ),
    )

    campaign_id: Mapped[int] = mapped_column(
        sa.ForeignKey("points_campaigns.id"), primary_key=True, autoincrement=False
    )
    member_id: Mapped[int] = mapped_column(
        BigId, sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    state: Mapped[str] = mapped_column(sa.String(7), default="waiting")
