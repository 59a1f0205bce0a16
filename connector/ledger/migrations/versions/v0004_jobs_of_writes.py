"""The vendor's job that carries a planned write."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.add_column(sa.Column("job", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.drop_column("job")
