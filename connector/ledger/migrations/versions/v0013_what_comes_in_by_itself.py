"""What comes in by itself: visitors of the application with the events that await them, and hints of CRMs."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "visitor",
        sa.Column("key", KEY, nullable=False),
        sa.Column("email", KEY, nullable=True),
        sa.Column("email_at", UtcTime(), nullable=True),
        sa.Column("leads", KEY, nullable=True),
        sa.Column("leads_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_visitor")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_visitor_leads"), "visitor", ["leads"])
    op.create_index(op.f("ix_visitor_email"), "visitor", ["email"])
    op.create_table(
        "awaited",
        sa.Column("visitor", KEY, nullable=False),
        sa.Column("event", KEY, nullable=False),
        sa.PrimaryKeyConstraint("visitor", "event", name=op.f("pk_awaited")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_awaited_event"), "awaited", ["event"])
    op.create_table(
        "hint",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("object", KEY, nullable=False),
        sa.Column("record", KEY, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "object", "record", name=op.f("pk_hint")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("hint")
    op.drop_table("awaited")
    op.drop_table("visitor")
