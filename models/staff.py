"""Staff: clerks at a till, and those who run the mall."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class Staff(Model):
    """Somebody who works here. A clerk or manager belongs to one store."""

    __tablename__ = "staff"
    __table_args__ = (
        sa.CheckConstraint(
            "role IN ('clerk', 'manager', 'admin', 'analyst', 'owner')", name="role"
        ),
        sa.CheckConstraint(
            "role NOT IN ('clerk', 'manager') OR store_id IS NOT NULL", name="store_bound"
        ),
    )

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(sa.String(32), unique=True)
    name: Mapped[str] = mapped_column(sa.String(32))
    password_hash: Mapped[str] = mapped_column(sa.String(128))
    role: Mapped[str] = mapped_column(sa.String(8))
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    active: Mapped[bool] = mapped_column(default=True)
    must_change_password: Mapped[bool] = mapped_column(server_default=sa.false())
    created_at: Mapped[datetime]


class StaffSession(Model):
    """A log-in. Only a hash of the token is kept, so that a copy of the table lets nobody in."""

    __tablename__ = "staff_sessions"

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute


class SecondFactor(Model):
    """The sealed secret of somebody's authenticator app, and the last step whose code they used."""

    __tablename__ = "second_factors"

    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    begun_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")


class Failure(Model):
    """A wrong password or a wrong voucher code; a few of them shut the door for a while."""

    __tablename__ = "failures"
    __table_args__ = (sa.Index("ix_failures_subject", "kind", "subject", "failed_at"),)

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(sa.String(16))
    subject: Mapped[str] = mapped_column(sa.String(64))
    failed_at: Mapped[datetime]
