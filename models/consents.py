"""Policies that a shop asks members to agree to, and what each said to which version."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model

TITLE_LENGTH, BODY_LENGTH = 60, 20_000


class Policy(Model):
    """A version of a policy; the highest of its kind is in force."""

    __tablename__ = "policies"
    __table_args__ = (
        sa.UniqueConstraint("kind", "version", name="uq_policies_version"),
        sa.CheckConstraint("kind IN ('privacy', 'terms', 'marketing')", name="kind"),
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(sa.String(12))
    version: Mapped[int]
    title_zh: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH))
    body_zh: Mapped[str] = mapped_column(sa.Text)
    title_en: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH))
    body_en: Mapped[str] = mapped_column(sa.Text)
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime]


class Consent(Model):
    """What a member said to a version of a policy; the last word counts, none is ever changed."""

    __tablename__ = "consents"
    __table_args__ = (sa.Index("ix_consents_member", "member_id", "kind", "id"),)

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(12))
    version: Mapped[int]
    granted: Mapped[bool]
    said_at: Mapped[datetime]
