"""Debts, holds, refunds, transfers and alarms.

Points that are taken back after they were spent are owed from now on, points may be held and given to
others, an entry keeps its rule's version, and a mismatch of the proof stays on the books until a
person has cleared it. New columns have a default, so the running version may go on writing. On
PostgreSQL the role that runs the shop also loses the privilege to change what is only added to.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
COLUMNS = (
    ("accounts", "held_points", "BIGINT", "0", "ck_accounts_held", "held_points >= 0"),
    ("accounts", "debt_points", "BIGINT", "0", "ck_accounts_debt", "debt_points >= 0"),
    ("ledger_entries", "rule_version", "INTEGER", "0", None, None),
    ("pending_grants", "rule_version", "INTEGER", "0", None, None),
    ("shop_settings", "version", "INTEGER", "1", None, None),
    (
        "purchases",
        "refunded_fen",
        "INTEGER",
        "0",
        "ck_purchases_refunded",
        "refunded_fen BETWEEN 0 AND amount_fen",
    ),
)
GUARDED = ("debt_entries", "refunds", "transfers")
APPEND_ONLY = ("ledger_entries", "lot_uses", "growth_entries", "stock_moves", *GUARDED)


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    for table, column, kind, default, name, check in COLUMNS:
        rule = f" CONSTRAINT {name} CHECK ({check})" if name else ""
        op.execute(
            sa.text(
                f"ALTER TABLE {table} ADD COLUMN {column} {kind} DEFAULT '{default}' NOT NULL{rule}"
            )
        )
    _debt_entries()
    _holds()
    _refunds()
    _transfers()
    _alarms()
    for table in GUARDED:
        for verb in ("UPDATE", "DELETE"):
            _add_trigger(table, verb)
    if _postgresql():
        _take_privileges()


def _add_trigger(table: str, verb: str) -> None:
    act = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        if _postgresql()
        else f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
    name = f"{table}_no_{verb.lower()}"
    op.execute(sa.text(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {act}"))


def _take_privileges() -> None:
    """UPDATE stays for the id alone: without it no foreign key could lock the row it points to."""
    for table in APPEND_ONLY:
        key = "entry_id" if table == "lot_uses" else "id"
        op.execute(sa.text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER, PUBLIC"))
        op.execute(sa.text(f"GRANT UPDATE ({key}) ON {table} TO CURRENT_USER"))
        op.execute(
            sa.text(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
        )


def _give_privileges() -> None:
    for table in APPEND_ONLY:
        op.execute(sa.text(f"DROP TRIGGER {table}_no_truncate ON {table}"))
        op.execute(sa.text(f"GRANT UPDATE, DELETE, TRUNCATE ON {table} TO CURRENT_USER"))


def _debt_entries() -> None:
    op.create_table(
        "debt_entries",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("delta_points", sa.BigInteger(), nullable=False),
        sa.Column("debt_after_points", sa.BigInteger(), nullable=False),
        sa.Column("ref_kind", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("delta_points <> 0", name=op.f("ck_debt_entries_delta")),
        sa.CheckConstraint("debt_after_points >= 0", name=op.f("ck_debt_entries_debt_after")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_debt_entries_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_debt_entries")),
        sa.UniqueConstraint("kind", "ref_kind", "ref_id", name="uq_debt_entries_cause"),
    )
    op.create_index("ix_debt_entries_member", "debt_entries", ["member_id", "id"])


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("ended_by", sa.String(length=40), nullable=True),
        sa.CheckConstraint("points > 0", name=op.f("ck_holds_points")),
        sa.CheckConstraint(
            "state IN ('held', 'posted', 'voided', 'expired')", name=op.f("ck_holds_state")
        ),
        sa.CheckConstraint("(state = 'held') = (ended_at IS NULL)", name=op.f("ck_holds_ended_at")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_holds_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index("ix_holds_member", "holds", ["member_id", "state"])
    held = sa.text("state = 'held'")
    op.create_index(
        "ix_holds_due", "holds", ["expires_at"], postgresql_where=held, sqlite_where=held
    )


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", ID, nullable=False),
        sa.Column("purchase_id", ID, nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("points_taken", sa.BigInteger(), nullable=False),
        sa.Column("debt_points", sa.BigInteger(), nullable=False),
        sa.Column("growth_taken", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount_fen >= 1", name=op.f("ck_refunds_amount")),
        sa.CheckConstraint(
            "points_taken >= 0 AND debt_points >= 0", name=op.f("ck_refunds_points")
        ),
        sa.CheckConstraint("growth_taken >= 0", name=op.f("ck_refunds_growth")),
        sa.ForeignKeyConstraint(
            ["purchase_id"], ["purchases.id"], name=op.f("fk_refunds_purchase_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_refunds_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    )
    op.create_index("ix_refunds_purchase", "refunds", ["purchase_id", "id"])


def _transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", ID, nullable=False),
        sa.Column("giver_id", ID, nullable=False),
        sa.Column("taker_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=40), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_transfers_points")),
        sa.CheckConstraint("giver_id <> taker_id", name=op.f("ck_transfers_two_members")),
        sa.ForeignKeyConstraint(
            ["giver_id"], ["accounts.member_id"], name=op.f("fk_transfers_giver_id")
        ),
        sa.ForeignKeyConstraint(
            ["taker_id"], ["accounts.member_id"], name=op.f("fk_transfers_taker_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
    )
    op.create_index("ix_transfers_giver", "transfers", ["giver_id", "created_at"])


def _alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", ID, nullable=False),
        sa.Column("check_name", sa.String(length=48), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=True),
        sa.Column("expected", sa.String(length=64), nullable=False),
        sa.Column("actual", sa.String(length=64), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("cleared_at", MOMENT, nullable=True),
        sa.Column("cleared_by", ID, nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.CheckConstraint(
            "(cleared_at IS NULL) = (cleared_by IS NULL)", name=op.f("ck_alarms_cleared_by")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_alarms_member_id")
        ),
        sa.ForeignKeyConstraint(["cleared_by"], ["staff.id"], name=op.f("fk_alarms_cleared_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    unclear = sa.text("cleared_at IS NULL")
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["check_name", "subject_id"],
        unique=True,
        postgresql_where=unclear,
        sqlite_where=unclear,
    )
    op.create_index("ix_alarms_member", "alarms", ["member_id"])


def downgrade() -> None:
    if _postgresql():
        _give_privileges()
    for table in ("alarms", *GUARDED, "holds"):
        op.drop_table(table)
    for table, column, *_ in reversed(COLUMNS):
        op.drop_column(table, column)
