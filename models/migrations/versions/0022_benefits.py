"""Benefits that are used up, and each use of them.

A member has so many uses of a benefit in a period; what was granted, used, given back and what
expired are rows for ever. New tables only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "benefits",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("uses_granted", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "uses_left >= 0 AND uses_granted >= uses_left", name=op.f("ck_benefits_uses")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_benefits_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_benefits")),
        sa.UniqueConstraint("member_id", "code", "period", name="uq_benefits_period"),
    )
    op.create_index(
        "ix_benefits_due",
        "benefits",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("uses_left > 0"),
        sqlite_where=sa.text("uses_left > 0"),
    )
    op.create_table(
        "benefit_entries",
        sa.Column("id", ID, nullable=False),
        sa.Column("benefit_id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("delta_uses", sa.Integer(), nullable=False),
        sa.Column("uses_left_after", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=96), nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("staff_id", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('granted', 'used', 'undone', 'expired', 'taken_back')",
            name=op.f("ck_benefit_entries_kind"),
        ),
        sa.CheckConstraint("delta_uses <> 0", name=op.f("ck_benefit_entries_delta")),
        sa.ForeignKeyConstraint(
            ["benefit_id"], ["benefits.id"], name=op.f("fk_benefit_entries_benefit_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_benefit_entries_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_benefit_entries_staff_id")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_benefit_entries_store_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_benefit_entries")),
        sa.UniqueConstraint("kind", "ref", name="uq_benefit_entries_cause"),
    )
    op.create_index(
        "ix_benefit_entries_benefit", "benefit_entries", ["benefit_id", "id"], unique=False
    )
    op.create_index(
        "ix_benefit_entries_member", "benefit_entries", ["member_id", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("benefit_entries")
    op.drop_table("benefits")
