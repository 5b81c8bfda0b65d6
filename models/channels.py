"""Channels: where members come from, what each cost, and what its code gives at once."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model


class Channel(Model):
    """A way by which people come to the shop, with a code of its own.

    One of a store may give whoever joins by its code a bundle.
    """

    __tablename__ = "channels"
    __table_args__ = (
        sa.UniqueConstraint("code", name="uq_channels_code"),
        sa.CheckConstraint("kind IN ('online', 'store', 'partner')", name="kind"),
        sa.CheckConstraint("cost_fen >= 0", name="cost_fen"),
        sa.CheckConstraint("(kind = 'store') = (store_id IS NOT NULL)", name="store"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(sa.String(32))
    name: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[str] = mapped_column(sa.String(8))
    cost_fen: Mapped[int] = mapped_column(sa.BigInteger)
    owner: Mapped[str] = mapped_column(sa.String(32))
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    bundle_code: Mapped[str] = mapped_column(sa.String(32))
    created_at: Mapped[datetime]
    changed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    changed_at: Mapped[datetime]


class ChannelDay(Model):
    """How many new visitors scanned a channel's code on a day of the shop."""

    __tablename__ = "channel_days"
    __table_args__ = (sa.CheckConstraint("scans > 0", name="scans"),)

    channel_code: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    scans: Mapped[int]
