"""Tokens of people and programs, and how whoever approved was known."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply. Approvals that were given before have a name that was claimed at a command line: null says so."""
    op.create_table(
        "token",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", KEY, nullable=False),
        sa.Column("service", sa.Boolean(), nullable=False),
        sa.Column("hash", KEY, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.Column("last_used", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_token_hash", "token", ["hash"], unique=True)
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approval_proof", sa.Text(), nullable=True))
    with op.batch_alter_table("draft_approval", schema=None) as batch_op:
        batch_op.add_column(sa.Column("proof", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("draft_approval", schema=None) as batch_op:
        batch_op.drop_column("proof")
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.drop_column("approval_proof")
    op.drop_table("token")
