"""Closures: members who had themselves forgotten, and what keeps them from coming back unseen."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Model
from models.touches import LONGEST_MARK


class Closure(Model):
    """An account that was closed for good: by whom, and what it still had."""

    __tablename__ = "closures"
    __table_args__ = (sa.Index("ix_closures_closed", "closed_at"),)

    member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    actor: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[str] = mapped_column(sa.String(40))
    lost: Mapped[dict[str, Any]]
    closed_at: Mapped[datetime]


class ClosedMark(Model):
    """What the key ring makes of an identity that was forgotten, and until when it is nobody.

    Without a moment it is for ever: a shop's own number in its files.
    """

    __tablename__ = "closed_marks"
    __table_args__ = (sa.CheckConstraint("kind IN ('openid', 'external_id')", name="kind"),)

    mark: Mapped[str] = mapped_column(sa.String(LONGEST_MARK), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    until: Mapped[datetime | None]
