"""Earning rules of every kind, what members have had by those with caps, and receipts' lines.

A rule was a rate per yuan and a minimum; it becomes one of three kinds with terms, and may be a
draft. The few rows move to the new shape: full yuan first, as they were counted. Receipts of before
have no lines. The running version reads the rate's column, so it is stopped before this one starts.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
OLD = ("points_per_yuan", "growth_per_yuan", "min_amount_fen")


def upgrade() -> None:
    rows = _take("published_at", *OLD)
    rules = op.create_table(
        "earning_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("trigger_kind", sa.String(length=8), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("terms", JSON, nullable=False),
        sa.Column("growth_per_yuan", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('base', 'multiply', 'add')", name=op.f("ck_earning_rules_kind")
        ),
        sa.CheckConstraint(
            "trigger_kind IN ('purchase', 'item', 'category', 'event')",
            name=op.f("ck_earning_rules_trigger_kind"),
        ),
        sa.CheckConstraint("growth_per_yuan >= 0", name=op.f("ck_earning_rules_growth")),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_earning_rules_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earning_rules")),
        sa.UniqueConstraint("code", "version", name=op.f("uq_earning_rules_version")),
    )
    if rows:
        op.bulk_insert(rules, [_new(row) for row in rows])
    _counters()
    _purchases()


def _take(*names: str) -> list[dict[str, Any]]:
    """The rules' rows, whose table goes."""
    types: dict[str, Any] = {"published_at": MOMENT, "terms": JSON}
    columns: list[Any] = [
        sa.column(name, types.get(name)) for name in ("code", "version", "name", *names)
    ]
    query = sa.select(*columns).select_from(sa.table("earning_rules")).order_by("version")
    rows = [dict(row._mapping) for row in op.get_bind().execute(query)]
    op.drop_table("earning_rules")
    return rows


def _new(row: dict[str, Any]) -> dict[str, Any]:
    rate = {"points": row["points_per_yuan"], "per_fen": 100, "rounding": "full_units"}
    kept = {name: row[name] for name in ("code", "version", "growth_per_yuan", "published_at")}
    terms = {"rate": rate, "min_amount_fen": row["min_amount_fen"]}
    return {
        **kept,
        "name": row["name"][:48],
        "kind": "base",
        "trigger_kind": "purchase",
        "priority": 0,
        "active": True,
        "terms": terms,
        "created_at": row["published_at"],
    }


def _counters() -> None:
    op.create_table(
        "earning_counters",
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("rule_code", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points >= 0", name=op.f("ck_earning_counters_points")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_earning_counters_member_id")
        ),
        sa.PrimaryKeyConstraint(
            "member_id", "rule_code", "period", name=op.f("pk_earning_counters")
        ),
    )


def _purchases() -> None:
    op.add_column("purchases", sa.Column("lines", JSON, server_default="[]", nullable=False))


def downgrade() -> None:
    """Rules that the older version can't say are gone; so are receipts' lines."""
    op.execute("ALTER TABLE purchases DROP COLUMN lines")
    op.drop_table("earning_counters")
    columns = ("kind", "trigger_kind", "terms", "growth_per_yuan", "published_at")
    rows = _take(*columns)
    rules = op.create_table(
        "earning_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in OLD),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "points_per_yuan >= 0 AND growth_per_yuan >= 0", name=op.f("ck_earning_rules_rates")
        ),
        sa.CheckConstraint("min_amount_fen >= 0", name=op.f("ck_earning_rules_min_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earning_rules")),
        sa.UniqueConstraint("code", "version", name=op.f("uq_earning_rules_version")),
    )
    kept = [_old(row) for row in rows if row["published_at"] and _was_known(row)]
    if kept:
        op.bulk_insert(rules, kept)


def _was_known(row: dict[str, Any]) -> bool:
    rate = row["terms"].get("rate") or {}
    plain = (row["kind"], row["trigger_kind"]) == ("base", "purchase")
    return plain and (rate.get("per_fen"), rate.get("rounding")) == (100, "full_units")


def _old(row: dict[str, Any]) -> dict[str, Any]:
    terms = row["terms"]
    kept = {n: row[n] for n in ("code", "version", "name", "growth_per_yuan", "published_at")}
    amounts = {"min_amount_fen": terms.get("min_amount_fen", 0)}
    return {**kept, **amounts, "points_per_yuan": terms["rate"]["points"]}
