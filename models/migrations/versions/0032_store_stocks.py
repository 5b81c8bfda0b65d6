"""A reward's stock may be kept store by store.

No reward is, until an admin says so: the running version, which knows one stock only, is right about
every reward there is. What moved between stores and the mall is only added to, as stock's moves are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOVES = "store_moves"
KEPT = ("UPDATE", "DELETE")


def upgrade() -> None:
    op.add_column(
        "rewards",
        sa.Column("stock_by_store", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    _store_stocks()
    _store_moves()
    for verb in KEPT:
        _refuse(verb)
    if _postgresql():
        _take_privileges()
    else:
        _refuse_replacing()


def _store_stocks() -> None:
    op.create_table(
        "store_stocks",
        sa.Column("reward_id", ID, autoincrement=False, nullable=False),
        sa.Column("store_id", ID, autoincrement=False, nullable=False),
        sa.Column("units_stocked", sa.Integer(), nullable=False),
        sa.Column("units_left", sa.Integer(), nullable=False),
        sa.Column("units_promised", sa.Integer(), nullable=False),
        sa.CheckConstraint("units_left >= 0", name=op.f("ck_store_stocks_units_left")),
        sa.CheckConstraint("units_promised >= 0", name=op.f("ck_store_stocks_units_promised")),
        sa.CheckConstraint(
            "units_left + units_promised = units_stocked", name=op.f("ck_store_stocks_units_add_up")
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_store_stocks_reward_id")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_store_stocks_store_id")),
        sa.PrimaryKeyConstraint("reward_id", "store_id", name=op.f("pk_store_stocks")),
    )


def _store_moves() -> None:
    op.create_table(
        MOVES,
        sa.Column("id", ID, nullable=False),
        sa.Column("reward_id", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=8), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("units_left_after", sa.Integer(), nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_store_moves_quantity")),
        sa.CheckConstraint(
            "reason IN ('purchase', 'count', 'damage', 'return', 'transfer')",
            name=op.f("ck_store_moves_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["reward_id"], ["rewards.id"], name=op.f("fk_store_moves_reward_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_store_moves_staff_id")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_store_moves_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_moves")),
    )
    op.create_index("ix_store_moves_reward", MOVES, ["reward_id", "id"])


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _refuse(verb: str) -> None:
    act = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        if _postgresql()
        else f"BEGIN SELECT RAISE(ABORT, '{MOVES} is append-only'); END"
    )
    op.execute(sa.text(f"CREATE TRIGGER {MOVES}_no_{verb.lower()} BEFORE {verb} ON {MOVES} {act}"))


def _take_privileges() -> None:
    op.execute(sa.text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {MOVES} FROM CURRENT_USER, PUBLIC"))
    op.execute(
        sa.text(
            f"CREATE TRIGGER {MOVES}_no_truncate BEFORE TRUNCATE ON {MOVES} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    )


def _refuse_replacing() -> None:
    known = f"EXISTS (SELECT 1 FROM {MOVES} WHERE id = NEW.id)"
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MOVES} is append-only, its keys are unique'); END"
    op.execute(
        sa.text(f"CREATE TRIGGER {MOVES}_no_replace BEFORE INSERT ON {MOVES} WHEN {known} {refuse}")
    )


def downgrade() -> None:
    op.drop_table(MOVES)
    op.drop_table("store_stocks")
    op.drop_column("rewards", "stock_by_store")
