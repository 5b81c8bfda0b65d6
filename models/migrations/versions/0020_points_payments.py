"""Points pay bills; refunds know items, what they gave back and what they forgave.

A shop that has published no rule takes no points as cash, as before. Receipts of before have no
shares: their points are shared out by money. The running version reads none of the new columns.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("returned_points < points")


def upgrade() -> None:
    _rules()
    _payments()
    op.create_table(
        "payment_returns",
        sa.Column("payment_id", ID, autoincrement=False, nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("lot_id", ID, autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("points <> 0", name=op.f("ck_payment_returns_points")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["points_payments.id"], name=op.f("fk_payment_returns_payment_id")
        ),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_payment_returns_lot_id")),
        sa.PrimaryKeyConstraint("payment_id", "ref_id", "lot_id", name=op.f("pk_payment_returns")),
    )
    op.add_column("purchases", sa.Column("shares", JSON, server_default="[]", nullable=False))
    op.add_column("refunds", sa.Column("items", JSON, server_default="[]", nullable=False))
    for name in ("points_returned", "forgiven_points"):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        op.add_column("refunds", column)


def _rules() -> None:
    op.create_table(
        "payment_rules",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("rate_points", sa.Integer(), nullable=False),
        sa.Column("rate_fen", sa.Integer(), nullable=False),
        sa.Column("min_bill_fen", sa.Integer(), nullable=False),
        sa.Column("max_percent", sa.Integer(), nullable=False),
        sa.Column("step_points", sa.Integer(), nullable=False),
        sa.Column("most_points", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.CheckConstraint("rate_points > 0 AND rate_fen > 0", name=op.f("ck_payment_rules_rate")),
        sa.CheckConstraint("min_bill_fen >= 0", name=op.f("ck_payment_rules_min_bill")),
        sa.CheckConstraint(
            "max_percent BETWEEN 1 AND 100", name=op.f("ck_payment_rules_max_percent")
        ),
        sa.CheckConstraint("step_points > 0", name=op.f("ck_payment_rules_step")),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_payment_rules_published_by")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_payment_rules")),
    )


def _payments() -> None:
    op.create_table(
        "points_payments",
        sa.Column("id", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.Column("receipt_no", sa.String(length=64), nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("bill_fen", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("paid_fen", sa.Integer(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("returned_points", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("points > 0 AND paid_fen > 0", name=op.f("ck_points_payments_points")),
        sa.CheckConstraint("paid_fen <= bill_fen", name=op.f("ck_points_payments_bill")),
        sa.CheckConstraint(
            "returned_points BETWEEN 0 AND points", name=op.f("ck_points_payments_returned")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_points_payments_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_points_payments_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["rule_version"],
            ["payment_rules.version"],
            name=op.f("fk_points_payments_rule_version"),
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_points_payments_staff_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_payments")),
    )
    op.create_index(
        "uq_points_payments_receipt",
        "points_payments",
        ["store_id", "receipt_no"],
        unique=True,
        postgresql_where=OPEN,
        sqlite_where=OPEN,
    )
    op.create_index("ix_points_payments_member", "points_payments", ["member_id", "id"])


def downgrade() -> None:
    for table, name in (
        ("refunds", "forgiven_points"),
        ("refunds", "points_returned"),
        ("refunds", "items"),
        ("purchases", "shares"),
    ):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    op.drop_table("payment_returns")
    op.drop_table("points_payments")
    op.drop_table("payment_rules")
