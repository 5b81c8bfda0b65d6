"""The histories of tiers, benefits and returned payments are only added to, as the ledger is.

The database itself refuses to change or take away a row: by trigger, on PostgreSQL by privilege too,
and on SQLite what would replace one. The running version changes none of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

KEYS = {  # a cause of a benefit's entry may be tried twice, and is then left out
    "tier_changes": ("id",),
    "benefit_entries": ("id",),
    "payment_returns": ("payment_id", "ref_id", "lot_id"),
}


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    for table, key in KEYS.items():
        for verb in ("UPDATE", "DELETE"):
            _add_trigger(table, verb)
        if _postgresql():
            _take_privileges(table, key[0])
        else:
            _refuse_replacing(table, key)


def _add_trigger(table: str, verb: str) -> None:
    act = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        if _postgresql()
        else f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
    op.execute(sa.text(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {act}"))


def _take_privileges(table: str, key: str) -> None:
    """UPDATE stays for the key alone: without it no foreign key could lock the row."""
    op.execute(sa.text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER, PUBLIC"))
    op.execute(sa.text(f"GRANT UPDATE ({key}) ON {table} TO CURRENT_USER"))
    op.execute(
        sa.text(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    )


def _refuse_replacing(table: str, key: tuple[str, ...]) -> None:
    same = " AND ".join(f"{name} = NEW.{name}" for name in key)
    known = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only, its keys are unique'); END"
    op.execute(
        sa.text(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {known} {refuse}")
    )


def downgrade() -> None:
    on = {"postgresql": " ON {table}", "sqlite": ""}[op.get_bind().dialect.name]
    for table in KEYS:
        last = "truncate" if _postgresql() else "replace"
        for verb in ("update", "delete", last):
            op.execute(sa.text(f"DROP TRIGGER {table}_no_{verb}" + on.format(table=table)))
        if _postgresql():
            op.execute(sa.text(f"GRANT UPDATE, DELETE, TRUNCATE ON {table} TO CURRENT_USER"))
