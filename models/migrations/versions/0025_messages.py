"""Templates of what the shop writes to members, by occasion and with versions, and what was written.

A shop has no templates until somebody publishes one, and nobody is written to before.
The running version knows neither table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
UNREAD = sa.text("read_at IS NULL")


def _texts(times: int) -> list[sa.Column[str]]:
    lengths = {"title": 40 * times, "body": 300 * times}
    return [
        sa.Column(f"{part}_{language}", sa.String(length=lengths[part]), nullable=False)
        for language in ("zh", "en")
        for part in ("title", "body")
    ]


def upgrade() -> None:
    op.create_table(
        "message_templates",
        sa.Column("id", ID, nullable=False),
        sa.Column("occasion", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        *_texts(1),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "(version IS NULL) = (published_at IS NULL)",
            name=op.f("ck_message_templates_published"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["staff.id"], name=op.f("fk_message_templates_created_by")
        ),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_message_templates_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint("occasion", "version", name="uq_message_templates_version"),
    )
    op.create_table(
        "messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("occasion", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("template_id", ID, nullable=False),
        *_texts(4),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_messages_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["template_id"], ["message_templates.id"], name=op.f("fk_messages_template_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("event_id", name=op.f("uq_messages_event_id")),
    )
    op.create_index("ix_messages_member", "messages", ["member_id", "id"], unique=False)
    op.create_index(
        "ix_messages_unread",
        "messages",
        ["member_id"],
        unique=False,
        postgresql_where=UNREAD,
        sqlite_where=UNREAD,
    )


def downgrade() -> None:
    op.drop_table("messages")
    op.drop_table("message_templates")
