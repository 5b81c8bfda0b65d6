"""The points ledger.

Points are kept like money: an account a member, entries that made its balance, lots that expire
together. New tables only; the running version does not read them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _accounts()
    _ledger_entries()
    _lots()
    _lot_uses()
    _pending_grants()
    _points_adjustments()
    _growth_entries()
    _tier_changes()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("member_id", ID, nullable=False),
        sa.Column("balance_points", sa.BigInteger(), nullable=False),
        sa.Column("pending_points", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("growth_value", sa.BigInteger(), nullable=False),
        sa.Column("tier_code", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.CheckConstraint("state IN ('open', 'frozen', 'closed')", name=op.f("ck_accounts_state")),
        sa.CheckConstraint(
            "balance_points BETWEEN 0 AND 1000000000000", name=op.f("ck_accounts_balance")
        ),
        sa.CheckConstraint("entries >= 0", name=op.f("ck_accounts_entries")),
        sa.CheckConstraint("growth_value >= 0", name=op.f("ck_accounts_growth")),
        sa.CheckConstraint("pending_points >= 0", name=op.f("ck_accounts_pending")),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_accounts_member_id")),
        sa.ForeignKeyConstraint(["tier_code"], ["tiers.code"], name=op.f("fk_accounts_tier_code")),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_accounts")),
    )


def _ledger_entries() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("delta_points", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ref_kind", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "balance_after_points >= 0", name=op.f("ck_ledger_entries_balance_after")
        ),
        sa.CheckConstraint("delta_points <> 0", name=op.f("ck_ledger_entries_delta")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_ledger_entries_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_ledger_entries_store_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_ledger_entries_cause"),
        sa.UniqueConstraint("member_id", "seq", name="uq_ledger_entries_seq"),
    )


def _lots() -> None:
    op.create_table(
        "lots",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("entry_id", ID, nullable=False),
        sa.Column("points_earned", sa.BigInteger(), nullable=False),
        sa.Column("points_left", sa.BigInteger(), nullable=False),
        sa.Column("earned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "points_left BETWEEN 0 AND points_earned", name=op.f("ck_lots_points_left")
        ),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entries.id"], name=op.f("fk_lots_entry_id")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_lots_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lots")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_lots_entry_id")),
    )
    op.create_index(
        "ix_lots_due",
        "lots",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("points_left > 0"),
        sqlite_where=sa.text("points_left > 0"),
    )
    op.create_index(
        "ix_lots_first_expiring",
        "lots",
        ["member_id", "expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("points_left > 0"),
        sqlite_where=sa.text("points_left > 0"),
    )


def _lot_uses() -> None:
    op.create_table(
        "lot_uses",
        sa.Column("entry_id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_lot_uses_points")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_lot_uses_entry_id")
        ),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_lot_uses_lot_id")),
        sa.PrimaryKeyConstraint("entry_id", "lot_id", name=op.f("pk_lot_uses")),
    )


def _pending_grants() -> None:
    op.create_table(
        "pending_grants",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("ref_kind", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'granted', 'voided')", name=op.f("ck_pending_grants_state")
        ),
        sa.CheckConstraint("points > 0", name=op.f("ck_pending_grants_points")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_pending_grants_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_grants")),
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_pending_grants_cause"),
    )
    op.create_index("ix_pending_grants_due", "pending_grants", ["state", "due_at"], unique=False)


def _points_adjustments() -> None:
    op.create_table(
        "points_adjustments",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("asked_by", ID, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", ID, nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'posted', 'rejected')", name=op.f("ck_points_adjustments_state")
        ),
        sa.CheckConstraint("points <> 0", name=op.f("ck_points_adjustments_points")),
        sa.CheckConstraint(
            "reviewed_by IS NULL OR reviewed_by <> asked_by",
            name=op.f("ck_points_adjustments_second_person"),
        ),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["staff.id"], name=op.f("fk_points_adjustments_asked_by")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_points_adjustments_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["reviewed_by"], ["staff.id"], name=op.f("fk_points_adjustments_reviewed_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_adjustments")),
    )
    op.create_index("ix_points_adjustments_state", "points_adjustments", ["state"], unique=False)


def _growth_entries() -> None:
    op.create_table(
        "growth_entries",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("delta_value", sa.BigInteger(), nullable=False),
        sa.Column("value_after", sa.BigInteger(), nullable=False),
        sa.Column("ref_kind", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("delta_value <> 0", name=op.f("ck_growth_entries_delta")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_growth_entries_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_growth_entries")),
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_growth_entries_cause"),
    )
    op.create_index("ix_growth_entries_member", "growth_entries", ["member_id", "id"], unique=False)


def _tier_changes() -> None:
    op.create_table(
        "tier_changes",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("tier_before", sa.String(length=16), nullable=False),
        sa.Column("tier_after", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_tier_changes_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["tier_after"], ["tiers.code"], name=op.f("fk_tier_changes_tier_after")
        ),
        sa.ForeignKeyConstraint(
            ["tier_before"], ["tiers.code"], name=op.f("fk_tier_changes_tier_before")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_changes")),
    )
    op.create_index("ix_tier_changes_member", "tier_changes", ["member_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("tier_changes")
    op.drop_table("growth_entries")
    op.drop_table("points_adjustments")
    op.drop_table("pending_grants")
    op.drop_table("lot_uses")
    op.drop_table("lots")
    op.drop_table("ledger_entries")
    op.drop_table("accounts")
