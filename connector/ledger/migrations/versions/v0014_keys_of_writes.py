"""Keys under which writes were asked for over the API, so that none is done twice."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "idempotency_key",
        sa.Column("caller", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("fingerprint", KEY, nullable=False),
        sa.Column("begun_at", UtcTime(), nullable=False),
        sa.Column("attempt", KEY, nullable=False),
        sa.Column("acted", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(op.f("ix_idempotency_key_begun_at"), "idempotency_key", ["begun_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("idempotency_key")
