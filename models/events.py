"""What happened, and what was asked: the outbox, the keys of requests, the codes used up."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Id, Model


class Event(Model):
    """A fact, written in the transaction that made it true. The worker tells those who react."""

    __tablename__ = "events"
    __table_args__ = (
        sa.Index(
            "ix_events_waiting",
            "id",
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(sa.String(24))
    member_id: Mapped[int | None] = mapped_column(BigId)
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class EventReaction(Model):
    """A reaction that has happened; its key makes it happen once."""

    __tablename__ = "event_reactions"

    event_id: Mapped[int] = mapped_column(sa.ForeignKey("events.id"), primary_key=True)
    reaction: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    reacted_at: Mapped[datetime]


class IdempotencyKey(Model):
    """A request's key and the answer it got. After a week the body goes, the key stays."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (sa.Index("ix_idempotency_keys_created", "created_at"),)

    caller: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    route: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(8), default="running")
    status: Mapped[int | None]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime]


class MemberCodeUse(Model):
    """A member code that a clerk has scanned; it is good for one scan."""

    __tablename__ = "member_code_uses"

    nonce: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"))
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    used_at: Mapped[datetime] = mapped_column(index=True)
