"""Balances that were proved right when an alarm was cleared; SQLite's entries can't be replaced.

SQLite's REPLACE deletes without asking the triggers, unless a connection asks for that: this
shop's do, somebody else's need not. What would replace a row is therefore refused before it.
The running version neither reads the new table nor replaces anything.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CAUSE = ("kind", "ref_kind", "ref_id")
KEYS: dict[str, list[tuple[str, ...]]] = {
    "ledger_entries": [("id",), ("member_id", "seq"), CAUSE],
    "lot_uses": [("entry_id", "lot_id")],
    "growth_entries": [("id",), CAUSE],
    "stock_moves": [("id",)],
    "debt_entries": [("id",), CAUSE],
    "refunds": [("id",)],
    "transfers": [("id",)],
}


def upgrade() -> None:
    op.create_table(
        "balance_settlements",
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("balance_points", sa.BigInteger(), nullable=False),
        sa.Column("alarm_id", ID, nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["alarm_id"], ["alarms.id"], name=op.f("fk_balance_settlements_alarm_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_balance_settlements_member_id")
        ),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_balance_settlements")),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, keys in KEYS.items():
            op.execute(sa.text(_trigger(table, keys)))


def _trigger(table: str, keys: list[tuple[str, ...]]) -> str:
    known = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{n} = NEW.{n}' for n in key)})"
        for key in keys
    )
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only, its keys are unique'); END"
    return f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {known} {refuse}"


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in KEYS:
            op.execute(sa.text(f"DROP TRIGGER {table}_no_replace"))
    op.drop_table("balance_settlements")
