"""A reward may have a lower price for some tiers.

The running version charges everybody the price it knows.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("rewards", sa.Column("tier_prices", JSON, server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("rewards", "tier_prices")
