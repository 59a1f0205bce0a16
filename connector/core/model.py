"""The words of the flow, as frozen values. Knows no CRM by name and decides nothing.

All times are aware and UTC. "Theirs" means the vendor's spelling; "ours" means the fields of docs/reference/fields.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

JsonValue = Any  # str | int | float | bool | None | list | dict, as JSON has it
Value = str | int | float | bool | datetime | None


class RecordState(StrEnum):
    """What became of a CRM's record. Only `live` records are targets of writes."""

    LIVE = "live"
    ARCHIVED = "archived"  # deleted, may be restored
    MERGED = "merged"  # absorbed by another record, see `moved_to`
    CONVERTED = "converted"  # a Lead that became a Contact, see `moved_to`
    GONE = "gone"  # deleted for good


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A CRM's own record: `Ref("hubspot", "contact", "151")`, `Ref("salesforce", "Lead", "00Q...")`."""

    crm: str
    object: str
    id: str

    def __str__(self) -> str:
        return f"{self.crm}:{self.object}:{self.id}"


# ---------------------------------------------------------------------------------------------- what a CRM tells


@dataclass(frozen=True, slots=True)
class VendorRecord:
    """A record as its CRM tells it: flat, in the vendor's spelling, blanks already None.

    `kind` says what it is to us: `person`, `company` or `opportunity`. Related records that the vendor inlines
    stay flat under dotted names (`Account.Name`).
    """

    ref: Ref
    kind: str
    values: Mapping[str, JsonValue]
    changed_at: datetime
    created_at: datetime | None = None
    state: RecordState = RecordState.LIVE
    moved_to: Ref | None = None
    absorbed: tuple[Ref, ...] = ()  # records merged into this one
    counterparts: tuple[Ref, ...] = ()  # the same person elsewhere, by the vendor's explicit ids
    company: Ref | None = None
    people: tuple[Ref, ...] = ()  # of an opportunity: who plays a role in it
    stage_at: datetime | None = None  # when its lifecycle stage was last changed, where the vendor knows
    status_at: datetime | None = None  # when its lead status was last changed, where the vendor knows


