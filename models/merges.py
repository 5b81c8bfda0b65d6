"""Merges: two memberships that were one person's."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Model


class Merge(Model):
    """A member who became part of another. `into_member_id` is what was asked, for ever.

    `holder_id` is who has it all now: where that one is merged further, it follows.
    """

    __tablename__ = "merges"
    __table_args__ = (
        sa.CheckConstraint(
            "from_member_id <> into_member_id AND from_member_id <> holder_id", name="two_members"
        ),
        sa.Index("ix_merges_holder", "holder_id"),
    )

    from_member_id: Mapped[int] = mapped_column(
        sa.ForeignKey("accounts.member_id"), primary_key=True, autoincrement=False
    )
    into_member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    reason: Mapped[str] = mapped_column(sa.String(100))
    actor: Mapped[str] = mapped_column(sa.String(40))
    moved: Mapped[dict[str, Any]]
    merged_at: Mapped[datetime]
