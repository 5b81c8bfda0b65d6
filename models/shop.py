"""The shop itself: its stores, and the rules a shopkeeper tunes."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Json, Model


class Store(Model):
    """A place with a till."""

    __tablename__ = "stores"

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(sa.String(32), unique=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(120), default="")
    created_at: Mapped[datetime]


class ShopSetting(Model):
    """One number or word of the shop's own; absent means its default in mall/shop.py."""

    __tablename__ = "shop_settings"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class SettingChange(Model):
    """A version of a setting, for ever: what it was set to, by whom and when."""

    __tablename__ = "setting_changes"
    __table_args__ = (sa.UniqueConstraint("name", "version", name="uq_setting_changes_version"),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(sa.String(40))
    version: Mapped[int]
    value: Mapped[Any] = mapped_column(Json)
    changed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    changed_at: Mapped[datetime | None]


class CheckInLadder(Model):
    """A version of the sign-in ladder. Versions are added, never changed; the highest is in force."""

    __tablename__ = "checkin_ladders"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime]


class CheckInRule(Model):
    """What a day of a ladder pays: day 1 to the longest, then from day 1 again."""

    __tablename__ = "checkin_rules"
    __table_args__ = (
        sa.CheckConstraint("streak_day >= 1", name="streak_day"),
        sa.CheckConstraint("points >= 0 AND bonus_points >= 0", name="points"),
    )

    version: Mapped[int] = mapped_column(
        sa.ForeignKey("checkin_ladders.version"), primary_key=True, autoincrement=False
    )
    streak_day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    points: Mapped[int]
    bonus_points: Mapped[int] = mapped_column(default=0)
