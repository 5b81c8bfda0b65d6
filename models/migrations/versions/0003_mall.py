"""Rewards, redemptions and vouchers.

The mall has a shelf: rewards with stock and its moves, what was traded for points, the vouchers to
fetch it with. New tables only.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _rewards()
    _stock_moves()
    _limit_counters()
    _redemptions()
    _vouchers()


def _rewards() -> None:
    op.create_table(
        "rewards",
        sa.Column("id", ID, nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("image_url", sa.String(length=300), nullable=False),
        sa.Column("price_points", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("per_member_limit", sa.Integer(), nullable=True),
        sa.Column("tier_min", sa.String(length=16), nullable=True),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("hot", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("low_stock_units", sa.Integer(), nullable=False),
        sa.Column("voucher_lasts_days", sa.Integer(), nullable=False),
        sa.Column("units_stocked", sa.Integer(), nullable=False),
        sa.Column("units_left", sa.Integer(), nullable=False),
        sa.Column("units_promised", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('pickup', 'delivery', 'virtual', 'coupon')", name=op.f("ck_rewards_kind")
        ),
        sa.CheckConstraint(
            "per_member_limit IS NULL OR per_member_limit >= 1", name=op.f("ck_rewards_limit")
        ),
        sa.CheckConstraint("price_points >= 0 AND price_fen >= 0", name=op.f("ck_rewards_price")),
        sa.CheckConstraint(
            "units_left + units_promised = units_stocked", name=op.f("ck_rewards_units_add_up")
        ),
        sa.CheckConstraint("units_left >= 0", name=op.f("ck_rewards_units_left")),
        sa.CheckConstraint("units_promised >= 0", name=op.f("ck_rewards_units_promised")),
        sa.ForeignKeyConstraint(["tier_min"], ["tiers.code"], name=op.f("fk_rewards_tier_min")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rewards")),
    )
    op.create_index("ix_rewards_shelf", "rewards", ["published", "sort", "id"], unique=False)


def _stock_moves() -> None:
    op.create_table(
        "stock_moves",
        sa.Column("id", ID, nullable=False),
        sa.Column("reward_id", ID, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=8), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("unit_cost_fen", sa.Integer(), nullable=True),
        sa.Column("units_left_after", sa.Integer(), nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "reason IN ('purchase', 'count', 'damage', 'return')",
            name=op.f("ck_stock_moves_reason"),
        ),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_stock_moves_quantity")),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_stock_moves_reward_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_stock_moves_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_moves")),
    )
    op.create_index("ix_stock_moves_reward", "stock_moves", ["reward_id", "id"], unique=False)


def _limit_counters() -> None:
    op.create_table(
        "limit_counters",
        sa.Column("member_id", ID, nullable=False),
        sa.Column("reward_id", ID, nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_limit_counters_quantity")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_limit_counters_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_limit_counters_reward_id")
        ),
        sa.PrimaryKeyConstraint("member_id", "reward_id", "period", name=op.f("pk_limit_counters")),
    )


def _redemptions() -> None:
    op.create_table(
        "redemptions",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("reward_id", ID, nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("points_paid", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("address", JSON, nullable=True),
        sa.Column("carrier", sa.String(length=32), nullable=True),
        sa.Column("tracking_no", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('issued', 'shipped', 'used', 'cancelled', 'expired')",
            name=op.f("ck_redemptions_state"),
        ),
        sa.CheckConstraint("points_paid >= 0", name=op.f("ck_redemptions_points_paid")),
        sa.CheckConstraint(
            "state <> 'shipped' OR tracking_no IS NOT NULL",
            name=op.f("ck_redemptions_shipped_with_number"),
        ),
        sa.CheckConstraint("quantity BETWEEN 1 AND 99", name=op.f("ck_redemptions_quantity")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_redemptions_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_redemptions_reward_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_redemptions_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint("member_id", "request_key", name="uq_redemptions_request_key"),
    )
    op.create_index("ix_redemptions_member", "redemptions", ["member_id", "id"], unique=False)
    op.create_index("ix_redemptions_reward", "redemptions", ["reward_id", "state"], unique=False)


def _vouchers() -> None:
    op.create_table(
        "vouchers",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("redemption_id", ID, nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("key_name", sa.String(length=8), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("code_hmac", sa.String(length=64), nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_store_id", ID, nullable=True),
        sa.Column("used_staff_id", ID, nullable=True),
        sa.CheckConstraint(
            "(state = 'used') = (used_at IS NOT NULL)", name=op.f("ck_vouchers_used_at")
        ),
        sa.CheckConstraint(
            "state IN ('issued', 'used', 'void', 'expired')", name=op.f("ck_vouchers_state")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_vouchers_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemptions.id"], name=op.f("fk_vouchers_redemption_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_vouchers_store_id")),
        sa.ForeignKeyConstraint(
            ["used_staff_id"], ["staff.id"], name=op.f("fk_vouchers_used_staff_id")
        ),
        sa.ForeignKeyConstraint(
            ["used_store_id"], ["stores.id"], name=op.f("fk_vouchers_used_store_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("code_hmac", name=op.f("uq_vouchers_code_hmac")),
        sa.UniqueConstraint("redemption_id", name=op.f("uq_vouchers_redemption_id")),
    )
    op.create_index(
        "ix_vouchers_due",
        "vouchers",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'issued'"),
        sqlite_where=sa.text("state = 'issued'"),
    )
    op.create_index(
        "ix_vouchers_member", "vouchers", ["member_id", "state", "expires_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("vouchers")
    op.drop_table("redemptions")
    op.drop_table("limit_counters")
    op.drop_table("stock_moves")
    op.drop_table("rewards")
