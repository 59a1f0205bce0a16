"""How the criteria's `privacy` has a person treated."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.add_column(sa.Column("privacy", KEY, nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_column("privacy")
