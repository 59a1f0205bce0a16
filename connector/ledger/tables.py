"""The tables of the ledger, as SQLModel declares them. Says what is kept and what is found quickly; runs no query.

A CRM's record is named everywhere by one text, `crm:object:id`. There are no foreign keys to records on purpose:
engagement, links and roles may name a record that has not been read yet, and join when it appears.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from connector.ledger.types import KEY, UtcTime

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_NEVER_REUSED = {"sqlite_autoincrement": True}  # ids that people quote never come to mean something else


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMES))):
    """Base of the ledger's tables, with a metadata of its own so that a host's models are left alone."""


def _key(**more: Any) -> Any:
    return Field(sa_column=Column(KEY, primary_key=True, **more))


# SQLite numbers rows by themselves only in a column declared INTEGER, which has 64 bits there.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Any:
    return Field(default=None, sa_column=Column(_NUMBER, primary_key=True, autoincrement=True))


def _col(kind: Any, *, null: bool = False, **more: Any) -> Any:
    return Field(default=None, sa_column=Column(kind, nullable=null, **more))


# ------------------------------------------------------------------------------ runs and configuration


class Run(Row, table=True):
    """A run and the document that its `--json` printed."""

    __tablename__ = "run"
    __table_args__: ClassVar[Any] = _NEVER_REUSED
    id: int | None = _id()
    kind: str = _col(Text)
    status: str = _col(Text)
    crms: str = _col(Text)
    started_at: datetime = _col(UtcTime)
    finished_at: datetime | None = _col(UtcTime, null=True)
    document: str = _col(Text)
    backfill: int | None = _col(_NUMBER, null=True)
    asked_by: str | None = _col(Text, null=True)


class BackfillRow(Row, table=True):
    """A backfill as it was asked for, and where it stands; `run` is the last that worked on it (or will)."""

    __tablename__ = "backfill"
    __table_args__: ClassVar[Any] = (Index(None, "crm", "status"), _NEVER_REUSED)
    id: int | None = _id()
    crm: str = _col(KEY)
    object: str = _col(Text)
    since: datetime | None = _col(UtcTime, null=True)
    until: datetime | None = _col(UtcTime, null=True)
    yes: bool = _col(Boolean)
    status: str = _col(KEY)
    wish: str = _col(Text)
    reason: str = _col(Text)
    estimate: str = _col(Text)
    run: int = _col(_NUMBER)
    created_at: datetime = _col(UtcTime)
    changed_at: datetime = _col(UtcTime)


class BackfillStreamRow(Row, table=True):
    """How far a stream of a backfill is. Its cursor is no watermark and moves none."""

    __tablename__ = "backfill_stream"
    backfill: int = Field(sa_column=Column(_NUMBER, primary_key=True, autoincrement=False))
    stream: str = _key()
    place: int = _col(Integer)
    cursor: str | None = _col(Text, null=True)
    rows: int = _col(Integer)
    expected: int | None = _col(Integer, null=True)
    done: bool = _col(Boolean)
    saved_at: datetime = _col(UtcTime)


class LeaseRow(Row, table=True):
    """Who may do one piece of work, until when; `epoch` counts the holders."""

    __tablename__ = "lease"
    name: str = _key()
    holder: str = _col(Text)
    epoch: int = _col(Integer)
    expires_at: datetime = _col(UtcTime)


class JobRow(Row, table=True):
    """Work that is done by the clock, once among all replicas: when it was begun last, when it was last done to its
    end, and why its last try failed."""

    __tablename__ = "job"
    name: str = _key()
    begun_at: datetime = _col(UtcTime)
    done_at: datetime | None = _col(UtcTime, null=True)
    failed: str = _col(Text)


class BrakeRow(Row, table=True):
    """Nothing more is pushed to this CRM until somebody starts it again."""

    __tablename__ = "brake"
    crm: str = _key()
    by: str = _col(Text)
    why: str = _col(Text)
    at: datetime = _col(UtcTime)


class RequestRow(Row, table=True):
    """Work that a command left to the sidecar that serves these CRMs; `answer` is the document that it printed."""

    __tablename__ = "request"
    __table_args__: ClassVar[Any] = (Index(None, "status"), _NEVER_REUSED)
    id: int | None = _id()
    kind: str = _col(KEY)  # sync, apply, undo, backfill
    crms: str = _col(Text)
    arguments: str = _col(Text)
    status: str = _col(KEY)  # queued, running, done, failed
    asked_by: str = _col(Text)
    asked_at: datetime = _col(UtcTime)
    changed_at: datetime = _col(UtcTime)
    run: int | None = _col(_NUMBER, null=True)
    answer: str = _col(Text)


class AccountRow(Row, table=True):
    """The portal or org of a CRM that this ledger belongs to."""

    __tablename__ = "account"
    crm: str = _key()
    account: str = _col(Text)
    bound_at: datetime = _col(UtcTime)


class FileVersion(Row, table=True):
    """A version of the definition: the text of every file, by name."""

    __tablename__ = "file_version"
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    files: str = _col(Text)
    author: str = _col(Text)
    note: str = _col(Text)
    adopted_at: datetime = _col(UtcTime)
    brings_back: int | None = _col(Integer, null=True)  # the earlier version whose files these are again
    agreed: str | None = _col(Text, null=True)  # who approved of it: side -> name, note, moment


class DraftRow(Row, table=True):
    """A definition that is not in force (yet): the text of every file. `base`: the version it was edited from."""

    __tablename__ = "draft"
    __table_args__: ClassVar[Any] = (Index(None, "status"), _NEVER_REUSED)
    id: int | None = _id()
    base: int = _col(Integer)
    files: str = _col(Text)
    digest: str = _col(KEY)  # of the files, so that the same edit is one draft
    author: str = _col(Text)
    note: str = _col(Text)
    status: str = _col(KEY)  # open, published, discarded, overtaken
    made_at: datetime = _col(UtcTime)
    changed_at: datetime = _col(UtcTime)
    version: int | None = _col(Integer, null=True)  # published as
    brings_back: int | None = _col(Integer, null=True)  # the earlier version whose files these are again


class DraftApproval(Row, table=True):
    """One of the two sides (marketing, sales) agrees to a draft as it stands."""

    __tablename__ = "draft_approval"
    draft: int = Field(sa_column=Column(_NUMBER, primary_key=True, autoincrement=False))
    side: str = _key()
    by: str = _col(Text)
    note: str = _col(Text)
    at: datetime = _col(UtcTime)
    proof: str | None = _col(Text, null=True)  # `connector.core.approval.Proof`; null: claimed


class OverrideRow(Row, table=True):
    """A human's word about a person, company or domain that stands above the rules. Ended ones are kept.

    `target`: an address or `crm:object:id` for a person, `crm:object:id` for a company, a domain.
    `source` is empty for one that was told to us, else the CRM's record and field that says so.
    """

    __tablename__ = "override"
    __table_args__: ClassVar[Any] = (Index(None, "scope", "target"), _NEVER_REUSED)
    id: int | None = _id()
    kind: str = _col(KEY)  # mql_now, never, hold
    scope: str = _col(KEY)  # person, company, domain
    target: str = _col(KEY)
    until: datetime | None = _col(UtcTime, null=True)  # of a hold
    expires_at: datetime | None = _col(UtcTime, null=True)
    author: str = _col(Text)
    reason: str = _col(Text)
    source: str = _col(Text)
    made_at: datetime = _col(UtcTime)
    ended_at: datetime | None = _col(UtcTime, null=True)
    ended_by: str | None = _col(Text, null=True)


class NoticeRow(Row, table=True):
    """Something that somebody is to be told once; `key` makes it one thing. `told_at` is empty until it was told.

    `quiet`: it is not told by itself, a summary counts it. `routed_at`: when it was settled whom to tell."""

    __tablename__ = "notice"
    __table_args__: ClassVar[Any] = (
        Index("uq_notice_key", "kind", "key", unique=True),
        Index(None, "routed_at"),
        Index(None, "told_at"),
        Index(None, "run"),
    )
    id: int | None = _id()
    kind: str = _col(KEY)
    key: str = _col(KEY)
    person: int | None = _col(_NUMBER, null=True)
    to: str = _col(Text)  # the owner in the CRM's words, or a role: revops
    text: str = _col(Text)
    made_at: datetime = _col(UtcTime)
    told_at: datetime | None = _col(UtcTime, null=True)
    run: int | None = _col(_NUMBER, null=True)  # the one that made it; empty: none did
    quiet: bool | None = _col(Boolean, null=True)
    routed_at: datetime | None = _col(UtcTime, null=True)


class BarRow(Row, table=True):
    """The relative bar of an audience as a run found it: which score got in, how many places there were."""

    __tablename__ = "bar"
    __table_args__: ClassVar[Any] = (Index(None, "audience", "at"),)
    id: int | None = _id()
    audience: str = _col(KEY)
    at: datetime = _col(UtcTime)
    run: int = _col(_NUMBER)
    score: float | None = _col(Float(53), null=True)  # of the last who got in
    places: int | None = _col(Integer, null=True)
    taken: int = _col(Integer)
    waiting: int = _col(Integer)
    loosened: int = _col(Integer)  # how many got in below the fixed bar


class Audit(Row, table=True):
    """An administrative act. Rows are only ever added."""

    __tablename__ = "audit"
    __table_args__: ClassVar[Any] = _NEVER_REUSED
    id: int | None = _id()
    at: datetime = _col(UtcTime)
    actor: str = _col(Text)
    act: str = _col(Text)
    subject: str = _col(Text)
    detail: str = _col(Text)


class AuditAbout(Row, table=True):
    """Which records a line of the audit trail is about, where it is looked for by them."""

    __tablename__ = "audit_about"
    __table_args__: ClassVar[Any] = {"sqlite_with_rowid": False}
    ref: str = _key()
    line: int = Field(sa_column=Column(_NUMBER, primary_key=True, autoincrement=False))


class SealedToken(Row, table=True):
    """A rotated refresh token, sealed by the application before it comes here."""

    __tablename__ = "sealed_token"
    crm: str = _key()
    sealed: str = _col(Text)
    saved_at: datetime = _col(UtcTime)


class LearnedRow(Row, table=True):
    """Something found out about an account: a probe's answer (it may set a switch), or which targets are there."""

    __tablename__ = "learned"
    crm: str = _key()
    name: str = _key()
    switch: str = _col(Text)
    value: str = _col(Text)
    what: str = _col(Text)
    learned_at: datetime = _col(UtcTime)


