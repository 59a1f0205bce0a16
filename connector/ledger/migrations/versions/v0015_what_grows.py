"""What grows: plans whose before-images are gone, numbers of each day."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.add_column("plan", sa.Column("let_go_at", UtcTime(), nullable=True))
    op.create_table(
        "daily",
        sa.Column("day", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "name", name=op.f("pk_daily")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("daily")
    with op.batch_alter_table("plan") as batch:
        batch.drop_column("let_go_at")
