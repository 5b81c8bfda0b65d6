"""Members, tiers, stores and staff.

A new shop knows its people: members with their cards, the tiers they can reach, the stores and who
works there. First migration, so nothing runs beside it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _tiers()
    _members()
    _stores()
    _shop_settings()
    _code_images()
    _staff()
    _staff_sessions()
    _failures()


def _tiers() -> None:
    op.create_table(
        "tiers",
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("growth_min", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("growth_min >= 0", name=op.f("ck_tiers_growth_min")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_tiers")),
        sa.UniqueConstraint("growth_min", name=op.f("uq_tiers_growth_min")),
    )


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("id", ID, nullable=False),
        sa.Column("card_no", sa.String(length=12), nullable=False),
        sa.Column("invite_code", sa.String(length=8), nullable=False),
        sa.Column("appid", sa.String(length=64), nullable=True),
        sa.Column("openid", sa.String(length=64), nullable=True),
        sa.Column("unionid", sa.String(length=64), nullable=True),
        sa.Column("external_id", sa.String(length=64), nullable=True),
        sa.Column("nickname", sa.String(length=64), nullable=False),
        sa.Column("gender", sa.String(length=8), nullable=False),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("phone_tail", sa.String(length=4), nullable=True),
        sa.Column("city", sa.String(length=64), nullable=False),
        sa.Column("channel_code", sa.String(length=32), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "gender IN ('unknown', 'male', 'female')", name=op.f("ck_members_gender")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
        sa.UniqueConstraint("appid", "openid", name="uq_members_openid"),
        sa.UniqueConstraint("card_no", name=op.f("uq_members_card_no")),
        sa.UniqueConstraint("external_id", name=op.f("uq_members_external_id")),
        sa.UniqueConstraint("invite_code", name=op.f("uq_members_invite_code")),
        sa.UniqueConstraint("phone", name=op.f("uq_members_phone")),
        sa.UniqueConstraint("unionid", name=op.f("uq_members_unionid")),
    )
    op.create_index("ix_members_nickname", "members", ["nickname"], unique=False)
    op.create_index("ix_members_phone_tail", "members", ["phone_tail"], unique=False)


def _stores() -> None:
    op.create_table(
        "stores",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("code", name=op.f("uq_stores_code")),
    )


def _shop_settings() -> None:
    op.create_table(
        "shop_settings",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shop_settings")),
    )


def _code_images() -> None:
    op.create_table(
        "code_images",
        sa.Column("scene", sa.String(length=32), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scene", name=op.f("pk_code_images")),
    )


def _staff() -> None:
    op.create_table(
        "staff",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("password_hash", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('clerk', 'manager', 'admin', 'analyst', 'owner')", name=op.f("ck_staff_role")
        ),
        sa.CheckConstraint(
            "role NOT IN ('clerk', 'manager') OR store_id IS NOT NULL",
            name=op.f("ck_staff_store_bound"),
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_staff_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("username", name=op.f("uq_staff_username")),
    )


def _staff_sessions() -> None:
    op.create_table(
        "staff_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_staff_sessions_staff_id")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_staff_sessions")),
    )
    op.create_index(
        op.f("ix_staff_sessions_staff_id"), "staff_sessions", ["staff_id"], unique=False
    )


def _failures() -> None:
    op.create_table(
        "failures",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failures")),
    )
    op.create_index(
        "ix_failures_subject", "failures", ["kind", "subject", "failed_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("failures")
    op.drop_table("staff_sessions")
    op.drop_table("staff")
    op.drop_table("code_images")
    op.drop_table("shop_settings")
    op.drop_table("stores")
    op.drop_table("members")
    op.drop_table("tiers")
