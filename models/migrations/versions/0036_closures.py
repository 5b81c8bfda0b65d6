"""Members may agree to policies, and have themselves forgotten.

Until now nobody was asked for anything, and an account could be closed by a merge only. A policy
has versions; what a member says to one is only added to. A closure keeps figures and no names, and
marks of the identities that may not join again for a while. The running version lets closed
identities join at once, as it does not know the marks.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KINDS = "kind IN ('privacy', 'terms', 'marketing')"
GUARDED = "consents"


def upgrade() -> None:
    _closures()
    _policies()
    _consents()
    for verb in ("UPDATE", "DELETE"):
        _refuse(verb)
    if _postgresql():
        _take_privileges()
    else:
        _refuse_replacing()


def _closures() -> None:
    op.create_table(
        "closures",
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("lost", JSON, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_closures_member_id")
        ),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_closures")),
    )
    op.create_index("ix_closures_closed", "closures", ["closed_at"], unique=False)
    op.create_table(
        "closed_marks",
        sa.Column("mark", sa.String(length=22), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('openid', 'external_id')", name=op.f("ck_closed_marks_kind")),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_closed_marks")),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title_zh", sa.String(length=60), nullable=False),
        sa.Column("body_zh", sa.Text(), nullable=False),
        sa.Column("title_en", sa.String(length=60), nullable=False),
        sa.Column("body_en", sa.Text(), nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(KINDS, name=op.f("ck_policies_kind")),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_policies_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("kind", "version", name=op.f("uq_policies_version")),
    )


def _consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_consents_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_member", "consents", ["member_id", "kind", "id"], unique=False)


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _refuse(verb: str) -> None:
    act = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        if _postgresql()
        else f"BEGIN SELECT RAISE(ABORT, '{GUARDED} is append-only'); END"
    )
    name = f"{GUARDED}_no_{verb.lower()}"
    op.execute(sa.text(f"CREATE TRIGGER {name} BEFORE {verb} ON {GUARDED} {act}"))


def _take_privileges() -> None:
    op.execute(sa.text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {GUARDED} FROM CURRENT_USER, PUBLIC"))
    op.execute(sa.text(f"GRANT UPDATE (id) ON {GUARDED} TO CURRENT_USER"))
    op.execute(
        sa.text(
            f"CREATE TRIGGER {GUARDED}_no_truncate BEFORE TRUNCATE ON {GUARDED} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    )


def _refuse_replacing() -> None:
    known = f"EXISTS (SELECT 1 FROM {GUARDED} WHERE id = NEW.id)"
    refuse = f"BEGIN SELECT RAISE(ABORT, '{GUARDED} is append-only, its keys are unique'); END"
    op.execute(
        sa.text(
            f"CREATE TRIGGER {GUARDED}_no_replace BEFORE INSERT ON {GUARDED} WHEN {known} {refuse}"
        )
    )


def downgrade() -> None:
    for table in ("consents", "policies", "closed_marks", "closures"):
        op.drop_table(table)
