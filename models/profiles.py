"""What was changed in members' profiles."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class ProfileChange(Model):
    """One field of a profile before and after, by whom and why."""

    __tablename__ = "profile_changes"
    __table_args__ = (sa.Index("ix_profile_changes_member", "member_id", "id"),)

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("members.id"))
    field: Mapped[str] = mapped_column(sa.String(16))
    before: Mapped[str] = mapped_column(sa.String(64))
    after: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.String(40), default="")
    actor: Mapped[str] = mapped_column(sa.String(40))
    changed_at: Mapped[datetime]
