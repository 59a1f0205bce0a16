"""Tasks in the CRMs, one a spell as MQL at most."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "crm_task",
        sa.Column("spell", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("person", _NUMBER, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("status", KEY, nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("settled_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("spell", name=op.f("pk_crm_task")),
    )
    op.create_index(op.f("ix_crm_task_person"), "crm_task", ["person"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("crm_task")
