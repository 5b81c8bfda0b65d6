"""Members: who carries a card."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class Member(Model):
    """A person who joined; `card_no` is what the card says, `openid` who WeChat says it is."""

    __tablename__ = "members"
    __table_args__ = (
        sa.UniqueConstraint("appid", "openid", name="uq_members_openid"),
        sa.CheckConstraint("gender IN ('unknown', 'male', 'female')", name="gender"),
        sa.Index("ix_members_phone_hash", "phone_hash", unique=True),
        sa.Index("ix_members_phone_tail", "phone_tail"),
        sa.Index("ix_members_nickname", "nickname"),
    )

    id: Mapped[Id]
    card_no: Mapped[str] = mapped_column(sa.String(12), unique=True)
    invite_code: Mapped[str] = mapped_column(sa.String(8), unique=True)
    appid: Mapped[str | None] = mapped_column(sa.String(64))
    openid: Mapped[str | None] = mapped_column(sa.String(64))
    unionid: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    external_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    nickname: Mapped[str] = mapped_column(sa.String(64), default="")
    gender: Mapped[str] = mapped_column(sa.String(8), default="unknown")
    birthday: Mapped[date | None]
    phone: Mapped[str | None] = mapped_column(sa.String(20), unique=True)  # of older versions
    phone_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    phone_hash: Mapped[str | None] = mapped_column(sa.String(64))
    phone_match: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    phone_tail: Mapped[str | None] = mapped_column(sa.String(4))
    city: Mapped[str] = mapped_column(sa.String(64), default="")
    channel_code: Mapped[str | None] = mapped_column(sa.String(32))
    joined_at: Mapped[datetime]
