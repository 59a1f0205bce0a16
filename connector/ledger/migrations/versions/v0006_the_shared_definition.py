"""The shared definition: drafts that are approved, overrides, audiences, the relative bar, accounts by their domain."""

import json

import sqlalchemy as sa
from alembic import op

from connector.core.normalize.derive import email_kind
from connector.ledger.types import KEY, UtcTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "draft",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_draft_status"), "draft", ["status"])
    op.create_table(
        "draft_approval",
        sa.Column("draft", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("side", KEY, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("draft", "side", name=op.f("pk_draft_approval")),
    )
    op.create_table(
        "override",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("scope", KEY, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_override_scope_target"), "override", ["scope", "target"])
    op.create_table(
        "notice",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("person", _NUMBER, nullable=True),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index("uq_notice_key", "notice", ["kind", "key"], unique=True)
    op.create_index(op.f("ix_notice_told_at"), "notice", ["told_at"])
    op.create_table(
        "bar",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("audience", KEY, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("run", _NUMBER, nullable=False),
        sa.Column("score", sa.Float(53), nullable=True),
        sa.Column("places", sa.Integer(), nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("loosened", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar")),
    )
    op.create_index(op.f("ix_bar_audience_at"), "bar", ["audience", "at"])
    op.create_table(
        "company_domain",
        sa.Column("domain", KEY, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.PrimaryKeyConstraint("domain", "ref", name=op.f("pk_company_domain")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_company_domain_ref"), "company_domain", ["ref"])
    with op.batch_alter_table("file_version", schema=None) as batch_op:
        batch_op.add_column(sa.Column("brings_back", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("agreed", sa.Text(), nullable=True))
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.add_column(sa.Column("audience", KEY, nullable=True))
        batch_op.add_column(sa.Column("override", _NUMBER, nullable=True))
        batch_op.add_column(sa.Column("waits", KEY, nullable=True))
        batch_op.add_column(sa.Column("guarded", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("alone", sa.Text(), nullable=True))
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("home", _NUMBER, nullable=True))
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.add_column(sa.Column("number", _NUMBER, nullable=True))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("earlier", sa.Text(), nullable=True))
    op.execute(
        "UPDATE review SET number = (SELECT count(*) FROM review AS other"
        " WHERE other.a < review.a OR (other.a = review.a AND other.b <= review.b))"
    )
    op.create_index("uq_review_number", "review", ["number"], unique=True)
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.add_column(sa.Column("was_of", _NUMBER, nullable=True))
    op.create_index(op.f("ix_person_waits_score"), "person", ["waits", "score"])
    _find_accounts()


def _find_accounts() -> None:
    """By their stored form: the domains of companies and of people whose CRM names none, and the company of each deal.
    A record that is told again as it stands is not stored again, so nothing else would fill them."""
    db = op.get_bind()
    of_kind = sa.text(
        "SELECT ref, body FROM record WHERE kind = :kind AND ref > :after ORDER BY ref LIMIT 1000"
    )
    for kind, field in (("company", "company_domain"), ("person", "email_domain"), ("opportunity", "")):
        after = ""
        while rows := db.execute(of_kind, {"kind": kind, "after": after}).all():
            after = rows[-1].ref
            told = [(row.ref, json.loads(row.body)) for row in rows]
            if field:
                domains = [
                    {"domain": domain, "ref": ref}
                    for ref, body in told
                    if isinstance(domain := (body.get("fields") or {}).get(field), str)
                    and (kind == "company" or not body.get("company"))
                    and email_kind(f"somebody@{domain}") == "business"
                ]
                if domains:
                    db.execute(
                        sa.text("INSERT INTO company_domain (domain, ref) VALUES (:domain, :ref)"), domains
                    )
                continue
            named = [{"company": body["company"], "ref": ref} for ref, body in told if body.get("company")]
            if named:
                db.execute(sa.text("UPDATE record SET company = :company WHERE ref = :ref"), named)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_person_waits_score"), table_name="person")
    op.drop_index("uq_review_number", table_name="review")
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.drop_column("earlier")
        batch_op.drop_column("note")
        batch_op.drop_column("number")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_column("home")
    with op.batch_alter_table("stage_history", schema=None) as batch_op:
        batch_op.drop_column("was_of")
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_column("alone")
        batch_op.drop_column("guarded")
        batch_op.drop_column("waits")
        batch_op.drop_column("override")
        batch_op.drop_column("audience")
    with op.batch_alter_table("file_version", schema=None) as batch_op:
        batch_op.drop_column("agreed")
        batch_op.drop_column("brings_back")
    for name in ("company_domain", "bar", "notice", "override", "draft_approval", "draft"):
        op.drop_table(name)
