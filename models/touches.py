"""Touches: who opened which link or code before joining; and the devices that members were seen on.

Nobody's device, address or WeChat identity stands here, only what the key ring makes of it.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model

LONGEST_MARK = 22


class Touch(Model):
    """A link or code that somebody opened who may not be a member yet."""

    __tablename__ = "touches"
    __table_args__ = (
        sa.CheckConstraint("kind IN ('invite', 'channel')", name="kind"),
        sa.Index("ix_touches_last", "last_at"),
    )

    visitor: Mapped[str] = mapped_column(sa.String(LONGEST_MARK), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]


class Sighting(Model):
    """A device or address that a member joined or logged in from."""

    __tablename__ = "sightings"
    __table_args__ = (
        sa.UniqueConstraint("member_id", "kind", "mark", name="uq_sightings_member"),
        sa.CheckConstraint("kind IN ('device', 'address')", name="kind"),
        sa.Index("ix_sightings_mark", "mark", "kind", "first_at"),
        sa.Index("ix_sightings_seen", "seen_at"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(8))
    mark: Mapped[str] = mapped_column(sa.String(LONGEST_MARK))
    at_joining: Mapped[bool]
    first_at: Mapped[datetime]
    seen_at: Mapped[datetime]
