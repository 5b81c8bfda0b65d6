"""What each setting was, version by version.

Entries name the version of the setting that made them; now it can be read what that version said.
Changes of before are known by their number only, so the value in force stands for its version.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "setting_changes",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.Column("changed_by", ID, nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["changed_by"], ["staff.id"], name=op.f("fk_setting_changes_changed_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_changes")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_setting_changes_version")),
    )
    op.execute(
        "INSERT INTO setting_changes (name, version, value)"
        " SELECT name, version, value FROM shop_settings"
    )


def downgrade() -> None:
    op.drop_table("setting_changes")
