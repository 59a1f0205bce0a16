"""Backfills: what was asked, how far each stream is, and which runs worked on it."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "backfill",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("since", UtcTime, nullable=True),
        sa.Column("until", UtcTime, nullable=True),
        sa.Column("yes", sa.Boolean(), nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("estimate", sa.Text(), nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("changed_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("backfill", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_backfill_crm_status"), ["crm", "status"], unique=False)

    op.create_table(
        "backfill_stream",
        sa.Column("backfill", NUMBER, autoincrement=False, nullable=False),
        sa.Column("stream", KEY, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("saved_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("backfill", "stream", name=op.f("pk_backfill_stream")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("backfill", NUMBER, nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("backfill")
    op.drop_table("backfill_stream")
    with op.batch_alter_table("backfill", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backfill_crm_status"))
    op.drop_table("backfill")
