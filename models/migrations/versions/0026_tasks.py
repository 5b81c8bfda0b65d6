"""Tasks with versions, what counts towards them, and what was claimed.

The running version knows none of these tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
LIVE = sa.text("state <> 'taken_back'")


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "period IN ('once', 'daily', 'weekly', 'monthly', 'window', 'each')",
            name=op.f("ck_tasks_period"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("code", name=op.f("uq_tasks_code")),
    )
    _versions()
    _marks()
    _claims()


def _versions() -> None:
    op.create_table(
        "task_versions",
        sa.Column("id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=48), nullable=False),
        sa.Column("title_en", sa.String(length=96), nullable=False),
        sa.Column("steps", JSON, nullable=False),
        sa.Column("ordered", sa.Boolean(), nullable=False),
        sa.Column("audience", JSON, nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("bundle_code", sa.String(length=32), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "points >= 0 AND (points > 0 OR bundle_code <> '')", name=op.f("ck_task_versions_gift")
        ),
        sa.CheckConstraint(
            "starts_on IS NULL OR ends_on >= starts_on", name=op.f("ck_task_versions_days")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_task_versions_task_id")),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_task_versions_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_versions")),
        sa.UniqueConstraint("task_id", "version", name="uq_task_versions_version"),
    )


def _marks() -> None:
    op.create_table(
        "task_marks",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=24), nullable=False),
        sa.Column("ref_kind", sa.String(length=12), nullable=False),
        sa.Column("ref_id", sa.String(length=24), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("done_at", MOMENT, nullable=False),
        sa.Column("counted_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_task_marks_amount")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_task_marks_member_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_task_marks_task_id")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["task_versions.id"], name=op.f("fk_task_marks_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_marks")),
        sa.UniqueConstraint(
            *("member_id", "ref_kind", "ref_id", "task_id", "step"), name="uq_task_marks_cause"
        ),
    )
    op.create_index("ix_task_marks_progress", "task_marks", ["member_id", "task_id", "period"])


def _claims() -> None:
    op.create_table(
        "task_claims",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("period", sa.String(length=24), nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=100), nullable=False),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('claimed', 'kept', 'taken_back')", name=op.f("ck_task_claims_state")
        ),
        sa.CheckConstraint(
            "state <> 'kept' OR note <> ''", name=op.f("ck_task_claims_kept_for_a_reason")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_task_claims_member_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_task_claims_task_id")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["task_versions.id"], name=op.f("fk_task_claims_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_claims")),
    )
    op.create_index(
        "uq_task_claims_live",
        "task_claims",
        ["member_id", "task_id", "period"],
        unique=True,
        postgresql_where=LIVE,
        sqlite_where=LIVE,
    )


def downgrade() -> None:
    for table in ("task_claims", "task_marks", "task_versions", "tasks"):
        op.drop_table(table)