# --------------------------------------------------------------------------------------- what CRMs say


class WatermarkRow(Row, table=True):
    """Up to where a stream is saved."""

    __tablename__ = "watermark"
    crm: str = _key()
    stream: str = _key()
    cursor: str = _col(Text)
    run: int = _col(_NUMBER)
    saved_at: datetime = _col(UtcTime)


class RecordRow(Row, table=True):
    """A CRM's record: normalized (`body`) beside the vendor's own values (`vendor`)."""

    __tablename__ = "record"
    __table_args__: ClassVar[Any] = (
        Index(None, "company"),
        Index(None, "person_id"),
        Index(None, "vendor_id"),
    )
    ref: str = _key()
    kind: str = _col(Text)  # person, company, opportunity
    vendor_id: str = _col(KEY)
    body: str = _col(Text)
    vendor: str = _col(Text)
    company: str | None = _col(KEY, null=True)
    state: str = _col(Text)
    first_load: bool = _col(Boolean)
    changed_at: datetime = _col(UtcTime)
    observed_at: datetime = _col(UtcTime)
    person_id: int | None = _col(_NUMBER, null=True)
    home: int | None = _col(_NUMBER, null=True)  # whose it was before a join; 0: nobody's
    known_at: datetime = _col(UtcTime)  # since when it is known: first read, or changed before a first load


