"""Gates: what was last seen of them, kept where it survives a Redis that forgets."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Model


class GateMark(Model):
    """The keeper's last look at a reward's gate. `drift_units` and `counts_wrong` are its suspicions."""

    __tablename__ = "gate_marks"

    reward_id: Mapped[int] = mapped_column(
        sa.ForeignKey("rewards.id"), primary_key=True, autoincrement=False
    )
    epoch: Mapped[int]
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    server: Mapped[str] = mapped_column(sa.String(96))
    drift_units: Mapped[int] = mapped_column(default=0)
    counts_wrong: Mapped[bool] = mapped_column(default=False)
    counts_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]
