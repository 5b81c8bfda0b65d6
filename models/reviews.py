"""Reviews: what buyers say of what they bought."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model

STATES = ("held", "approved", "rejected")
LONGEST = 500  # characters
STANDS = "state <> 'rejected'"


class Review(Model):
    """A review of one line of a receipt, held until somebody of the shop has read it.

    One stands for each line; a rejected one makes room for another.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        sa.CheckConstraint("state IN ('held', 'approved', 'rejected')", name="state"),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        sa.CheckConstraint("(state = 'held') = (decided_at IS NULL)", name="decided"),
        sa.CheckConstraint("state <> 'rejected' OR note <> ''", name="rejected_for_a_reason"),
        sa.Index(
            "uq_reviews_line",
            *("purchase_id", "line_no"),
            unique=True,
            postgresql_where=sa.text(STANDS),
            sqlite_where=sa.text(STANDS),
        ),
        sa.Index("ix_reviews_member", "member_id", "id"),
        sa.Index("ix_reviews_state", "state", "id"),
    )

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    purchase_id: Mapped[int] = mapped_column(sa.ForeignKey("purchases.id"))
    line_no: Mapped[int]
    rating: Mapped[int]
    text: Mapped[str] = mapped_column(sa.String(LONGEST))
    state: Mapped[str] = mapped_column(sa.String(8), default="held")
    note: Mapped[str] = mapped_column(sa.String(100), default="")
    created_at: Mapped[datetime]
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    decided_at: Mapped[datetime | None]
