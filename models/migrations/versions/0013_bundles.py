"""Bundles, and to whom they were given.

A bundle's code has versions; what was given names the version, and its cause, which gives once.
The running version knows neither table.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("growth_value", sa.BigInteger(), nullable=False),
        sa.Column("rewards", JSON, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.CheckConstraint("points >= 0 AND growth_value >= 0", name=op.f("ck_bundles_parts")),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_bundles_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundles")),
        sa.UniqueConstraint("code", "version", name=op.f("uq_bundles_version")),
    )
    op.create_table(
        "given_bundles",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("bundle_id", ID, nullable=False),
        sa.Column("ref_kind", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.Column("taken_back_at", MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('given', 'taken_back')", name=op.f("ck_given_bundles_state")),
        sa.ForeignKeyConstraint(
            ["bundle_id"], ["bundles.id"], name=op.f("fk_given_bundles_bundle_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_given_bundles_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_given_bundles")),
        sa.UniqueConstraint("ref_kind", "ref_id", name=op.f("uq_given_bundles_cause")),
    )
    op.create_index("ix_given_bundles_member", "given_bundles", ["member_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("given_bundles")
    op.drop_table("bundles")
