"""Keyed hashes of erased people, and the keys of them."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "erased",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("of", KEY, nullable=False),
        sa.Column("erasure", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_erased")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_erased_erasure"), "erased", ["erasure"])
    op.create_table(
        "erasure_key",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_key")),
    )


def downgrade() -> None:
    """Take back."""
    for name in ("erasure_key", "erased"):
        op.drop_table(name)
