"""Limits by the day, week or month, and what the keeper of gates remembers.

A shop wants "two a week" as well as "two ever": each reward says for how long its limit counts, and
those that are there keep counting for ever. The default stands in the database, so that the running
version, which does not know the column, may go on adding rewards. The keeper's marks are a new
table: the last look at a gate, so that a server that went back in time shows, whoever looks next.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _limit_period()
    op.create_table(
        "gate_marks",
        sa.Column("reward_id", ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("server", sa.String(length=96), nullable=False),
        sa.Column("drift_units", sa.Integer(), nullable=False),
        sa.Column("counts_wrong", sa.Boolean(), nullable=False),
        sa.Column("counts_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_gate_marks_reward_id")
        ),
        sa.PrimaryKeyConstraint("reward_id", name=op.f("pk_gate_marks")),
    )


def _limit_period() -> None:
    """One statement on both databases: on SQLite, a table that others refer to can't be made anew."""
    op.execute(
        "ALTER TABLE rewards ADD COLUMN limit_period VARCHAR(5) DEFAULT 'ever' NOT NULL"
        " CONSTRAINT ck_rewards_limit_period"
        " CHECK (limit_period IN ('ever', 'day', 'week', 'month'))"
    )


def downgrade() -> None:
    op.drop_table("gate_marks")
    op.execute("ALTER TABLE rewards DROP COLUMN limit_period")
