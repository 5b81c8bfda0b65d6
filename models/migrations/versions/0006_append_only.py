"""The ledger is only added to.

An entry that could be changed would prove nothing. A trigger refuses every UPDATE and DELETE of
ledger and growth entries, of lot uses and stock moves. The running version does neither.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("ledger_entries", "lot_uses", "growth_entries", "stock_moves")
POSTGRESQL_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    if _postgresql():
        op.execute(sa.text(POSTGRESQL_FUNCTION))
    for table in TABLES:
        for verb in ("UPDATE", "DELETE"):
            name = f"{table}_no_{verb.lower()}"
            act = (
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
                if _postgresql()
                else f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
            op.execute(sa.text(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {act}"))


def downgrade() -> None:
    for table in TABLES:
        for verb in ("UPDATE", "DELETE"):
            on = f" ON {table}" if _postgresql() else ""
            op.execute(sa.text(f"DROP TRIGGER {table}_no_{verb.lower()}{on}"))
    if _postgresql():
        op.execute(sa.text("DROP FUNCTION refuse_change()"))
