"""How growth is earned, counted and reviewed; how a tier looks and what it is good for.

Version 1 of the tier rules is what the shop had: the growth of its earning rule, counted for ever
and reviewed never. Entries and changes of before keep what they said: a growth entry counts at the
moment it was written, a change came from growth. The running version leaves the new columns empty.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    rules = _rules()
    _perks()
    _members()
    _columns()
    _keep_the_rule_in_force(rules)


def _rules() -> sa.Table:
    return op.create_table(
        "tier_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("growth_per_yuan", sa.Integer(), nullable=False),
        sa.Column("growth_per_visit", sa.Integer(), nullable=False),
        sa.Column("min_amount_fen", sa.Integer(), nullable=False),
        sa.Column("activities", JSON, nullable=False),
        sa.Column("spend_weight_percent", sa.Integer(), nullable=False),
        sa.Column("visit_weight_percent", sa.Integer(), nullable=False),
        sa.Column("activity_weight_percent", sa.Integer(), nullable=False),
        sa.Column("window_kind", sa.String(length=8), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=False),
        sa.Column("grace_days", sa.Integer(), nullable=False),
        sa.Column("review_policy", sa.String(length=9), nullable=False),
        sa.Column("recount", sa.Boolean(), nullable=False),
        sa.Column("thresholds", JSON, nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.Column("effective_at", MOMENT, nullable=True),
        sa.Column("applied_at", MOMENT, nullable=True),
        sa.Column("after_member_id", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "review_policy IN ('one_step', 'recompute')", name=op.f("ck_tier_rules_policy")
        ),
        sa.CheckConstraint(
            "window_kind IN ('ever', 'rolling', 'year')", name=op.f("ck_tier_rules_window")
        ),
        sa.CheckConstraint(
            "(version IS NULL) = (published_at IS NULL)", name=op.f("ck_tier_rules_published")
        ),
        sa.CheckConstraint(
            "growth_per_yuan >= 0 AND growth_per_visit >= 0 AND min_amount_fen >= 0",
            name=op.f("ck_tier_rules_growth"),
        ),
        sa.CheckConstraint(
            "spend_weight_percent >= 0 AND visit_weight_percent >= 0 AND activity_weight_percent >= 0",
            name=op.f("ck_tier_rules_weights"),
        ),
        sa.CheckConstraint("window_days >= 1 AND grace_days >= 0", name=op.f("ck_tier_rules_days")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["staff.id"], name=op.f("fk_tier_rules_created_by")
        ),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_tier_rules_published_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_rules")),
        sa.UniqueConstraint("version", name=op.f("uq_tier_rules_version")),
    )


def _perks() -> None:
    op.create_table(
        "tier_perks",
        sa.Column("tier_code", sa.String(length=16), nullable=False),
        sa.Column("colour", sa.String(length=7), nullable=False),
        sa.Column("skin_url", sa.String(length=300), nullable=False),
        sa.Column("discount_percent", sa.Integer(), nullable=False),
        sa.Column("points_percent", sa.Integer(), nullable=False),
        sa.Column("early_access_hours", sa.Integer(), nullable=False),
        sa.Column("contact_name", sa.String(length=32), nullable=False),
        sa.Column("contact_phone", sa.String(length=32), nullable=False),
        sa.Column("contact_wechat", sa.String(length=64), nullable=False),
        sa.Column("gift_bundle", sa.String(length=32), nullable=True),
        sa.Column("gift_each_time", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "discount_percent BETWEEN 0 AND 100", name=op.f("ck_tier_perks_discount")
        ),
        sa.CheckConstraint("early_access_hours >= 0", name=op.f("ck_tier_perks_early_access")),
        sa.CheckConstraint("points_percent >= 100", name=op.f("ck_tier_perks_points")),
        sa.ForeignKeyConstraint(
            ["tier_code"], ["tiers.code"], name=op.f("fk_tier_perks_tier_code")
        ),
        sa.PrimaryKeyConstraint("tier_code", name=op.f("pk_tier_perks")),
    )
    op.create_table(
        "tier_quotas",
        sa.Column("tier_code", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=5), nullable=False),
        sa.CheckConstraint(
            "period IN ('day', 'month', 'year', 'ever')", name=op.f("ck_tier_quotas_period")
        ),
        sa.CheckConstraint("uses >= 1", name=op.f("ck_tier_quotas_uses")),
        sa.ForeignKeyConstraint(
            ["tier_code"], ["tiers.code"], name=op.f("fk_tier_quotas_tier_code")
        ),
        sa.PrimaryKeyConstraint("tier_code", "code", name=op.f("pk_tier_quotas")),
    )


def _members() -> None:
    op.create_table(
        "tier_standings",
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("tier_code", sa.String(length=16), nullable=False),
        sa.Column("held_since", MOMENT, nullable=False),
        sa.Column("review_at", MOMENT, nullable=True),
        sa.Column("grace_ends_at", MOMENT, nullable=True),
        sa.Column("change_id", ID, nullable=True),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_id"], ["tier_changes.id"], name=op.f("fk_tier_standings_change_id")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_tier_standings_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["tier_code"], ["tiers.code"], name=op.f("fk_tier_standings_tier_code")
        ),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_tier_standings")),
    )
    op.create_index("ix_tier_standings_due", "tier_standings", ["review_at"], unique=False)
    op.create_index("ix_tier_standings_grace", "tier_standings", ["grace_ends_at"], unique=False)
    op.create_table(
        "tier_grants",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("tier_code", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.Column("granted_by", ID, nullable=False),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("ended_by", ID, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('active', 'ended', 'revoked')", name=op.f("ck_tier_grants_state")
        ),
        sa.ForeignKeyConstraint(["ended_by"], ["staff.id"], name=op.f("fk_tier_grants_ended_by")),
        sa.ForeignKeyConstraint(
            ["granted_by"], ["staff.id"], name=op.f("fk_tier_grants_granted_by")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_tier_grants_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["tier_code"], ["tiers.code"], name=op.f("fk_tier_grants_tier_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_grants")),
    )
    op.create_index(
        "ix_tier_grants_due",
        "tier_grants",
        ["ends_at"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
        sqlite_where=sa.text("state = 'active'"),
    )
    op.create_index("ix_tier_grants_member", "tier_grants", ["member_id", "id"], unique=False)
    op.create_table(
        "growth_counts",
        sa.Column("member_id", ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("growth_value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "times >= 0 AND growth_value >= 0", name=op.f("ck_growth_counts_counts")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_growth_counts_member_id")
        ),
        sa.PrimaryKeyConstraint("member_id", "day", "kind", name=op.f("pk_growth_counts")),
    )


def _columns() -> None:
    op.add_column(
        "growth_entries",
        sa.Column("rule_version", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column("growth_entries", sa.Column("earned_at", MOMENT, nullable=True))
    op.add_column(
        "tier_changes",
        sa.Column("source", sa.String(length=8), server_default="growth", nullable=False),
    )
    op.add_column(
        "tier_changes",
        sa.Column("actor", sa.String(length=40), server_default="system", nullable=False),
    )
    op.add_column(
        "tier_changes", sa.Column("rule_version", sa.Integer(), server_default="0", nullable=False)
    )
    for column in ("undoes_id", "replaced_id"):
        op.add_column("tier_changes", sa.Column(column, ID, nullable=True))
    op.add_column("tier_changes", sa.Column("replaced_code", sa.String(16), nullable=True))
    op.add_column("tier_changes", sa.Column("replaced_review_at", MOMENT, nullable=True))


def _keep_the_rule_in_force(rules: sa.Table) -> None:
    """A shop that has opened goes on with the growth its newest rule for purchases gave."""
    names = ("code", "version", "growth_per_yuan")
    old = sa.table(
        "earning_rules",
        *[sa.column(name) for name in names],
        sa.column("terms", JSON),
        sa.column("published_at", MOMENT),
    )
    newest = (
        sa.select(old.c.growth_per_yuan, old.c.terms, old.c.published_at)
        .where(old.c.code == "purchase", old.c.published_at.is_not(None))
        .order_by(old.c.version.desc())
    )
    row = op.get_bind().execute(newest.limit(1)).one_or_none()
    if row is None:
        return
    moments = ("created_at", "published_at", "effective_at", "applied_at", "settled_at")
    weights = {f"{part}_weight_percent": 100 for part in ("spend", "visit", "activity")}
    growth = {"growth_per_yuan": row.growth_per_yuan, "growth_per_visit": 0, "activities": []}
    window = {"window_kind": "ever", "window_days": 365, "grace_days": 0}
    rest = {"review_policy": "one_step", "recount": False, "thresholds": {}, "note": ""}
    marks = {"version": 1, "after_member_id": 0, **dict.fromkeys(moments, row.published_at)}
    least = {"min_amount_fen": row.terms.get("min_amount_fen") or 0}
    op.bulk_insert(rules, [{**growth, **least, **weights, **window, **rest, **marks}])


def downgrade() -> None:
    rise = ("replaced_review_at", "replaced_code", "replaced_id", "undoes_id")
    for column in (*rise, "rule_version", "actor", "source"):
        op.drop_column("tier_changes", column)
    for column in ("earned_at", "rule_version"):
        op.drop_column("growth_entries", column)
    tables = ("tier_standings", "tier_grants", "growth_counts", "tier_quotas", "tier_perks")
    for table in (*tables, "tier_rules"):
        op.drop_table(table)
