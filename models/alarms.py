"""Alarms: what the ledger's proof found wrong and nobody has cleared yet."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Id, Model, Points


class Alarm(Model):
    """A mismatch, kept until a person has cleared it; an account it concerns can't spend till then."""

    __tablename__ = "alarms"
    __table_args__ = (
        sa.CheckConstraint("(cleared_at IS NULL) = (cleared_by IS NULL)", name="cleared_by"),
        sa.Index(
            "uq_alarms_open",
            "check_name",
            "subject_id",
            unique=True,
            postgresql_where=sa.text("cleared_at IS NULL"),
            sqlite_where=sa.text("cleared_at IS NULL"),
        ),
        sa.Index("ix_alarms_member", "member_id"),
    )

    id: Mapped[Id]
    check_name: Mapped[str] = mapped_column(sa.String(48))
    subject: Mapped[str] = mapped_column(sa.String(16))
    subject_id: Mapped[int] = mapped_column(BigId)
    member_id: Mapped[int | None] = mapped_column(sa.ForeignKey("accounts.member_id"))
    expected: Mapped[str] = mapped_column(sa.String(64))
    actual: Mapped[str] = mapped_column(sa.String(64))
    found_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    cleared_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    note: Mapped[str] = mapped_column(sa.String(200), default="")


class BalanceSettlement(Model):
    """An account's balance as it was proved right when an alarm was cleared, after entry `seq`.

    Entries written while the balance was wrong say so for ever; the next one goes on from here.
    """

    __tablename__ = "balance_settlements"

    member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    seq: Mapped[int]
    balance_points: Mapped[Points]
    alarm_id: Mapped[int] = mapped_column(sa.ForeignKey("alarms.id"))
    settled_at: Mapped[datetime]
