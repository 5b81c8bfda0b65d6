"""Jobs: when each was last done, and how it went."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Model


class JobRun(Model):
    """The last run of a job that did something or failed, or of the last minute's that did nothing."""

    __tablename__ = "job_runs"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    done: Mapped[int]
    done_in_all: Mapped[int] = mapped_column(BigId)
    error: Mapped[str] = mapped_column(sa.String(200))
    failures: Mapped[int]
