"""What was learned of an account: answers of probes, and which targets are there."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "learned",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("switch", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("learned_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("crm", "name", name=op.f("pk_learned")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("learned")
