"""Actions: what somebody did at a till, and whether it was undone."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import BigId, Id, Model


class TillAction(Model):
    """One thing done at a till. It is undone once.

    `ref_id` is the row it made or turned; `entry_ref` names what it posted (an entry's ref_id).
    """

    __tablename__ = "till_actions"
    __table_args__ = (
        sa.CheckConstraint(
            "(undone_at IS NULL) = (undone_by IS NULL) AND (undone_at IS NULL OR undo_reason <> '')",
            name="undone",
        ),
        sa.Index(
            "uq_till_actions_standing",
            "kind",
            "ref_id",
            unique=True,
            postgresql_where=sa.text("undone_at IS NULL"),
            sqlite_where=sa.text("undone_at IS NULL"),
        ),
        sa.Index(
            "ix_till_actions_undone",
            "kind",
            "ref_id",
            postgresql_where=sa.text("undone_at IS NOT NULL"),
            sqlite_where=sa.text("undone_at IS NOT NULL"),
        ),
        sa.Index("ix_till_actions_staff", "staff_id", "id"),
        sa.Index("ix_till_actions_store", "store_id", "id"),
        sa.Index("ix_till_actions_member", "member_id"),
    )

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(sa.String(16))
    ref_id: Mapped[int] = mapped_column(BigId)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"))
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    entry_ref: Mapped[str] = mapped_column(sa.String(64))
    label: Mapped[str] = mapped_column(sa.String(100))
    done_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    undo_reason: Mapped[str] = mapped_column(sa.String(40), default="")
