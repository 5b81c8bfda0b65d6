"""A redemption remembers the lease it was let in under.

Without it nobody could tell the lease whose units it took from one that a late repeat took beside
it. The running version leaves it empty, which means what it meant so far: any lease of the key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("redemptions", sa.Column("lease", sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE redemptions DROP COLUMN lease")