class Address(Row, table=True):
    """Which records carry an e-mail address."""

    __tablename__ = "address"
    __table_args__: ClassVar[Any] = (Index(None, "ref"), {"sqlite_with_rowid": False})
    email: str = _key()
    ref: str = _key()


class CompanyDomain(Row, table=True):
    """Which companies have a business domain, and which people whose CRM names no company have an address of one."""

    __tablename__ = "company_domain"
    __table_args__: ClassVar[Any] = (Index(None, "ref"), {"sqlite_with_rowid": False})
    domain: str = _key()
    ref: str = _key()


class Link(Row, table=True):
    """A record names another as the same person: an explicit id, a merge or a conversion."""

    __tablename__ = "link"
    __table_args__: ClassVar[Any] = (Index(None, "other"), {"sqlite_with_rowid": False})
    ref: str = _key()
    other: str = _key()


class Role(Row, table=True):
    """Who plays a role in an opportunity."""

    __tablename__ = "role"
    __table_args__: ClassVar[Any] = (Index(None, "opportunity"), {"sqlite_with_rowid": False})
    person: str = _key()
    opportunity: str = _key()


class EngagementRow(Row, table=True):
    """Something a person did; `about` is empty where the vendor only knew an address (or nobody)."""

    __tablename__ = "engagement"
    __table_args__: ClassVar[Any] = (
        Index("uq_engagement_key", "crm", "stream", "key", "about", unique=True),
        Index(None, "about"),
        Index(None, "email"),
    )
    id: int | None = _id()
    crm: str = _col(KEY)
    stream: str = _col(KEY)
    key: str = _col(KEY)
    about: str = _col(KEY)
    email: str | None = _col(KEY, null=True)
    type: str = _col(Text)
    occurred_at: datetime = _col(UtcTime)
    name: str | None = _col(Text, null=True)
    url: str | None = _col(Text, null=True)
    campaign: str | None = _col(Text, null=True)
    channel: str | None = _col(Text, null=True)
    status: str | None = _col(Text, null=True)
    value: float | None = _col(Float(53), null=True)
    attributes: str = _col(Text)
    counted: bool = _col(Boolean)
    why_not: str | None = _col(Text, null=True)
    deleted: bool = _col(Boolean)
    known_at: datetime = _col(UtcTime)
    observed_at: datetime = _col(UtcTime)