@dataclass(frozen=True, slots=True)
class VendorEvent:
    """Something somebody did, as the CRM tells it. `key` is unique within (crm, stream).

    `about` names person records; where the vendor only knows an address, `email` does (as given, not normalized).
    `deleted` says that the vendor took it back.
    """

    crm: str
    stream: str
    key: str
    values: Mapping[str, JsonValue]
    occurred_at: datetime
    about: tuple[Ref, ...] = ()
    email: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not even be read as a record, with the reason. Never silently dropped."""

    crm: str
    object: str
    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Census:
    """All that is alive between two ids: whatever else is known of there has gone without leaving a trace.

    `state`: what its records are known as, `archived` for the census of a recycle bin.
    `object` is the vendor object whose records are counted; empty: the engagement of the page's stream, by its keys.
    `after` is left out of the range and `up_to` lies in it, None is open at that end. Of two ids the shorter comes
    first and equally long ones go by their characters: the order of whole numbers, and of ids of one length.
    """

    object: str
    alive: frozenset[str]
    after: str | None = None
    up_to: str | None = None
    state: RecordState = RecordState.LIVE


@dataclass(frozen=True, slots=True)
class Page:
    """What one fetch of a stream brought.

    `cursor` is JSON that is safe to store once this page is saved: pulling from it again repeats at most this
    page and misses nothing. `fetched` counts the rows on the wire, at least as many as the page tells. A `census`
    finds what was erased. `note` says of the stream why it was not read, where that is no failure: the account or
    the token does not have it.
    """

    stream: str
    cursor: Mapping[str, JsonValue]
    records: tuple[VendorRecord, ...] = ()
    events: tuple[VendorEvent, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    fetched: int = 0
    first_load: bool = False
    census: Census | None = None
    note: str = ""


# ---------------------------------------------------------------------------------------------- what it means to us


@dataclass(frozen=True, slots=True)
class Answer:
    """What sales said by setting a lead status: `accepted`, `rejected` or `working`."""

    kind: str
    status: str  # theirs, as set
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a record's own field says above the rules: `kind` as in `connector.core.override`. `field` is theirs."""

    kind: str
    field: str
    until: datetime | None = None  # of a hold; None: until the field is cleared
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person's record in one CRM, normalized: our fields, all addresses, explicit ids, what sales and CRM say.

    `held` is what the write targets hold now, in the vendor's spelling and form (None = blank or not fetched).
    `stage` is ours where the mapping knows the vendor's value, else the vendor's value as it stands.
    """

    ref: Ref
    fields: Mapping[str, Value]
    emails: tuple[str, ...] = ()
    same_as: tuple[Ref, ...] = ()
    company: Ref | None = None
    stage: str | None = None
    stage_at: datetime | None = None
    answer: Answer | None = None
    state: RecordState = RecordState.LIVE
    moved_to: Ref | None = None
    in_scope: bool = True
    held: Mapping[str, JsonValue] = field(default_factory=dict)  # what stands where we write; blanks left out
    changed_at: datetime | None = None
    created_at: datetime | None = None
    says: Said | None = None


@dataclass(frozen=True, slots=True)
class CompanyRecord:
    """A company's record in one CRM: only fields of ours that a person may inherit."""

    ref: Ref
    fields: Mapping[str, Value]
    state: RecordState = RecordState.LIVE
    changed_at: datetime | None = None
    moved_to: Ref | None = None  # the one that a merged company has become


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """A deal: who plays a role in it, whether it is closed, whether it is won. Observed, never scored."""

    ref: Ref
    people: tuple[Ref, ...]
    company: Ref | None
    is_closed: bool
    is_won: bool
    amount: float | None = None
    currency: str | None = None
    state: RecordState = RecordState.LIVE
    changed_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Engagement:
    """Something a person did. One row per person record it is about; joined by `about`, else by `email`.

    `counted` is False for what the counted-once rules set aside; `why_not` says which rule.
    """

    crm: str
    stream: str
    key: str
    type: str
    occurred_at: datetime
    about: Ref | None = None
    email: str | None = None
    name: str | None = None
    url: str | None = None
    campaign: str | None = None
    channel: str | None = None
    status: str | None = None
    value: float | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    counted: bool = True
    why_not: str | None = None
    deleted: bool = False

    def get(self, name: str) -> Value:
        """The field of this name as criteria write it, `attributes.…` included; None for an attribute it lacks."""
        if name.startswith("attributes."):
            return self.attributes.get(name.removeprefix("attributes."))
        value: Value = getattr(self, name)
        return value


# ---------------------------------------------------------------------------------------------- what we decide


@dataclass(frozen=True, slots=True)
class Contribution:
    """Points one rule gave, after decay and before caps."""

    rule: str
    points: float


@dataclass(frozen=True, slots=True)
class Score:
    """The arithmetic's answer for one person at one moment. Unrounded; see docs/reference/criteria.md."""

    fit: float
    engagement: float
    score: float
    band: int
    grade: str
    disqualified: str | None = None
    hand_raised: str | None = None
    contributions: tuple[Contribution, ...] = ()


class MqlStatus(StrEnum):
    """Where the qualification stands, beside the lifecycle stage."""

    NONE = "none"
    QUALIFIED = "qualified"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RECYCLED = "recycled"
    DISQUALIFIED = "disqualified"


@dataclass(frozen=True, slots=True)
class StageState:
    """What we hold of a person's stage between two decisions."""

    stage: str
    status: MqlStatus = MqlStatus.NONE
    since: datetime | None = None  # of the stage
    mql_since: datetime | None = None  # start of the present spell as MQL
    first_mql_at: datetime | None = None
    cool_off_until: datetime | None = None
    rejected_at: datetime | None = None  # only engagement newer than this may re-qualify
    answered_at: datetime | None = None  # of the last answer of sales that was used
    disqualified_by: str | None = None
    because: str = ""
    band: int | None = None  # when `because` was told; it is told anew when the band changes
    by_human: bool = False  # somebody set this stage in a CRM: points do not undo it
    dwell_from: datetime | None = None  # a dwell counts from here: entry, or adoption
    raised_from: str = (
        ""  # from where a rule of ours raised to `lead` or `sql`; only that is taken back by a rule
    )
    handed_at: datetime | None = None  # sales' answers count from here, where a rule has moved an MQL since
    guarded: str = ""  # what kept somebody who qualifies from becoming MQL, in words
    waits: bool = False  # qualifies by points, and waits for a place among the best
    loosened: bool = False  # became MQL below the fixed bar, as one of the best
    seen: tuple[str, ...] | None = None  # `ref=stage` at the last decision, so that only changes count
    undone: StageState | None = (
        None  # taken back by a human; reached again by the same facts it is nothing new
    )
    by_override: int | None = None  # the human's word that made this MQL, or keeps it from being one
    privacy: str = (
        ""  # how the criteria's `privacy` has this person treated: do_not_score, no_behaviour; else empty
    )
    taken_back_at: datetime | None = None  # when an MQL was last taken back because sales had not touched it

    @property
    def taken_back(self) -> bool:
        """Whether that is what the person stands by now."""
        return (
            self.taken_back_at is not None
            and self.status is MqlStatus.RECYCLED
            and self.rejected_at == self.taken_back_at
        )


