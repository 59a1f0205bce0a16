"""Which columns of the ledger hold personal data, which say whom a row is about, and what an erasure does to the rows.

The one place that says so: export and erasure walk it. A new table or column is added here; a test fails until it is.
Runs no query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Is(StrEnum):
    """What a column holds."""

    NEITHER = auto()
    """Nothing about a person of the CRMs: numbers, moments, words of ours."""
    STAFF = auto()
    """Who works with this: authors, owners, tokens. Kept, so that what was done keeps a name; no erasure reaches it."""
    PERSONAL = auto()
    """Values of the person whom the row is about."""
    MENTIONS = auto()
    """A text that may quote somebody, in a row that is about nobody in particular."""
    BY_KEY = auto()
    """The same, but names in it are of who works with this: only an address or a record is looked for."""
    KEY = auto()
    """Whom the row is about: an address, a record (`crm:object:id`) or a visitor's id."""
    PERSON = auto()
    """The same, by the number of a person."""
    RECORD_ID = auto()
    """The same, by the id of a record whose CRM and object stand in `crm` and `object`."""


class Erase(Enum):
    """What an erasure does to the rows that are about somebody."""

    DELETE = auto()
    ANONYMISE = auto()  # what reports count is kept, about nobody (`store_erase` says how)
    SCRUB = auto()  # the person is taken out of the texts
    KEEP = auto()  # there is nothing of a person in it


FINDS = (Is.KEY, Is.PERSON, Is.RECORD_ID)
QUOTES = (Is.MENTIONS, Is.BY_KEY)


@dataclass(frozen=True, slots=True)
class Declared:
    """A table: what its rows are in words, what an erasure does to them, what each column holds."""

    what: str
    erase: Erase
    columns: Mapping[str, Is]

    def of(self, *kinds: Is) -> tuple[str, ...]:
        """The columns of these kinds."""
        return tuple(name for name, kind in self.columns.items() if kind in kinds)


def _table(what: str, erase: Erase, **columns: str) -> Declared:
    """Columns by kind: `neither="id at"`."""
    return Declared(
        what, erase, {name: Is(kind) for kind, names in columns.items() for name in names.split()}
    )


