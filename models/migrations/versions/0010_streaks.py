"""Ladders with versions, days made up, milestones paid once, days the shop was down.

A check-in says what kind of day it is and which ladder paid it; what was paid so far was paid by
the first ladder. The defaults let the running version go on: it writes normal days and reads the
one ladder there is. The ladder's few rows move to a table with the version in its key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RULE = ("streak_day", "points", "bonus_points")


def upgrade() -> None:
    _ladders()
    _kinds()
    _milestones()
    _outages()


def _ladders() -> None:
    ladders = op.create_table(
        "checkin_ladders",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("published_by", ID, nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["published_by"], ["staff.id"], name=op.f("fk_checkin_ladders_published_by")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_checkin_ladders")),
    )
    rows = _take_rules()
    if rows:
        link = op.get_bind()
        link.execute(sa.insert(ladders).values(version=1, published_at=sa.func.now()))
    rules = _create_rules(versioned=True)
    op.bulk_insert(rules, [{**row, "version": 1} for row in rows])


def _take_rules(version: int | None = None) -> list[dict[str, int]]:
    """The ladder's rows, whose table goes."""
    of_version = "" if version is None else f" WHERE version = {version}"
    query = f"SELECT {', '.join(RULE)} FROM checkin_rules{of_version}"
    rows = [dict(row._mapping) for row in op.get_bind().execute(sa.text(query))]
    op.drop_table("checkin_rules")
    return rows


def _create_rules(*, versioned: bool) -> sa.Table:
    version = [sa.Column("version", sa.Integer(), autoincrement=False, nullable=False)]
    belongs = sa.ForeignKeyConstraint(
        ["version"], ["checkin_ladders.version"], name=op.f("fk_checkin_rules_version")
    )
    key = ("version", "streak_day") if versioned else ("streak_day",)
    return op.create_table(
        "checkin_rules",
        *(version if versioned else []),
        sa.Column("streak_day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("bonus_points", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "points >= 0 AND bonus_points >= 0", name=op.f("ck_checkin_rules_points")
        ),
        sa.CheckConstraint("streak_day >= 1", name=op.f("ck_checkin_rules_streak_day")),
        *([belongs] if versioned else []),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_checkin_rules")),
    )


def _kinds() -> None:
    kinds = "kind IN ('normal', 'make_up', 'outage')"
    op.execute(  # in these words on both: Alembic would copy SQLite's whole table for the check
        "ALTER TABLE checkins ADD COLUMN kind VARCHAR(8) DEFAULT 'normal' NOT NULL"
        f" CONSTRAINT ck_checkins_kind CHECK ({kinds})"
    )
    op.add_column("checkins", sa.Column("ladder_version", sa.Integer(), nullable=True))
    op.create_index("ix_checkins_longest", "checkins", ["member_id", "streak_days"], unique=False)
    op.create_index("ix_checkins_day", "checkins", ["day", "member_id"], unique=False)


def _milestones() -> None:
    op.create_table(
        "milestones_paid",
        sa.Column("member_id", ID, nullable=False),
        sa.Column("ladder_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("paid_day", sa.Date(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.CheckConstraint("level >= 1", name=op.f("ck_milestones_paid_level")),
        sa.CheckConstraint("points >= 1", name=op.f("ck_milestones_paid_points")),
        sa.ForeignKeyConstraint(
            ["member_id"], ["accounts.member_id"], name=op.f("fk_milestones_paid_member_id")
        ),
        sa.PrimaryKeyConstraint(
            "member_id", "ladder_version", "level", "paid_day", name=op.f("pk_milestones_paid")
        ),
    )
    op.execute(
        "INSERT INTO milestones_paid (member_id, ladder_version, level, paid_day, points)"
        " SELECT member_id, 1, streak_days, day, bonus_points FROM checkins WHERE bonus_points > 0"
    )
    op.execute("UPDATE checkins SET ladder_version = 1 WHERE points_awarded + bonus_points > 0")


def _outages() -> None:
    op.create_table(
        "outages",
        sa.Column("id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("after_member_id", sa.BigInteger(), nullable=False),
        sa.Column("members_marked", sa.Integer(), nullable=False),
        sa.Column("declared_by", ID, nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repaired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('repairing', 'repaired')", name=op.f("ck_outages_state")),
        sa.CheckConstraint("members_marked >= 0", name=op.f("ck_outages_members_marked")),
        sa.ForeignKeyConstraint(["declared_by"], ["staff.id"], name=op.f("fk_outages_declared_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outages")),
        sa.UniqueConstraint("day", name=op.f("uq_outages_day")),
    )
    op.create_index("ix_outages_state", "outages", ["state", "day"], unique=False)


def downgrade() -> None:
    """Days made up or repaired stay as plain days; of the ladders the newest stays."""
    newest = op.get_bind().scalar(sa.text("SELECT max(version) FROM checkin_ladders")) or 0
    op.drop_table("outages")
    op.drop_table("milestones_paid")
    op.drop_index("ix_checkins_day", "checkins")
    op.drop_index("ix_checkins_longest", "checkins")
    op.execute("ALTER TABLE checkins DROP COLUMN ladder_version")
    op.execute("ALTER TABLE checkins DROP COLUMN kind")
    rows = _take_rules(newest)
    op.bulk_insert(_create_rules(versioned=False), rows)
    op.drop_table("checkin_ladders")
