"""Jobs by the clock: when each was begun and done last, so that replicas and restarts agree on when it is due."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "job",
        sa.Column("name", KEY, nullable=False),
        sa.Column("begun_at", UtcTime(), nullable=False),
        sa.Column("done_at", UtcTime(), nullable=True),
        sa.Column("failed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("job")
