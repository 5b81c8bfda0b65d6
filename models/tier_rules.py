"""What leads from tier to tier and what a tier is good for: rows that a shopkeeper tunes."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points

WINDOWS = ("ever", "rolling", "year")
POLICIES = ("one_step", "recompute")
PERIODS = ("day", "month", "year", "ever")


class TierRule(Model):
    """A version of how growth is earned, counted and reviewed; a draft has no version yet.

    `activities` is `[{kind, growth, daily_cap}]`, `thresholds` is `{tier: growth_min}`. How far a
    new version has been carried to the members stands in `after_member_id`.
    """

    __tablename__ = "tier_rules"
    __table_args__ = (
        sa.CheckConstraint(
            "growth_per_yuan >= 0 AND growth_per_visit >= 0 AND min_amount_fen >= 0", name="growth"
        ),
        sa.CheckConstraint(
            "spend_weight_percent >= 0 AND visit_weight_percent >= 0"
            " AND activity_weight_percent >= 0",
            name="weights",
        ),
        sa.CheckConstraint("window_kind IN ('ever', 'rolling', 'year')", name="window"),
        sa.CheckConstraint("window_days >= 1 AND grace_days >= 0", name="days"),
        sa.CheckConstraint("review_policy IN ('one_step', 'recompute')", name="policy"),
        sa.CheckConstraint("(version IS NULL) = (published_at IS NULL)", name="published"),
    )

    id: Mapped[Id]
    version: Mapped[int | None] = mapped_column(unique=True)
    growth_per_yuan: Mapped[int]
    growth_per_visit: Mapped[int]
    min_amount_fen: Mapped[int]
    activities: Mapped[list[Any]]
    spend_weight_percent: Mapped[int]
    visit_weight_percent: Mapped[int]
    activity_weight_percent: Mapped[int]
    window_kind: Mapped[str] = mapped_column(sa.String(8))
    window_days: Mapped[int]
    grace_days: Mapped[int]
    review_policy: Mapped[str] = mapped_column(sa.String(9))
    recount: Mapped[bool]
    thresholds: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(sa.String(200))
    created_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]
    after_member_id: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    settled_at: Mapped[datetime | None]


class TierPerks(Model):
    """How a tier looks and what it is good for; a tier without such a row has nothing special."""

    __tablename__ = "tier_perks"
    __table_args__ = (
        sa.CheckConstraint("discount_percent BETWEEN 0 AND 100", name="discount"),
        sa.CheckConstraint("points_percent >= 100", name="points"),
        sa.CheckConstraint("early_access_hours >= 0", name="early_access"),
    )

    tier_code: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"), primary_key=True)
    colour: Mapped[str] = mapped_column(sa.String(7))
    skin_url: Mapped[str] = mapped_column(sa.String(300))
    discount_percent: Mapped[int]
    points_percent: Mapped[int]
    early_access_hours: Mapped[int]
    contact_name: Mapped[str] = mapped_column(sa.String(32))
    contact_phone: Mapped[str] = mapped_column(sa.String(32))
    contact_wechat: Mapped[str] = mapped_column(sa.String(64))
    gift_bundle: Mapped[str | None] = mapped_column(sa.String(32))
    gift_each_time: Mapped[bool]
    version: Mapped[int]


class TierQuota(Model):
    """A benefit of a tier that can be used so many times in a period: a monthly trial."""

    __tablename__ = "tier_quotas"
    __table_args__ = (
        sa.CheckConstraint("uses >= 1", name="uses"),
        sa.CheckConstraint("period IN ('day', 'month', 'year', 'ever')", name="period"),
    )

    tier_code: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"), primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(32))
    uses: Mapped[int]
    period: Mapped[str] = mapped_column(sa.String(5))


class TierStanding(Model):
    """The tier a member has earned, and when that is reviewed; grants by hand stand beside it.

    `change_id` is the rise that made it, should a refund undo that; none after a review.
    Who has no such row has earned what the account says.
    """

    __tablename__ = "tier_standings"
    __table_args__ = (
        sa.Index("ix_tier_standings_due", "review_at"),
        sa.Index("ix_tier_standings_grace", "grace_ends_at"),
    )

    member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    tier_code: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"))
    held_since: Mapped[datetime]
    review_at: Mapped[datetime | None]
    grace_ends_at: Mapped[datetime | None]
    change_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tier_changes.id"))
    rule_version: Mapped[int]


class TierGrant(Model):
    """A tier given by hand: no review lowers its member below it before it ends; without an end, ever."""

    __tablename__ = "tier_grants"
    __table_args__ = (
        sa.CheckConstraint("state IN ('active', 'ended', 'revoked')", name="state"),
        sa.Index("ix_tier_grants_member", "member_id", "id"),
        sa.Index(
            "ix_tier_grants_due",
            "ends_at",
            postgresql_where=sa.text("state = 'active'"),
            sqlite_where=sa.text("state = 'active'"),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    tier_code: Mapped[str] = mapped_column(sa.ForeignKey("tiers.code"))
    reason: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(8))
    ends_at: Mapped[datetime | None]
    granted_by: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    granted_at: Mapped[datetime]
    ended_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    ended_at: Mapped[datetime | None]


class GrowthCount(Model):
    """How often a member did something on a day, and the growth it gave: a visit counts once a day."""

    __tablename__ = "growth_counts"
    __table_args__ = (sa.CheckConstraint("times >= 0 AND growth_value >= 0", name="counts"),)

    member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    times: Mapped[int]
    growth_value: Mapped[Points]
