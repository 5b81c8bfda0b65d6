"""Phone numbers are sealed, and found by a keyed hash.

They stood in the clear, so a copy of the database was a list of numbers to sell. The new columns
hold the number sealed, two keyed hashes to find it by, and its last four digits as before. What
stands in `phone` moves there when the shop is prepared, and nightly while the version before this
one still runs and writes it; that version shows no number that has moved, and finds none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("members", sa.Column("phone_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("members", sa.Column("phone_hash", sa.String(length=64), nullable=True))
    op.add_column("members", sa.Column("phone_match", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_members_phone_match"), "members", ["phone_match"], unique=False)
    op.create_index("ix_members_phone_hash", "members", ["phone_hash"], unique=True)


def downgrade() -> None:
    """What was sealed since is lost: without the key ring nobody can open it."""
    op.drop_index("ix_members_phone_hash", table_name="members")
    op.drop_index(op.f("ix_members_phone_match"), table_name="members")
    for name in ("phone_match", "phone_hash", "phone_sealed"):
        op.drop_column("members", name)