class Reading(Row, table=True):
    """The last reading of a counter."""

    __tablename__ = "reading"
    ref: str = _key()
    counter: str = _key()
    value: float = _col(Float(53))
    read_at: datetime = _col(UtcTime)


class QuarantineRow(Row, table=True):
    """A row that could not be read as a record, with the run that last met it. Goes when the record reads well."""

    __tablename__ = "quarantine"
    crm: str = _key()
    object: str = _key()
    record: str = _key()
    why: str = _col(Text)
    run: int = _col(_NUMBER)
    met_at: datetime = _col(UtcTime)


class PastRecordRow(Row, table=True):
    """A record's normalized form, of whatever kind, as it stood until `known_until`."""

    __tablename__ = "past_record"
    __table_args__: ClassVar[Any] = (Index(None, "ref", "known_until"),)
    id: int | None = _id()
    ref: str = _col(KEY)
    body: str = _col(Text)
    known_until: datetime = _col(UtcTime)


class Former(Row, table=True):
    """By what else a record was found once: a company or a person that it named, its business domain."""

    __tablename__ = "former"
    __table_args__: ClassVar[Any] = {"sqlite_with_rowid": False}
    name: str = _key()
    ref: str = _key()


class Due(Row, table=True):
    """A person record that is to be decided again; `crm` is empty unless only a run of that CRM may take it up.

    `crm` is `backfill:ID` while that backfill is still reading: only its own run takes them up, once all is read.
    `serial` counts the marks, so that a decision clears only what it has seen.
    """

    __tablename__ = "due"
    __table_args__: ClassVar[Any] = (Index(None, "not_before"), {"sqlite_with_rowid": False})
    ref: str = _key()
    crm: str = _key()
    not_before: datetime = _col(UtcTime)
    serial: int = _col(Integer)


# -------------------------------------------------------------------------------------- what we decide


