"""Points as cash: the rules, what was paid with points, and what went back into which lot."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Id, Model, Points


class PaymentRule(Model):
    """A version of how points pay a bill. Versions are added, never changed; the highest is in force."""

    __tablename__ = "payment_rules"
    __table_args__ = (
        sa.CheckConstraint("rate_points > 0 AND rate_fen > 0", name="rate"),
        sa.CheckConstraint("min_bill_fen >= 0", name="min_bill"),
        sa.CheckConstraint("max_percent BETWEEN 1 AND 100", name="max_percent"),
        sa.CheckConstraint("step_points > 0", name="step"),
    )

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    active: Mapped[bool]
    rate_points: Mapped[int]
    rate_fen: Mapped[int]
    min_bill_fen: Mapped[int]
    max_percent: Mapped[int]
    step_points: Mapped[int]
    most_points: Mapped[int | None]
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    published_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    published_at: Mapped[datetime]


class PointsPayment(Model):
    """Points that paid part of a bill. A receipt is paid with points once, unless all went back."""

    __tablename__ = "points_payments"
    __table_args__ = (
        sa.CheckConstraint("points > 0 AND paid_fen > 0", name="points"),
        sa.CheckConstraint("paid_fen <= bill_fen", name="bill"),
        sa.CheckConstraint("returned_points BETWEEN 0 AND points", name="returned"),
        sa.Index(
            "uq_points_payments_receipt",
            "store_id",
            "receipt_no",
            unique=True,
            postgresql_where=sa.text("returned_points < points"),
            sqlite_where=sa.text("returned_points < points"),
        ),
        sa.Index("ix_points_payments_member", "member_id", "id"),
    )

    id: Mapped[Id]
    store_id: Mapped[int] = mapped_column(sa.ForeignKey("stores.id"))
    receipt_no: Mapped[str] = mapped_column(sa.String(64))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.member_id"))
    bill_fen: Mapped[int]
    points: Mapped[Points]
    paid_fen: Mapped[int]
    rule_version: Mapped[int] = mapped_column(sa.ForeignKey("payment_rules.version"))
    returned_points: Mapped[Points] = mapped_column(default=0)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    created_at: Mapped[datetime]


class PaymentReturn(Model):
    """Points of a payment that went back into a lot that had paid it; `ref_id` is what for.

    Below zero they left it again, with the undoing of what they had gone back for.
    """

    __tablename__ = "payment_returns"
    __table_args__ = (sa.CheckConstraint("points <> 0", name="points"),)

    payment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("points_payments.id"), primary_key=True, autoincrement=False
    )
    ref_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    lot_id: Mapped[int] = mapped_column(
        sa.ForeignKey("lots.id"), primary_key=True, autoincrement=False
    )
    points: Mapped[Points]
    created_at: Mapped[datetime]
