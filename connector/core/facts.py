"""All that is known of the records that are one person, as frozen values: what CRMs told, what we wrote, what we hold.

The ledger gathers them; `connector.core.known` makes of them what the arithmetic needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.account import Account
from connector.core.handoff import Spell
from connector.core.model import (
    CompanyRecord,
    Engagement,
    JsonValue,
    OpportunityRecord,
    PersonRecord,
    Ref,
    Score,
    StageState,
)
from connector.core.override import Override

UNDONE, TUGGED = "undone", "tugged"
TUGS = 3  # so often may somebody change a field of ours back before we leave it alone


@dataclass(frozen=True, slots=True)
class KnownEngagement:
    """An engagement and when we came to know it."""

    engagement: Engagement
    known_at: datetime


@dataclass(frozen=True, slots=True)
class PastRecord:
    """A record's normalized form as it stood until `known_until` (exclusive)."""

    record: PersonRecord | CompanyRecord | OpportunityRecord
    known_until: datetime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Companies and deals, as they stand."""

    companies: tuple[CompanyRecord, ...] = ()
    deals: tuple[OpportunityRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """The last value we wrote to a field, and when. `stage` is our word for it, where it was a lifecycle stage."""

    value: JsonValue
    at: datetime
    stage: str | None = None
    row: int | None = None  # the planned write that did it; unknown for what was written before this was kept
    theirs: bool = (
        False  # an undo put back what somebody else had set; it comes back as an echo, and is not ours
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """A field of a record that is left alone. One hold of each kind per field.

    `undone`: `value` was written by run `run` and taken back; held until something else is wanted or an admin releases
    it. `tugged`: we wrote `value`, somebody made it `other` again, so many `times`; held from the third time on
    (`TUGS`) until an admin releases it.
    """

    ref: Ref
    field: str
    kind: str
    value: JsonValue
    run: int
    at: datetime
    why: str
    other: JsonValue = None
    times: int = 0

    @property
    def holds(self) -> bool:
        """Whether it is in force, or only counts so far."""
        return self.kind == UNDONE or self.times >= TUGS

    @property
    def next_holds(self) -> bool:
        """Whether one more turn of somebody else puts it in force."""
        return self.times == TUGS - 1

    @property
    def same_only(self) -> bool:
        """Whether it concerns this very value alone; what else is wanted may be written."""
        return self.kind == UNDONE or self.times < TUGS


@dataclass(frozen=True, slots=True)
class Refusal:
    """A difference that was refused: `rejected`, `parked`, `unknown` or `discarded`, for these wanted values."""

    kind: str
    wanted: Mapping[str, JsonValue]
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one group of records that is (or becomes) one person.

    `past`: earlier forms of these records, of their companies and deals; `since`: from when on each of them is known
    (absent: always). `once`: companies and deals that had to do with them at an earlier time, and may not have now.
    """

    records: tuple[PersonRecord, ...]
    companies: Mapping[Ref, CompanyRecord] = field(default_factory=dict)
    opportunities: tuple[OpportunityRecord, ...] = ()
    engagement: tuple[KnownEngagement, ...] = ()
    past: tuple[PastRecord, ...] = ()
    since: Mapping[Ref, datetime] = field(default_factory=dict)
    once: Surroundings = field(default_factory=Surroundings)
    written: Mapping[tuple[Ref, str], Held] = field(default_factory=dict)
    holds: Mapping[tuple[Ref, str], Hold] = field(default_factory=dict)
    refused: Mapping[Ref, Refusal] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()  # all that were ever said of this person, company or domain
    account: Account | None = None  # where the definition reads its fields
    person: int | None = None
    state: StageState | None = None
    score: Score | None = None
    version: int | None = None  # of the definition by which that was decided
    spell: Spell | None = None  # the last time as MQL