class PersonRow(Row, table=True):
    """A person as the last decision left them. `ended_at`: no record belongs to them any more."""

    __tablename__ = "person"
    __table_args__: ClassVar[Any] = (
        Index(None, "stage", "score"),
        Index(None, "score"),
        Index(None, "waits", "score"),
        _NEVER_REUSED,
    )
    id: int | None = _id()
    fields: str = _col(Text)
    fit: float = _col(Float(53))
    engagement: float = _col(Float(53))
    score: float = _col(Float(53))
    band: int = _col(Integer)
    grade: str = _col(Text)
    disqualified: str | None = _col(Text, null=True)
    hand_raised: str | None = _col(Text, null=True)
    contributions: str = _col(Text)
    stage: str = _col(Text)
    status: str = _col(Text)
    state: str = _col(Text)
    decays: bool = _col(Boolean)
    look_again_at: datetime | None = _col(UtcTime, null=True)
    decided_at: datetime = _col(UtcTime)
    criteria_version: int = _col(Integer)
    run: int = _col(_NUMBER)
    ended_at: datetime | None = _col(UtcTime, null=True)
    audience: str | None = _col(KEY, null=True)
    override: int | None = _col(_NUMBER, null=True)  # the one in force at the last decision
    waits: str | None = _col(KEY, null=True)  # for a place among the best: the audience whose place it is
    guarded: str | None = _col(Text, null=True)  # the guard that kept the person from becoming MQL
    privacy: str | None = _col(KEY, null=True)  # do_not_score or no_behaviour, by the criteria's `privacy`
    alone: str | None = _col(Text, null=True)  # the state before others were joined, and when that was


class StageHistory(Row, table=True):
    """One step of a person's stage or MQL status, with its reason."""

    __tablename__ = "stage_history"
    __table_args__: ClassVar[Any] = (Index(None, "person", "at"), Index(None, "at"))
    id: int | None = _id()
    person: int = _col(_NUMBER)
    at: datetime = _col(UtcTime)
    from_stage: str | None = _col(Text, null=True)
    to_stage: str = _col(Text)
    from_status: str = _col(Text)
    to_status: str = _col(Text)
    because: str = _col(Text)
    adopted: bool = _col(Boolean)
    entered_mql: bool = _col(Boolean)
    left_mql: bool = _col(Boolean)
    criteria_version: int = _col(Integer)
    run: int = _col(_NUMBER)
    before: str | None = _col(Text, null=True)  # the whole state that it went on from
    undoes: int | None = _col(_NUMBER, null=True)  # the step that this one takes back
    was_of: int | None = _col(_NUMBER, null=True)  # the person it was kept for before a human joined the two


class ReviewRow(Row, table=True):
    """A pair of records for a human; `answer` is `join` or `split` once they have decided. `why` is empty where nobody
    asked; `earlier` are the answers that this one replaced, oldest first."""

    __tablename__ = "review"
    __table_args__: ClassVar[Any] = (Index(None, "b"), Index("uq_review_number", "number", unique=True))
    a: str = _key()
    b: str = _key()
    why: str = _col(Text)
    found_at: datetime = _col(UtcTime)
    answer: str | None = _col(Text, null=True)
    answered_at: datetime | None = _col(UtcTime, null=True)
    answered_by: str | None = _col(Text, null=True)
    number: int | None = _col(_NUMBER, null=True)
    note: str | None = _col(Text, null=True)
    earlier: str | None = _col(Text, null=True)


# --------------------------------------------------------------------------------------- what we write


class Plan(Row, table=True):
    """A write plan of one CRM. `held`: why it waits for a human; `undoes`: the run whose writes it takes back."""

    __tablename__ = "plan"
    __table_args__: ClassVar[Any] = (Index(None, "crm", "status"), _NEVER_REUSED)
    id: int | None = _id()
    run: int = _col(_NUMBER)
    crm: str = _col(KEY)
    status: str = _col(Text)
    created_at: datetime = _col(UtcTime)
    kind: str = _col(Text)  # sync, backfill, undo
    definition: int = _col(Integer)
    asked_by: str = _col(Text)
    held: str = _col(Text)
    summary: str = _col(Text)
    undoes: int | None = _col(_NUMBER, null=True)
    approved_by: str | None = _col(Text, null=True)
    approved_at: datetime | None = _col(UtcTime, null=True)
    approval_note: str | None = _col(Text, null=True)
    approval_proof: str | None = _col(Text, null=True)  # `connector.core.approval.Proof`; null: claimed
    let_go_at: datetime | None = _col(UtcTime, null=True)  # since then its before-images are gone


