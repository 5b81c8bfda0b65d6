"""Benefits that are used up: how many uses a member has in a period, and each of them."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class Benefit(Model):
    """Uses of a benefit that a member has in a period; the row every use is taken from.

    `period` is the day, month or year it is good for, or `ever`.
    """

    __tablename__ = "benefits"
    __table_args__ = (
        sa.UniqueConstraint("member_id", "code", "period", name="uq_benefits_period"),
        sa.CheckConstraint("uses_left >= 0 AND uses_granted >= uses_left", name="uses"),
        sa.Index(
            "ix_benefits_due",
            "expires_at",
            postgresql_where=sa.text("uses_left > 0"),
            sqlite_where=sa.text("uses_left > 0"),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    code: Mapped[str] = mapped_column(sa.String(32))
    name: Mapped[str] = mapped_column(sa.String(32))
    period: Mapped[str] = mapped_column(sa.String(10))
    uses_granted: Mapped[int]
    uses_left: Mapped[int]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class BenefitEntry(Model):
    """Uses that were granted, used, given back or that expired, for ever; (kind, ref) counts once."""

    __tablename__ = "benefit_entries"
    __table_args__ = (
        sa.UniqueConstraint("kind", "ref", name="uq_benefit_entries_cause"),
        sa.CheckConstraint("delta_uses <> 0", name="delta"),
        sa.CheckConstraint(
            "kind IN ('granted', 'used', 'undone', 'expired', 'taken_back')", name="kind"
        ),
        sa.Index("ix_benefit_entries_benefit", "benefit_id", "id"),
        sa.Index("ix_benefit_entries_member", "member_id", "id"),
    )

    id: Mapped[Id]
    benefit_id: Mapped[int] = mapped_column(sa.ForeignKey("benefits.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(10))
    delta_uses: Mapped[int]
    uses_left_after: Mapped[int]
    ref: Mapped[str] = mapped_column(sa.String(96))
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
