"""Plans that are approved and taken back: who asked, what holds them, the brake, holds, requests."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "brake",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("crm", name=op.f("pk_brake")),
    )
    op.create_table(
        "request",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("crms", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("run", _NUMBER, nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_request_status"), "request", ["status"])
    op.create_table(
        "hold",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("field", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("run", _NUMBER, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "field", "kind", name=op.f("pk_hold")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("asked_by", sa.Text(), nullable=True))
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default="sync"))
        batch_op.add_column(sa.Column("definition", sa.Integer(), nullable=False, server_default="0"))
        for name in ("asked_by", "held"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("summary", sa.Text(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("undoes", _NUMBER, nullable=True))
        batch_op.add_column(sa.Column("approved_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("approved_at", UtcTime(), nullable=True))
        batch_op.add_column(sa.Column("approval_note", sa.Text(), nullable=True))
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("rules", sa.Text(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("stage", sa.Text(), nullable=True))
    with op.batch_alter_table("written", schema=None) as batch_op:
        batch_op.add_column(sa.Column("plan_row", _NUMBER, nullable=True))
        batch_op.add_column(sa.Column("theirs", sa.Boolean(), nullable=True))
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.add_column(sa.Column("before", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("undoes", _NUMBER, nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.drop_column("undoes")
        batch_op.drop_column("before")
    with op.batch_alter_table("written", schema=None) as batch_op:
        batch_op.drop_column("theirs")
        batch_op.drop_column("plan_row")
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.drop_column("stage")
        batch_op.drop_column("rules")
        batch_op.drop_column("kind")
    with op.batch_alter_table("plan", schema=None) as batch_op:
        for name in (
            "approval_note", "approved_at", "approved_by", "undoes", "summary", "held", "asked_by", "definition",
            "kind",
        ):  # fmt: skip
            batch_op.drop_column(name)
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("asked_by")
    for name in ("hold", "request", "brake"):
        op.drop_table(name)
