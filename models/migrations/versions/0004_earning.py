"""Purchases, sign-ins and referrals.

Members earn: by receipts, by signing in each day, by the friends they bring. New tables only.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _earning_rules()
    _checkin_rules()
    _checkins()
    _purchases()
    _referrals()


def _earning_rules() -> None:
    op.create_table(
        "earning_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("points_per_yuan", sa.Integer(), nullable=False),
        sa.Column("growth_per_yuan", sa.Integer(), nullable=False),
        sa.Column("min_amount_fen", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("min_amount_fen >= 0", name=op.f("ck_earning_rules_min_amount")),
        sa.CheckConstraint(
            "points_per_yuan >= 0 AND growth_per_yuan >= 0", name=op.f("ck_earning_rules_rates")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earning_rules")),
        sa.UniqueConstraint("code", "version", name="uq_earning_rules_version"),
    )


def _checkin_rules() -> None:
    op.create_table(
        "checkin_rules",
        sa.Column("streak_day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("bonus_points", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "points >= 0 AND bonus_points >= 0", name=op.f("ck_checkin_rules_points")
        ),
        sa.CheckConstraint("streak_day >= 1", name=op.f("ck_checkin_rules_streak_day")),
        sa.PrimaryKeyConstraint("streak_day", name=op.f("pk_checkin_rules")),
    )


def _checkins() -> None:
    op.create_table(
        "checkins",
        sa.Column("member_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("streak_days", sa.Integer(), nullable=False),
        sa.Column("points_awarded", sa.Integer(), nullable=False),
        sa.Column("bonus_points", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("streak_days >= 1", name=op.f("ck_checkins_streak_days")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_checkins_member_id")
        ),
        sa.PrimaryKeyConstraint("member_id", "day", name=op.f("pk_checkins")),
    )


def _purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.Column("receipt_no", sa.String(length=64), nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("items", JSON, nullable=False),
        sa.Column("points_awarded", sa.BigInteger(), nullable=False),
        sa.Column("growth_awarded", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", ID, nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen >= 1", name=op.f("ck_purchases_amount")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_purchases_member_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_purchases_staff_id")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_purchases_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
        sa.UniqueConstraint("store_id", "receipt_no", name="uq_purchases_receipt"),
    )
    op.create_index("ix_purchases_member", "purchases", ["member_id", "paid_at"], unique=False)


def _referrals() -> None:
    op.create_table(
        "referrals",
        sa.Column("invitee_id", ID, nullable=False),
        sa.Column("inviter_id", ID, nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rewarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('joined', 'qualified', 'rewarded', 'refused')",
            name=op.f("ck_referrals_state"),
        ),
        sa.CheckConstraint("inviter_id <> invitee_id", name=op.f("ck_referrals_not_oneself")),
        sa.ForeignKeyConstraint(
            ["invitee_id"], ["members.id"], name=op.f("fk_referrals_invitee_id")
        ),
        sa.ForeignKeyConstraint(
            ["inviter_id"], ["members.id"], name=op.f("fk_referrals_inviter_id")
        ),
        sa.PrimaryKeyConstraint("invitee_id", name=op.f("pk_referrals")),
    )
    op.create_index("ix_referrals_due", "referrals", ["state", "due_at"], unique=False)
    op.create_index("ix_referrals_inviter", "referrals", ["inviter_id", "invitee_id"], unique=False)


def downgrade() -> None:
    op.drop_table("referrals")
    op.drop_table("purchases")
    op.drop_table("checkins")
    op.drop_table("checkin_rules")
    op.drop_table("earning_rules")
