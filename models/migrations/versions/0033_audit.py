"""Who changed what in the console, as a chain that is only added to.

It begins empty: what was done before has no entry. The running version adds none, so what it does
while both run is not in the chain either; it breaks nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
CHAIN = "audit_entries"


def upgrade() -> None:
    op.create_table(
        CHAIN,
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=48), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("key_name", sa.String(length=8), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("tag", name=op.f("uq_audit_entries_tag")),
    )
    op.create_index(
        "ix_audit_entries_subject", CHAIN, ["subject_kind", "subject_id", "seq"], unique=False
    )
    op.create_index("ix_audit_entries_actor", CHAIN, ["actor", "seq"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    for verb in ("UPDATE", "DELETE"):
        _refuse(verb)
    if _postgresql():
        _take_privileges()
    else:
        _refuse_replacing()


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _refuse(verb: str) -> None:
    act = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        if _postgresql()
        else f"BEGIN SELECT RAISE(ABORT, '{CHAIN} is append-only'); END"
    )
    op.execute(sa.text(f"CREATE TRIGGER {CHAIN}_no_{verb.lower()} BEFORE {verb} ON {CHAIN} {act}"))


def _take_privileges() -> None:
    op.execute(sa.text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {CHAIN} FROM CURRENT_USER, PUBLIC"))
    op.execute(
        sa.text(
            f"CREATE TRIGGER {CHAIN}_no_truncate BEFORE TRUNCATE ON {CHAIN} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    )


def _refuse_replacing() -> None:
    known = f"EXISTS (SELECT 1 FROM {CHAIN} WHERE seq = NEW.seq OR tag = NEW.tag)"
    refuse = f"BEGIN SELECT RAISE(ABORT, '{CHAIN} is append-only, its keys are unique'); END"
    op.execute(
        sa.text(f"CREATE TRIGGER {CHAIN}_no_replace BEFORE INSERT ON {CHAIN} WHEN {known} {refuse}")
    )


def downgrade() -> None:
    op.drop_table("audit_head")
    op.drop_table(CHAIN)
