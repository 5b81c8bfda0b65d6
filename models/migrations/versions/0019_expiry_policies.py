"""How long points live becomes rows with versions; lots know theirs; members are told before the end.

The setting `points_last_months` becomes the first version: so many months to the month's end, or for
ever. Lots of before keep their ends and have version 0. The running version reads the setting, which
is gone: it is stopped before this one starts.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
SETTING = "points_last_months"
AS_BEFORE = 12
settings = sa.table(
    "shop_settings", sa.column("name"), sa.column("value", JSON), sa.column("version", sa.Integer())
)


def upgrade() -> None:
    policies = op.create_table(
        "expiry_policies",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terms", JSON, nullable=False),
        sa.Column("by_tier", JSON, nullable=False),
        sa.Column("remind_days", JSON, nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_expiry_policies_published_by")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_expiry_policies")),
    )
    months = op.get_bind().scalar(sa.select(settings.c.value).where(settings.c.name == SETTING))
    first = {
        "version": 1,
        "terms": _terms(AS_BEFORE if months is None else months),
        "by_tier": {},
        "remind_days": [30, 7, 1],
        "note": "",
        "published_at": sa.func.now(),
    }
    op.get_bind().execute(sa.insert(policies).values(**first))
    op.execute(sa.delete(settings).where(settings.c.name == SETTING))
    _lots()
    _reminders()


def _terms(months: int) -> dict[str, object]:
    if not months:
        return {"kind": "never"}
    return {"kind": "rolling", "lasts": months, "unit": "month", "round_up_to": "month"}


def _lots() -> None:
    for name in ("policy_version", "kept_by"):
        column = sa.Column(name, sa.Integer(), server_default="0", nullable=False)
        op.add_column("lots", column)
    op.add_column("lots", sa.Column("idle_days", sa.Integer(), nullable=True))


def _reminders() -> None:
    op.create_table(
        "points_reminders",
        sa.Column("id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("step_days", sa.Integer(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_points_reminders_points")),
        sa.CheckConstraint("step_days >= 0", name=op.f("ck_points_reminders_step_days")),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'dropped')", name=op.f("ck_points_reminders_state")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_points_reminders_member_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_reminders")),
    )
    op.create_index("ix_points_reminders_member", "points_reminders", ["member_id", "id"])
    op.create_index("ix_points_reminders_state", "points_reminders", ["state", "id"])
    op.create_table(
        "reminded_lots",
        sa.Column("lot_id", ID, autoincrement=False, nullable=False),
        sa.Column("step_days", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("reminder_id", ID, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_reminded_lots_lot_id")),
        sa.ForeignKeyConstraint(
            ["reminder_id"], ["points_reminders.id"], name=op.f("fk_reminded_lots_reminder_id")
        ),
        sa.PrimaryKeyConstraint("lot_id", "step_days", "expires_on", name=op.f("pk_reminded_lots")),
    )


def downgrade() -> None:
    """The newest version becomes the setting again where it can be said in months."""
    op.drop_table("reminded_lots")
    op.drop_table("points_reminders")
    for name in ("idle_days", "kept_by", "policy_version"):
        op.execute(f"ALTER TABLE lots DROP COLUMN {name}")
    policies = sa.table("expiry_policies", sa.column("version"), sa.column("terms", JSON))
    newest = sa.select(policies.c.terms).order_by(policies.c.version.desc()).limit(1)
    terms = op.get_bind().scalar(newest) or {}
    months = _months(terms)
    if months is not None and months != AS_BEFORE:
        row = {"name": SETTING, "value": months, "version": 1}
        op.get_bind().execute(sa.insert(settings).values(**row))
    op.drop_table("expiry_policies")


def _months(terms: dict[str, object]) -> int | None:
    if terms.get("kind") == "never":
        return 0
    plain = (terms.get("kind"), terms.get("unit"), terms.get("round_up_to"))
    months = terms.get("lasts")
    return months if plain == ("rolling", "month", "month") and isinstance(months, int) else None
