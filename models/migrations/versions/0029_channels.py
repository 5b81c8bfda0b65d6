"""Where members come from: channels with cost and owner, touches before joining, and devices.

A member's channel is that of the first touch and never changes: the database itself refuses it.
What was free text stays as it is. The running version changes no channel of a member that has one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _channels()
    _touches()
    _sightings()
    _keep_first_channel()


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("cost_fen", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("bundle_code", sa.String(length=32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_by", ID, nullable=True),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "(kind = 'store') = (store_id IS NOT NULL)", name=op.f("ck_channels_store")
        ),
        sa.CheckConstraint("cost_fen >= 0", name=op.f("ck_channels_cost_fen")),
        sa.CheckConstraint("kind IN ('online', 'store', 'partner')", name=op.f("ck_channels_kind")),
        sa.ForeignKeyConstraint(["changed_by"], ["staff.id"], name=op.f("fk_channels_changed_by")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_channels_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("code", name="uq_channels_code"),
    )
    op.create_table(
        "channel_days",
        sa.Column("channel_code", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scans", sa.Integer(), nullable=False),
        sa.CheckConstraint("scans > 0", name=op.f("ck_channel_days_scans")),
        sa.PrimaryKeyConstraint("channel_code", "day", name=op.f("pk_channel_days")),
    )


def _touches() -> None:
    op.create_table(
        "touches",
        sa.Column("visitor", sa.String(length=22), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('invite', 'channel')", name=op.f("ck_touches_kind")),
        sa.PrimaryKeyConstraint("visitor", "kind", "code", name=op.f("pk_touches")),
    )
    op.create_index("ix_touches_last", "touches", ["last_at"])


def _sightings() -> None:
    op.create_table(
        "sightings",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("mark", sa.String(length=22), nullable=False),
        sa.Column("at_joining", sa.Boolean(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('device', 'address')", name=op.f("ck_sightings_kind")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_sightings_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sightings")),
        sa.UniqueConstraint("member_id", "kind", "mark", name="uq_sightings_member"),
    )
    op.create_index("ix_sightings_mark", "sightings", ["mark", "kind", "first_at"])
    op.create_index("ix_sightings_seen", "sightings", ["seen_at"])


def _keep_first_channel() -> None:
    on = "BEFORE UPDATE OF channel_code ON members FOR EACH ROW WHEN (OLD.channel_code IS NOT NULL"
    if op.get_bind().dialect.name == "postgresql":
        rest = "AND NEW.channel_code IS DISTINCT FROM OLD.channel_code)"
        act = "EXECUTE FUNCTION refuse_change()"
    else:
        rest = "AND NEW.channel_code IS NOT OLD.channel_code)"
        act = "BEGIN SELECT RAISE(ABORT, 'the first channel of a member stays'); END"
    op.execute(sa.text(f"CREATE TRIGGER members_channel_stays {on} {rest} {act}"))


def downgrade() -> None:
    on = " ON members" if op.get_bind().dialect.name == "postgresql" else ""
    op.execute(sa.text(f"DROP TRIGGER members_channel_stays{on}"))
    for table in ("sightings", "touches", "channel_days", "channels"):
        op.drop_table(table)