class PlanRowRow(Row, table=True):
    """A planned write with its before-images, and what came of it."""

    __tablename__ = "plan_row"
    __table_args__: ClassVar[Any] = (
        Index("uq_plan_row_plan_ref", "plan", "ref", unique=True),
        Index(None, "plan", "status"),
        Index(None, "crm", "status"),
        Index(None, "person"),
        Index(None, "ref"),
    )
    id: int | None = _id()
    plan: int = _col(_NUMBER)
    crm: str = _col(KEY)
    person: int = _col(_NUMBER)
    ref: str = _col(KEY)
    status: str = _col(Text)
    writes: str = _col(Text)
    held_back: str = _col(Text)
    because: str = _col(Text)
    reason: str = _col(Text)
    code: str = _col(Text)
    read_at: datetime | None = _col(UtcTime, null=True)
    sent_at: datetime | None = _col(UtcTime, null=True)
    settled_at: datetime | None = _col(UtcTime, null=True)
    job: str | None = _col(Text, null=True)  # the vendor's job that carries it
    kind: str = _col(Text)  # promotion, demotion, clearing, score
    rules: str = _col(Text)  # of the criteria, responsible for it
    stage: str | None = _col(Text, null=True)  # of the record when this was planned


class Written(Row, table=True):
    """The last value we wrote to a field; `stage` is our word for it where the field is a lifecycle stage,
    `plan_row` the planned write that did it, `theirs` says that an undo put back what somebody else had set."""

    __tablename__ = "written"
    ref: str = _key()
    field: str = _key()
    value: str = _col(Text)
    stage: str | None = _col(Text, null=True)
    written_at: datetime = _col(UtcTime)
    plan_row: int | None = _col(_NUMBER, null=True)
    theirs: bool | None = _col(Boolean, null=True)


class HoldRow(Row, table=True):
    """A field of a record that we leave alone for now: `undone` until something else than `value` is wanted, or
    `tugged`, which somebody else keeps changing back (counted in `times`; held from the third on)."""

    __tablename__ = "hold"
    ref: str = _key()
    field: str = _key()
    kind: str = _key()
    value: str = _col(Text)
    other: str = _col(Text)
    times: int = _col(Integer)
    run: int = _col(_NUMBER)
    why: str = _col(Text)
    at: datetime = _col(UtcTime)


class RefusalRow(Row, table=True):
    """The last refused difference of a record."""

    __tablename__ = "refusal"
    ref: str = _key()
    kind: str = _col(Text)
    wanted: str = _col(Text)
    reason: str = _col(Text)
    refused_at: datetime = _col(UtcTime)


def table(model: type[Row]) -> Table:
    """The Core table of a model."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


METADATA: MetaData = Row.metadata

RUN, LEASE, ACCOUNT, FILE_VERSION = table(Run), table(LeaseRow), table(AccountRow), table(FileVersion)
AUDIT, SEALED_TOKEN, WATERMARK = table(Audit), table(SealedToken), table(WatermarkRow)
AUDIT_ABOUT, FORMER = table(AuditAbout), table(Former)
LEARNED = table(LearnedRow)
RECORD, ADDRESS, LINK, ROLE = table(RecordRow), table(Address), table(Link), table(Role)
ENGAGEMENT, READING, QUARANTINE = table(EngagementRow), table(Reading), table(QuarantineRow)
PAST_RECORD, DUE, PERSON = table(PastRecordRow), table(Due), table(PersonRow)
STAGE_HISTORY, REVIEW, PLAN = table(StageHistory), table(ReviewRow), table(Plan)
PLAN_ROW, WRITTEN, REFUSAL = table(PlanRowRow), table(Written), table(RefusalRow)
BRAKE, REQUEST, HOLD = table(BrakeRow), table(RequestRow), table(HoldRow)
JOB = table(JobRow)
DRAFT, DRAFT_APPROVAL, OVERRIDE = table(DraftRow), table(DraftApproval), table(OverrideRow)
NOTICE, BAR, COMPANY_DOMAIN = table(NoticeRow), table(BarRow), table(CompanyDomain)
BACKFILL, BACKFILL_STREAM = table(BackfillRow), table(BackfillStreamRow)
