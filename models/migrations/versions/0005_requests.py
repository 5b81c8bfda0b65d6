"""Events, request keys and used codes.

What happened is kept for those who react to it, what was asked is kept so that asking twice is asking
once. New tables only.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _events()
    _event_reactions()
    _idempotency_keys()
    _member_code_uses()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("member_id", ID, nullable=True),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_waiting",
        "events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("done_at IS NULL"),
        sqlite_where=sa.text("done_at IS NULL"),
    )


def _event_reactions() -> None:
    op.create_table(
        "event_reactions",
        sa.Column("event_id", ID, nullable=False),
        sa.Column("reaction", sa.String(length=40), nullable=False),
        sa.Column("reacted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_event_reactions_event_id")
        ),
        sa.PrimaryKeyConstraint("event_id", "reaction", name=op.f("pk_event_reactions")),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(length=40), nullable=False),
        sa.Column("route", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"], unique=False)


def _member_code_uses() -> None:
    op.create_table(
        "member_code_uses",
        sa.Column("nonce", sa.String(length=24), nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_member_code_uses_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_member_code_uses_staff_id")
        ),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_member_code_uses")),
    )
    op.create_index(
        op.f("ix_member_code_uses_used_at"), "member_code_uses", ["used_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("member_code_uses")
    op.drop_table("idempotency_keys")
    op.drop_table("event_reactions")
    op.drop_table("events")
