"""Check-ins: one a member and business day."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Model


class CheckIn(Model):
    """A day somebody signed in. The key is the rule: one a day."""

    __tablename__ = "checkins"
    __table_args__ = (sa.CheckConstraint("streak_days >= 1", name="streak_days"),)

    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    streak_days: Mapped[int]
    points_awarded: Mapped[int]
    bonus_points: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