@dataclass(frozen=True, slots=True)
class StageChange:
    """One step of a person's stage or MQL status, for the history."""

    at: datetime
    from_stage: str | None
    to_stage: str
    from_status: MqlStatus
    to_status: MqlStatus
    because: str
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class StageDecision:
    """What a decision made of a person: the state to keep, the step taken (if any), when to look again."""

    state: StageState
    change: StageChange | None
    because: str  # at most 255 characters, for `mql_reason`
    entered_mql: bool = False
    left_mql: bool = False
    look_again_at: datetime | None = None
    guarded: str = ""  # the guard that keeps somebody who qualifies from becoming MQL, in words
    waits: bool = False  # qualifies, and waits for a place among the best
    by_override: bool = False  # the MQL status (or its end) is a human's word, not the rules'
    loosened: bool = False  # entered MQL below the fixed bar, as one of the best


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """One field of a planned write: before-image, what is to stand there, under which write rule.

    Values are JSON: text, numbers, booleans, None to clear, times as `2026-11-22T10:00:00Z`. `two_step`: the CRM lets
    this stage only rise, so it is cleared and then set; kept with the row, it is the intent that a restart finishes.
    """

    field: str
    before: JsonValue
    after: JsonValue
    rule: str
    result: str  # our name for it: score, band, stage ...
    two_step: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A difference that is not sent, and why: a write rule, scope, a limit."""

    field: str
    before: JsonValue
    wanted: JsonValue
    why: str


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """What we would say about one record: fields to send, fields held back, and why.

    `kind` as `core.kinds.kind_of` tells it; `rules` are the ids of the criteria's rules that are responsible.
    `stage` (our word) is what the record's own stage was, written or not: a decision made on another one is void.
    """

    ref: Ref
    writes: tuple[FieldWrite, ...]
    held_back: tuple[HeldBack, ...] = ()
    because: str = ""
    kind: str = ""
    rules: tuple[str, ...] = ()
    stage: str | None = None

    @property
    def fate(self) -> str:
        """`planned`, `held_back` or `unchanged`: the first that fits (DESIGN: the sums)."""
        if self.writes:
            return "planned"
        return "held_back" if self.held_back else "unchanged"


class Outcome(StrEnum):
    """What came of a planned write. Nothing is assumed to have happened."""

    WRITTEN = "written"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    SET_ASIDE = "set_aside"
    WAITING = "waiting"


OUTCOMES = tuple(each.value for each in Outcome)
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Write:
    """One record's write as the adapter gets it. `values` are as in FieldWrite, in the vendor's field names.

    `lowered`: fields of `values` that must be cleared before they can be set, with the value to be lowered; where None
    is to stand there, they are cleared alone. The adapter leaves them alone where they hold something else by now, and
    puts this value back where the new one is refused.
    `stood`: the stage's field with what stood there when this was decided, for a CRM where a write can depend on it.
    """

    id: int
    ref: Ref
    values: Mapping[str, JsonValue]
    lowered: Mapping[str, JsonValue] = field(default_factory=dict)
    stood: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the vendor answered for one Write. `moved_to` where the record turned out merged or converted.

    `parked`, of a rejected one: time does not help, so it is tried again only when a value changes.
    """

    write_id: int
    outcome: Outcome
    reason: str = ""
    code: str = ""  # the vendor's error code, for the counts by kind
    moved_to: Ref | None = None
    parked: bool = False
    arrived: frozenset[str] = frozenset()  # of a rejected one: fields that were written all the same
