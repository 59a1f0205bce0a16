"""The first schema."""

import sqlalchemy as sa
from alembic import op

from connector.ledger.types import KEY, UtcTime

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "account",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("bound_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("crm", name=op.f("pk_account")),
    )
    op.create_table(
        "address",
        sa.Column("email", KEY, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.PrimaryKeyConstraint("email", "ref", name=op.f("pk_address")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_address_ref"), ["ref"], unique=False)

    op.create_table(
        "audit",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "due",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("not_before", UtcTime, nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "crm", name=op.f("pk_due")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("due", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_due_not_before"), ["not_before"], unique=False)

    op.create_table(
        "engagement",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("stream", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("about", KEY, nullable=False),
        sa.Column("email", KEY, nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occurred_at", UtcTime, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("why_not", sa.Text(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("known_at", UtcTime, nullable=False),
        sa.Column("observed_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engagement")),
    )
    with op.batch_alter_table("engagement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engagement_about"), ["about"], unique=False)
        batch_op.create_index(batch_op.f("ix_engagement_email"), ["email"], unique=False)
        batch_op.create_index("uq_engagement_key", ["crm", "stream", "key", "about"], unique=True)

    op.create_table(
        "file_version",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("adopted_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_file_version")),
    )
    op.create_table(
        "lease",
        sa.Column("name", KEY, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "link",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("other", KEY, nullable=False),
        sa.PrimaryKeyConstraint("ref", "other", name=op.f("pk_link")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_link_other"), ["other"], unique=False)

    op.create_table(
        "past_record",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("known_until", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_record")),
    )
    with op.batch_alter_table("past_record", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_past_record_ref_known_until"), ["ref", "known_until"], unique=False
        )

    op.create_table(
        "person",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("fit", sa.Float(precision=53), nullable=False),
        sa.Column("engagement", sa.Float(precision=53), nullable=False),
        sa.Column("score", sa.Float(precision=53), nullable=False),
        sa.Column("band", sa.Integer(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("disqualified", sa.Text(), nullable=True),
        sa.Column("hand_raised", sa.Text(), nullable=True),
        sa.Column("contributions", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decays", sa.Boolean(), nullable=False),
        sa.Column("look_again_at", UtcTime, nullable=True),
        sa.Column("decided_at", UtcTime, nullable=False),
        sa.Column("criteria_version", sa.Integer(), nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("ended_at", UtcTime, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_score"), ["score"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_stage_score"), ["stage", "score"], unique=False)

    op.create_table(
        "plan",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_crm_status"), ["crm", "status"], unique=False)

    op.create_table(
        "plan_row",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("plan", NUMBER, nullable=False),
        sa.Column("crm", KEY, nullable=False),
        sa.Column("person", NUMBER, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("writes", sa.Text(), nullable=False),
        sa.Column("held_back", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("read_at", UtcTime, nullable=True),
        sa.Column("sent_at", UtcTime, nullable=True),
        sa.Column("settled_at", UtcTime, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_row")),
    )
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_row_crm_status"), ["crm", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_row_person"), ["person"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_row_plan_status"), ["plan", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_plan_row_ref"), ["ref"], unique=False)
        batch_op.create_index("uq_plan_row_plan_ref", ["plan", "ref"], unique=True)

    op.create_table(
        "quarantine",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("object", KEY, nullable=False),
        sa.Column("record", KEY, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("met_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("crm", "object", "record", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "reading",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("counter", KEY, nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=False),
        sa.Column("read_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("ref", "counter", name=op.f("pk_reading")),
    )
    op.create_table(
        "record",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("vendor_id", KEY, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("company", KEY, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_load", sa.Boolean(), nullable=False),
        sa.Column("changed_at", UtcTime, nullable=False),
        sa.Column("observed_at", UtcTime, nullable=False),
        sa.Column("person_id", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_record")),
    )
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_record_company"), ["company"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_person_id"), ["person_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_vendor_id"), ["vendor_id"], unique=False)

    op.create_table(
        "refusal",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_refusal")),
    )
    op.create_table(
        "review",
        sa.Column("a", KEY, nullable=False),
        sa.Column("b", KEY, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("found_at", UtcTime, nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", UtcTime, nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("a", "b", name=op.f("pk_review")),
    )
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_b"), ["b"], unique=False)

    op.create_table(
        "role",
        sa.Column("person", KEY, nullable=False),
        sa.Column("opportunity", KEY, nullable=False),
        sa.PrimaryKeyConstraint("person", "opportunity", name=op.f("pk_role")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("role", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_role_opportunity"), ["opportunity"], unique=False)

    op.create_table(
        "run",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("crms", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("finished_at", UtcTime, nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sealed_token",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("saved_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("crm", name=op.f("pk_sealed_token")),
    )
    op.create_table(
        "stage_history",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("person", NUMBER, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("from_stage", sa.Text(), nullable=True),
        sa.Column("to_stage", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("entered_mql", sa.Boolean(), nullable=False),
        sa.Column("left_mql", sa.Boolean(), nullable=False),
        sa.Column("criteria_version", sa.Integer(), nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_history")),
    )
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stage_history_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_stage_history_person_at"), ["person", "at"], unique=False)

    op.create_table(
        "watermark",
        sa.Column("crm", KEY, nullable=False),
        sa.Column("stream", KEY, nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("saved_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("crm", "stream", name=op.f("pk_watermark")),
    )
    op.create_table(
        "written",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("field", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("written_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("ref", "field", name=op.f("pk_written")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("written")
    op.drop_table("watermark")
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stage_history_person_at"))
        batch_op.drop_index(batch_op.f("ix_stage_history_at"))

    op.drop_table("stage_history")
    op.drop_table("sealed_token")
    op.drop_table("run")
    with op.batch_alter_table("role", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_role_opportunity"))

    op.drop_table("role")
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_review_b"))

    op.drop_table("review")
    op.drop_table("refusal")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_record_vendor_id"))
        batch_op.drop_index(batch_op.f("ix_record_person_id"))
        batch_op.drop_index(batch_op.f("ix_record_company"))

    op.drop_table("record")
    op.drop_table("reading")
    op.drop_table("quarantine")
    with op.batch_alter_table("plan_row", schema=None) as batch_op:
        batch_op.drop_index("uq_plan_row_plan_ref")
        batch_op.drop_index(batch_op.f("ix_plan_row_ref"))
        batch_op.drop_index(batch_op.f("ix_plan_row_plan_status"))
        batch_op.drop_index(batch_op.f("ix_plan_row_person"))
        batch_op.drop_index(batch_op.f("ix_plan_row_crm_status"))

    op.drop_table("plan_row")
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plan_crm_status"))

    op.drop_table("plan")
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_person_stage_score"))
        batch_op.drop_index(batch_op.f("ix_person_score"))

    op.drop_table("person")
    with op.batch_alter_table("past_record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_past_record_ref_known_until"))

    op.drop_table("past_record")
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_link_other"))

    op.drop_table("link")
    op.drop_table("lease")
    op.drop_table("file_version")
    with op.batch_alter_table("engagement", schema=None) as batch_op:
        batch_op.drop_index("uq_engagement_key")
        batch_op.drop_index(batch_op.f("ix_engagement_email"))
        batch_op.drop_index(batch_op.f("ix_engagement_about"))

    op.drop_table("engagement")
    with op.batch_alter_table("due", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_due_not_before"))

    op.drop_table("due")
    op.drop_table("audit")
    with op.batch_alter_table("address", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_address_ref"))

    op.drop_table("address")
    op.drop_table("account")
