"""What was done at a till can be undone.

Each purchase, refund and hand-over of a till is noted as an action, which is undone once. A receipt
that was undone keeps its number in a column of its own, so that the store may record that number
again. The running version notes no actions: what it does can't be undone, as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
UNDONE = "(undone_at IS NULL) = (undone_receipt_no IS NULL)"


def upgrade() -> None:
    _actions()
    op.add_column("purchases", sa.Column("undone_at", MOMENT, nullable=True))
    op.execute(  # in these words on both: Alembic would copy SQLite's whole table for the check
        "ALTER TABLE purchases ADD COLUMN undone_receipt_no VARCHAR(64)"
        f" CONSTRAINT ck_purchases_undone CHECK ({UNDONE})"
    )


def _actions() -> None:
    op.create_table(
        "till_actions",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref_id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("entry_ref", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("done_at", MOMENT, nullable=False),
        sa.Column("undone_at", MOMENT, nullable=True),
        sa.Column("undone_by", ID, nullable=True),
        sa.Column("undo_reason", sa.String(length=40), nullable=False),
        sa.CheckConstraint(
            "(undone_at IS NULL) = (undone_by IS NULL) AND (undone_at IS NULL OR undo_reason <> '')",
            name=op.f("ck_till_actions_undone"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_till_actions_member_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_till_actions_store_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_till_actions_staff_id")),
        sa.ForeignKeyConstraint(
            ["undone_by"], ["staff.id"], name=op.f("fk_till_actions_undone_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_till_actions")),
    )
    _index_by_ref("uq_till_actions_standing", "undone_at IS NULL", unique=True)
    _index_by_ref("ix_till_actions_undone", "undone_at IS NOT NULL", unique=False)
    op.create_index("ix_till_actions_staff", "till_actions", ["staff_id", "id"])
    op.create_index("ix_till_actions_store", "till_actions", ["store_id", "id"])
    op.create_index("ix_till_actions_member", "till_actions", ["member_id"])


def _index_by_ref(name: str, which: str, *, unique: bool) -> None:
    where = sa.text(which)
    op.create_index(
        name,
        "till_actions",
        ["kind", "ref_id"],
        unique=unique,
        postgresql_where=where,
        sqlite_where=where,
    )


def downgrade() -> None:
    """Undone receipts stay, under the numbers that stand for them."""
    op.execute("ALTER TABLE purchases DROP COLUMN undone_receipt_no")
    op.drop_column("purchases", "undone_at")
    op.drop_table("till_actions")
