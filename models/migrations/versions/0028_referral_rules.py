"""What invitations pay becomes rules with versions; referrals name theirs and can be held.

The settings `referral_*` become the first version. A referral that is open keeps what it was
promised. The running version reads the settings, which stay; it never reads what is new.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
AS_BEFORE = {
    "referral_inviter_points": 100,
    "referral_invitee_points": 50,
    "referral_hold_days": 7,
}
NEW: dict[str, tuple[Any, Any]] = {
    "rule_version": (sa.Integer(), "1"),
    "source": (sa.String(length=8), "code"),
    "purchase_id": (sa.BigInteger(), None),
    "join_due_at": (MOMENT, None),
    "join_paid_at": (MOMENT, None),
    "counted_on": (sa.Date(), None),
    "capped": (sa.String(length=8), sa.text("''")),
    "holds": (JSON, "[]"),
    "held_at": (MOMENT, None),
    "reviewed_by": (sa.BigInteger(), None),
    "reviewed_at": (MOMENT, None),
    "review_note": (sa.String(length=200), sa.text("''")),
}


def upgrade() -> None:
    rules = op.create_table(
        "referral_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("terms", JSON, nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("written_by", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_referral_rules_published_by")
        ),
        sa.ForeignKeyConstraint(
            ["written_by"], ["staff.id"], name=op.f("fk_referral_rules_written_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referral_rules")),
        sa.UniqueConstraint("version", name="uq_referral_rules_version"),
    )
    first = {"version": 1, "note": "", "terms": _terms()}
    stamps = {"created_at": sa.func.now(), "published_at": sa.func.now()}
    op.get_bind().execute(sa.insert(rules).values(**first, **stamps))
    for name, (kind, default) in NEW.items():
        column = sa.Column(name, kind, server_default=default, nullable=default is None)
        op.add_column("referrals", column)
    op.create_index("ix_referrals_join_due", "referrals", ["join_due_at"])
    op.create_index("ix_referrals_held", "referrals", ["held_at"])
    _steps()
    _never_changed()


def _terms() -> dict[str, object]:
    settings = sa.table("shop_settings", sa.column("name"), sa.column("value", JSON))
    query = sa.select(settings.c.name, settings.c.value).where(settings.c.name.in_(AS_BEFORE))
    own = {row.name: row.value for row in op.get_bind().execute(query)}
    now = {**AS_BEFORE, **own}
    nothing = {"points": 0, "bundle": ""}
    return {
        "join": {"inviter": nothing, "friend": nothing, "pending_days": 0},
        "purchase": {
            "inviter": {"points": now["referral_inviter_points"], "bundle": ""},
            "friend": {"points": now["referral_invitee_points"], "bundle": ""},
            "pending_days": now["referral_hold_days"],
            "min_amount_fen": 0,
        },
        "ladder": [],
        "caps": {"per_day": None, "for_life": None},
        "attribution_days": 30,
        "holds": {
            "device_joins_per_day": 2,
            "address_joins_per_hour": 60,
            "inviter_joins_per_hour": 20,
            "keep_days": 30,
        },
    }


def _steps() -> None:
    op.create_table(
        "referral_steps",
        sa.Column("inviter_id", ID, autoincrement=False, nullable=False),
        sa.Column("friends", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("bundle_code", sa.String(length=32), nullable=False),
        sa.Column("paid_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["inviter_id"], ["accounts.member_id"], name=op.f("fk_referral_steps_inviter_id")
        ),
        sa.PrimaryKeyConstraint("inviter_id", "friends", name=op.f("pk_referral_steps")),
    )


def _never_changed() -> None:
    """A version that was published stays what it was."""
    when = "BEFORE UPDATE ON referral_rules FOR EACH ROW WHEN (OLD.published_at IS NOT NULL)"
    act = "EXECUTE FUNCTION refuse_change()"
    if op.get_bind().dialect.name != "postgresql":
        act = "BEGIN SELECT RAISE(ABORT, 'a published rule is never changed'); END"
    op.execute(sa.text(f"CREATE TRIGGER referral_rules_no_change {when} {act}"))


def downgrade() -> None:
    op.drop_table("referral_steps")
    for name in ("join_due", "held"):
        op.drop_index(f"ix_referrals_{name}", "referrals")
    for name in reversed(NEW):
        op.execute(f"ALTER TABLE referrals DROP COLUMN {name}")
    op.drop_table("referral_rules")
