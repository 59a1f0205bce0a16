"""Times as MQL, who may own records, and notices on their way."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply. Notices that were made before are told nobody now: they are old news."""
    op.create_table(
        "crm_user",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("manager", sa.Text(), nullable=False),
        sa.Column("queue", sa.Boolean(), nullable=False),
        sa.Column("read_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", name=op.f("pk_crm_user")),
    )
    op.create_table(
        "spell",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("person", _NUMBER, nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("audience", KEY, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("via", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("quiet", KEY, nullable=False),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("remind_at", UtcTime(), nullable=True),
        sa.Column("escalate_at", UtcTime(), nullable=True),
        sa.Column("take_back_at", UtcTime(), nullable=True),
        sa.Column("touched_at", UtcTime(), nullable=True),
        sa.Column("touch", sa.Text(), nullable=False),
        sa.Column("reminded_at", UtcTime(), nullable=True),
        sa.Column("escalated_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("ended", KEY, nullable=False),
        sa.Column("run", _NUMBER, nullable=True),
        sa.Column("summed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spell")),
    )
    op.create_index("uq_spell_person_since", "spell", ["person", "since"], unique=True)
    op.create_index(op.f("ix_spell_since"), "spell", ["since"])
    op.create_index(op.f("ix_spell_via_owner"), "spell", ["via", "owner"])
    op.create_table(
        "delivery",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("notice", _NUMBER, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("address", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcTime(), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index("uq_delivery_notice", "delivery", ["notice", "target", "address"], unique=True)
    op.create_index(op.f("ix_delivery_status_next_at"), "delivery", ["status", "next_at"])
    op.create_index(op.f("ix_delivery_target_told_at"), "delivery", ["target", "told_at"])
    op.create_table(
        "told",
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_told")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.add_column(sa.Column("quiet", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("routed_at", UtcTime(), nullable=True))
        batch_op.create_index(op.f("ix_notice_routed_at"), ["routed_at"])
    op.execute("UPDATE notice SET routed_at = made_at")


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.drop_index(op.f("ix_notice_routed_at"))
        batch_op.drop_column("routed_at")
        batch_op.drop_column("quiet")
    for name in ("told", "delivery", "spell", "crm_user"):
        op.drop_table(name)
