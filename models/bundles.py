"""Bundles: points, growth and rewards that are given together; and to whom they were given."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Id, Model, Points


class Bundle(Model):
    """A version of what is given together.

    `rewards` is `[{reward_id, quantity}]`, `benefits` is `[{code, name, uses, period}]`.
    """

    __tablename__ = "bundles"
    __table_args__ = (
        sa.UniqueConstraint("code", "version", name="uq_bundles_version"),
        sa.CheckConstraint("points >= 0 AND growth_value >= 0", name="parts"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(sa.String(32))
    version: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(32))
    points: Mapped[Points]
    growth_value: Mapped[Points]
    rewards: Mapped[list[Any]]
    benefits: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime]


class GivenBundle(Model):
    """A bundle that a member was given. Its cause, (ref_kind, ref_id), gives it once."""

    __tablename__ = "given_bundles"
    __table_args__ = (
        sa.UniqueConstraint("ref_kind", "ref_id", name="uq_given_bundles_cause"),
        sa.CheckConstraint("state IN ('given', 'taken_back')", name="state"),
        sa.Index("ix_given_bundles_member", "member_id", "id"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    bundle_id: Mapped[int] = mapped_column(sa.ForeignKey("bundles.id"))
    ref_kind: Mapped[str] = mapped_column(sa.String(24))
    ref_id: Mapped[str] = mapped_column(sa.String(64))
    actor: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(10), default="given")
    given_at: Mapped[datetime]
    taken_back_at: Mapped[datetime | None]

    bundle: Mapped[Bundle] = relationship(lazy="raise")
