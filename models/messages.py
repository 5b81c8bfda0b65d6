"""Messages: what the shop writes on an occasion, and what a member was written."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model

TITLE_LENGTH, BODY_LENGTH = 40, 300
RENDERED = 4  # a name may be longer than the variable it stands for


class MessageTemplate(Model):
    """A version of what is written on an occasion; a draft has no version. The highest is in force.

    Where `is_on` is false in the one in force, nothing is written.
    """

    __tablename__ = "message_templates"
    __table_args__ = (
        sa.UniqueConstraint("occasion", "version", name="uq_message_templates_version"),
        sa.CheckConstraint("(version IS NULL) = (published_at IS NULL)", name="published"),
    )

    id: Mapped[Id]
    occasion: Mapped[str] = mapped_column(sa.String(20))
    version: Mapped[int | None]
    title_zh: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH))
    body_zh: Mapped[str] = mapped_column(sa.String(BODY_LENGTH))
    title_en: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH))
    body_en: Mapped[str] = mapped_column(sa.String(BODY_LENGTH))
    is_on: Mapped[bool]
    created_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime | None]


class Message(Model):
    """What a member was written, in both languages; a fact is the cause of one message at most."""

    __tablename__ = "messages"
    __table_args__ = (
        sa.Index("ix_messages_member", "member_id", "id"),
        sa.Index(
            "ix_messages_unread",
            "member_id",
            postgresql_where=sa.text("read_at IS NULL"),
            sqlite_where=sa.text("read_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    occasion: Mapped[str] = mapped_column(sa.String(20))
    event_id: Mapped[int] = mapped_column(sa.BigInteger, unique=True)
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("message_templates.id"))
    title_zh: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH * RENDERED))
    body_zh: Mapped[str] = mapped_column(sa.String(BODY_LENGTH * RENDERED))
    title_en: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH * RENDERED))
    body_en: Mapped[str] = mapped_column(sa.String(BODY_LENGTH * RENDERED))
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
