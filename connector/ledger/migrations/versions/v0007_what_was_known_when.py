"""What was known when: since when a record is known, by which names one was found once, which lines of the audit trail
are about a record, which version a draft brings back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from connector.core.normalize.derive import email_kind
from connector.ledger.types import KEY, UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "former",
        sa.Column("name", KEY, nullable=False),
        sa.Column("ref", KEY, nullable=False),
        sa.PrimaryKeyConstraint("name", "ref", name=op.f("pk_former")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_about",
        sa.Column("ref", KEY, nullable=False),
        sa.Column("line", _NUMBER, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("ref", "line", name=op.f("pk_audit_about")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.add_column(sa.Column("brings_back", sa.Integer(), nullable=True))
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("known_at", UtcTime(), nullable=True))
    _date_records()
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.alter_column("known_at", existing_type=UtcTime(), nullable=False)
    _find_former()
    _find_acts()


def _date_records() -> None:
    """`observed_at` moves whenever a record is stored anew, be it for an echo of ours. What the oldest form that is
    kept says of its own last change is as near as can be known, and never later than that."""
    db = op.get_bind()
    op.execute("UPDATE record SET known_at = observed_at")
    record = sa.table("record", sa.column("ref", KEY), sa.column("body"), sa.column("known_at", UtcTime()))
    past = sa.table(
        "past_record",
        sa.column("id"),
        sa.column("ref", KEY),
        sa.column("body"),
        sa.column("known_until", UtcTime()),
    )
    dated = (
        sa.update(record)
        .where(record.c.ref == sa.bindparam("its_ref"), record.c.known_at > sa.bindparam("since"))
        .values(known_at=sa.bindparam("since", type_=UtcTime()))
    )
    after = ""
    while rows := db.execute(
        sa.select(record.c.ref, record.c.body).where(record.c.ref > after).order_by(record.c.ref).limit(1000)
    ).all():
        after = rows[-1].ref
        forms = {row.ref: row.body for row in rows}
        older = sa.select(past.c.ref, past.c.body).where(past.c.ref >= rows[0].ref, past.c.ref <= after)
        for row in db.execute(older.order_by(past.c.known_until.desc(), past.c.id.desc())):
            forms[row.ref] = row.body  # the oldest comes last
        told = [(ref, json.loads(body).get("changed_at")) for ref, body in forms.items()]
        since = [
            {"its_ref": ref, "since": datetime.fromisoformat(at).astimezone(UTC)} for ref, at in told if at
        ]
        if since:
            db.execute(dated, since)


def _find_former() -> None:
    """The companies and business domains under which people were found once; of other records no past was kept."""
    db = op.get_bind()
    of_people = sa.text(
        "SELECT past_record.id, past_record.ref, past_record.body, record.body AS now FROM past_record"
        " JOIN record ON record.ref = past_record.ref WHERE past_record.id > :after ORDER BY past_record.id LIMIT 1000"
    )
    after = 0
    known: set[tuple[str, str]] = set()
    while rows := db.execute(of_people, {"after": after}).all():
        after = rows[-1].id
        found = {
            (name, row.ref)
            for row in rows
            for name in _names(json.loads(row.body)) - _names(json.loads(row.now))
        }
        if fresh := sorted(found - known):
            known |= found
            db.execute(
                sa.text("INSERT INTO former (name, ref) VALUES (:name, :ref)"),
                [{"name": name, "ref": ref} for name, ref in fresh],
            )


def _names(body: Mapping[str, Any]) -> set[str]:
    if body.get("company"):
        return {body["company"]}
    domain = (body.get("fields") or {}).get("email_domain")
    return {domain} if isinstance(domain, str) and email_kind(f"somebody@{domain}") == "business" else set()


def _find_acts() -> None:
    """What humans have done to pairs: the subject of such a line names both."""
    db = op.get_bind()
    acts = sa.text(
        "SELECT id, subject FROM audit WHERE act IN ('review join', 'review split', 'review undo')"
    )
    about = sorted({(ref, row.id) for row in db.execute(acts).all() for ref in row.subject.split(" ", 1)})
    if about:
        db.execute(
            sa.text("INSERT INTO audit_about (ref, line) VALUES (:ref, :line)"),
            [{"ref": ref, "line": line} for ref, line in about],
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_column("known_at")
    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.drop_column("brings_back")
    for name in ("audit_about", "former"):
        op.drop_table(name)