DECLARED: Mapping[str, Declared] = {
    # what the CRMs say
    "record": _table(
        "records of the CRMs", Erase.DELETE,
        key="ref", personal="person_id home vendor_id body vendor company",
        neither="kind state first_load changed_at observed_at known_at",
    ),
    "past_record": _table(
        "how the records stood before", Erase.DELETE, key="ref", personal="body", neither="id known_until"
    ),
    "address": _table("addresses", Erase.DELETE, key="ref", personal="email"),
    "company_domain": _table("domain of the mail", Erase.DELETE, key="ref", personal="domain"),
    "link": _table("records that name each other as one person", Erase.DELETE, key="ref other"),
    "former": _table("by what records were found once", Erase.DELETE, key="ref name"),
    "role": _table("roles in deals", Erase.DELETE, key="person", personal="opportunity"),
    "engagement": _table(
        "engagement", Erase.DELETE,
        key="about email",
        personal="key type occurred_at name url campaign channel status value attributes counted why_not deleted",
        neither="id crm stream known_at observed_at",
    ),
    "visitor": _table(
        "ids of the application", Erase.DELETE, key="key email leads", neither="email_at leads_at"
    ),
    "awaited": _table("events of ids that are nobody's yet", Erase.DELETE, key="visitor", personal="event"),
    "hint": _table(
        "records to be read again", Erase.DELETE, record_id="record", neither="crm object at"
    ),
    "reading": _table("counters", Erase.DELETE, key="ref", personal="value", neither="counter read_at"),
    "quarantine": _table(
        "rows that could not be read", Erase.DELETE,
        record_id="record", personal="why", neither="crm object run met_at",
    ),
    "due": _table("to be decided again", Erase.DELETE, key="ref", neither="crm not_before serial"),
    # what we decide
    "person": _table(
        "the last decision", Erase.ANONYMISE,
        person="id",
        personal="fields fit engagement score band grade disqualified hand_raised contributions state decays "
        "look_again_at override waits guarded privacy alone",
        neither="stage status decided_at criteria_version run ended_at audience",
    ),
    "stage_history": _table(
        "steps of stage and MQL status", Erase.ANONYMISE,
        person="person", personal="was_of because before",
        neither="id at from_stage to_stage from_status to_status adopted entered_mql left_mql criteria_version run "
        "undoes",
    ),
    "spell": _table(
        "times as MQL", Erase.ANONYMISE,
        person="person", personal="touch", staff="owner",
        neither="id since audience source via quiet due_at remind_at escalate_at take_back_at touched_at reminded_at "
        "escalated_at ended_at ended run summed",
    ),
    "review": _table(
        "pairs for a human", Erase.DELETE,
        key="a b", personal="why note earlier", staff="answered_by", neither="found_at answer answered_at number",
    ),
    "override": _table(
        "words of humans above the rules", Erase.DELETE,
        key="target", personal="kind reason source", staff="author ended_by",
        neither="id scope until expires_at made_at ended_at",
    ),
    # what we write and tell
    "crm_task": _table(
        "tasks in the CRMs", Erase.DELETE,
        person="person", key="ref", personal="subject body task why", staff="owner",
        neither="spell crm due_at status asked_at settled_at",
    ),
    "plan_row": _table(
        "planned writes, with their before-images", Erase.ANONYMISE,
        key="ref", person="person", personal="writes held_back because reason stage job",
        neither="id plan crm status code read_at sent_at settled_at kind rules",
    ),
    "written": _table(
        "values that we wrote last", Erase.DELETE,
        key="ref", personal="value stage theirs", neither="field written_at plan_row",
    ),
    "hold": _table(
        "fields that are left alone", Erase.DELETE,
        key="ref", personal="value other why", neither="field kind times run at",
    ),
    "refusal": _table(
        "refused differences", Erase.DELETE, key="ref", personal="wanted reason", neither="kind refused_at"
    ),
    "notice": _table(
        "notices", Erase.ANONYMISE,
        person="person", mentions="key text", staff="to",
        neither="id kind made_at told_at run quiet routed_at",
    ),
    "delivery": _table(
        "notices on their way", Erase.KEEP,  # by the number of the notice; what waits goes with the notice
        staff="address", neither="id notice target status personal tries next_at told_at",
    ),
    # what may quote somebody
    "audit": _table(
        "audit trail", Erase.SCRUB, mentions="subject detail", by_key="actor", neither="id at act"
    ),
    "audit_about": _table("audit trail, by record", Erase.DELETE, key="ref", neither="line"),
    "run": _table(
        "runs", Erase.SCRUB, mentions="document", staff="asked_by",
        neither="id kind status crms started_at finished_at backfill",
    ),
    "request": _table(
        "work left to the sidecar", Erase.SCRUB, mentions="arguments answer", staff="asked_by",
        neither="id kind crms status asked_at changed_at run",
    ),
    "backfill": _table(
        "backfills", Erase.SCRUB, mentions="reason estimate",
        neither="id crm object since until yes status wish run created_at changed_at",
    ),
    "plan": _table(
        "plans", Erase.SCRUB, mentions="held summary approval_note", staff="asked_by approved_by",
        neither="id run crm status created_at kind definition undoes approved_at approval_proof let_go_at",
    ),
    "file_version": _table(
        "versions of the definition", Erase.SCRUB, mentions="note", by_key="files", staff="author agreed",
        neither="version adopted_at brings_back",
    ),
    "draft": _table(
        "drafts of the definition", Erase.SCRUB, mentions="note", by_key="files", staff="author",
        neither="id base digest status made_at changed_at version brings_back",
    ),
    "draft_approval": _table(
        "words on drafts", Erase.SCRUB, mentions="note", staff="by", neither="draft side at proof"
    ),
    "brake": _table("the brake", Erase.SCRUB, mentions="why", staff="by", neither="crm at"),
    "job": _table("work by the clock", Erase.SCRUB, mentions="failed", neither="name begun_at done_at"),
    "told": _table("what was told last", Erase.SCRUB, mentions="value", neither="name at"),
    "idempotency_key": _table(
        "answers to writes over the API", Erase.SCRUB, mentions="headers body", staff="caller",
        neither="key fingerprint begun_at attempt acted status",
    ),
    # nothing of a person
    "backfill_stream": _table(
        "streams of backfills", Erase.KEEP,
        neither="backfill stream place cursor rows expected done saved_at",
    ),
    "lease": _table("leases", Erase.KEEP, neither="name holder epoch expires_at"),
    "daily": _table("numbers of each day", Erase.KEEP, neither="day kind name value"),
    "account": _table("accounts of the CRMs", Erase.KEEP, neither="crm account bound_at"),
    "bar": _table(
        "bars of audiences", Erase.KEEP, neither="id audience at run score places taken waiting loosened"
    ),
    "sealed_token": _table("sealed refresh tokens", Erase.KEEP, neither="crm sealed saved_at"),
    "learned": _table("what probes learned", Erase.KEEP, neither="crm name switch value what learned_at"),
    "watermark": _table("watermarks", Erase.KEEP, neither="crm stream cursor run saved_at"),
    "crm_user": _table(
        "owners of records", Erase.KEEP, staff="id name email manager", neither="crm active queue read_at"
    ),
    "token": _table(
        "tokens of the API", Erase.KEEP,
        staff="name made_by revoked_by", neither="id role service hash made_at expires_at revoked_at last_used",
    ),
    "erased": _table("hashes of who was erased", Erase.KEEP, neither="hash key of erasure at"),
    "erasure_key": _table("keys of these hashes", Erase.KEEP, neither="id kept made_at"),
}  # fmt: skip
