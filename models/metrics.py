"""Metrics: what has been counted since the shop opened, for those who watch it."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Model


class Tally(Model):
    """How often something rare has happened, over all processes and restarts."""

    __tablename__ = "tallies"
    __table_args__ = (sa.CheckConstraint("number >= 0", name="number"),)

    name: Mapped[str] = mapped_column(sa.String(48), primary_key=True)
    number: Mapped[int] = mapped_column(BigId, default=0)
