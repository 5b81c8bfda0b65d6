"""Who changed what in the console: a chain of entries that is only added to."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Json, Model


class AuditEntry(Model):
    """One act. `tag` is of everything in it and of the tag before, under a key of the ring."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.Index("ix_audit_entries_subject", "subject_kind", "subject_id", "seq"),
        sa.Index("ix_audit_entries_actor", "actor", "seq"),
    )

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(40))
    address: Mapped[str] = mapped_column(sa.String(64))
    action: Mapped[str] = mapped_column(sa.String(48))
    subject_kind: Mapped[str] = mapped_column(sa.String(32))
    subject_id: Mapped[str] = mapped_column(sa.String(64))
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)
    key_name: Mapped[str] = mapped_column(sa.String(8))
    tag: Mapped[str] = mapped_column(sa.String(64), unique=True)


class AuditWaiting(Model):
    """An act that is still to be added to the chain, written in the transaction that did it.

    Who is many at once does not wait for the chain's end; a job adds what waits, in order.
    """

    __tablename__ = "audit_waiting"

    id: Mapped[Id]
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(40))
    address: Mapped[str] = mapped_column(sa.String(64))
    action: Mapped[str] = mapped_column(sa.String(48))
    subject_kind: Mapped[str] = mapped_column(sa.String(32))
    subject_id: Mapped[str] = mapped_column(sa.String(64))
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)


class AuditHead(Model):
    """The end of the chain, one row: whoever adds to it holds this row until COMMIT."""

    __tablename__ = "audit_head"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int]
    tag: Mapped[str] = mapped_column(sa.String(64))
