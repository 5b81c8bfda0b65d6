"""What earns points: rules with versions, and what members have had of those with caps."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points

KINDS = ("base", "multiply", "add")
TRIGGERS = ("purchase", "item", "category", "event")


class EarningRule(Model):
    """A version of a rule; a draft until it is published, and never changed after.

    Entries name the version that made them. `terms` say how much, for whom, when and up to how much.
    `growth_per_yuan` is what versions gave before growth had rules of its own; nobody reads it.
    """

    __tablename__ = "earning_rules"
    __table_args__ = (
        sa.UniqueConstraint("code", "version", name="uq_earning_rules_version"),
        sa.CheckConstraint("kind IN ('base', 'multiply', 'add')", name="kind"),
        sa.CheckConstraint(
            "trigger_kind IN ('purchase', 'item', 'category', 'event')", name="trigger_kind"
        ),
        sa.CheckConstraint("growth_per_yuan >= 0", name="growth"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(sa.String(32))
    version: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(48))
    kind: Mapped[str] = mapped_column(sa.String(8), default="base")
    trigger_kind: Mapped[str] = mapped_column(sa.String(8), default="purchase")
    priority: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    terms: Mapped[dict[str, Any]]
    growth_per_yuan: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime | None]


class EarningCounter(Model):
    """Points a member has had by a rule with caps, in one of its periods."""

    __tablename__ = "earning_counters"
    __table_args__ = (sa.CheckConstraint("points >= 0", name="points"),)

    member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    rule_code: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    period: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    points: Mapped[Points]
