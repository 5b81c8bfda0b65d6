"""Bundles give uses of benefits too.

Versions of before have none. The running version leaves the column to its default and gives what
it knows of.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("bundles", sa.Column("benefits", JSON, server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("bundles", "benefits")
