"""Two members become one; profiles have a history; points are given to many at once.

A merged member's account is closed, and a row of `merges` says who holds now what was theirs: that is
where the card, the WeChat and the invitations lead. Each change of a profile that is worth asking
about is a row. A points campaign takes down whom it will give to before it gives. The running
version knows none of these tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _profile_changes()
    _merges()
    _campaigns()


def _profile_changes() -> None:
    op.create_table(
        "profile_changes",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("field", sa.String(length=16), nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("after", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_profile_changes_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile_changes")),
    )
    op.create_index(
        "ix_profile_changes_member", "profile_changes", ["member_id", "id"], unique=False
    )


def _merges() -> None:
    op.create_table(
        "merges",
        sa.Column("from_member_id", ID, autoincrement=False, nullable=False),
        sa.Column("into_member_id", ID, nullable=False),
        sa.Column("holder_id", ID, nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("moved", JSON, nullable=False),
        sa.Column("merged_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "from_member_id <> into_member_id AND from_member_id <> holder_id",
            name=op.f("ck_merges_two_members"),
        ),
        sa.ForeignKeyConstraint(
            ["from_member_id"], ["accounts.member_id"], name=op.f("fk_merges_from_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["accounts.member_id"], name=op.f("fk_merges_holder_id")
        ),
        sa.ForeignKeyConstraint(
            ["into_member_id"], ["accounts.member_id"], name=op.f("fk_merges_into_member_id")
        ),
        sa.PrimaryKeyConstraint("from_member_id", name=op.f("pk_merges")),
    )
    op.create_index("ix_merges_holder", "merges", ["holder_id"], unique=False)


def _campaigns() -> None:
    op.create_table(
        "points_campaigns",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("filters", JSON, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("budget_points", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("cost_points", sa.BigInteger(), nullable=False),
        sa.Column("members_given", sa.Integer(), nullable=False),
        sa.Column("members_skipped", sa.Integer(), nullable=False),
        sa.Column("drafted_by", ID, nullable=False),
        sa.Column("drafted_at", MOMENT, nullable=False),
        sa.Column("previewed_at", MOMENT, nullable=True),
        sa.Column("run_by", ID, nullable=True),
        sa.Column("reviewed_by", ID, nullable=True),
        sa.Column("reviewed_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('draft', 'previewed', 'pending', 'running', 'done', 'rejected')",
            name=op.f("ck_points_campaigns_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('pending', 'running', 'done') OR (run_by IS NOT NULL AND cost_points <= budget_points)",
            name=op.f("ck_points_campaigns_within_budget"),
        ),
        sa.CheckConstraint(
            "points > 0 AND budget_points > 0", name=op.f("ck_points_campaigns_points")
        ),
        sa.CheckConstraint(
            "reviewed_by IS NULL OR reviewed_by <> run_by",
            name=op.f("ck_points_campaigns_second_person"),
        ),
        sa.ForeignKeyConstraint(
            ["drafted_by"], ["staff.id"], name=op.f("fk_points_campaigns_drafted_by")
        ),
        sa.ForeignKeyConstraint(
            ["reviewed_by"], ["staff.id"], name=op.f("fk_points_campaigns_reviewed_by")
        ),
        sa.ForeignKeyConstraint(["run_by"], ["staff.id"], name=op.f("fk_points_campaigns_run_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_campaigns")),
    )
    op.create_index("ix_points_campaigns_state", "points_campaigns", ["state", "id"], unique=False)
    op.create_table(
        "campaign_members",
        sa.Column("campaign_id", ID, autoincrement=False, nullable=False),
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'given', 'skipped')", name=op.f("ck_campaign_members_state")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["points_campaigns.id"], name=op.f("fk_campaign_members_campaign_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_campaign_members_member_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "member_id", name=op.f("pk_campaign_members")),
    )
    op.create_index(
        "ix_campaign_members_waiting",
        "campaign_members",
        ["campaign_id", "member_id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
        sqlite_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    """Merged members stay closed; what they had stays with those who hold it."""
    for table in ("campaign_members", "points_campaigns", "merges", "profile_changes"):
        op.drop_table(table)
