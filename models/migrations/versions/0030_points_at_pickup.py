"""A promise of points may wait for somebody's word instead of a moment.

The running version makes none of these; it grants what has a moment, as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("pending_grants") as batch:
        batch.alter_column("due_at", existing_type=MOMENT, nullable=True)


def downgrade() -> None:
    op.execute(sa.text("UPDATE pending_grants SET due_at = created_at WHERE due_at IS NULL"))
    with op.batch_alter_table("pending_grants") as batch:
        batch.alter_column("due_at", existing_type=MOMENT, nullable=False)
