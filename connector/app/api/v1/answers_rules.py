"""What is told of the definition, of humans' decisions and of the sidecar, as OpenAPI describes it. Times are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from connector.app.api.v1.answers import OverrideTold
from connector.app.api.v1.answers_work import RunLine
from connector.core.approval import Agreed
from connector.ports import Notice


class WriteRule(BaseModel):
    """A result of ours, the field it goes to, the write rule, and whether it may clear the field."""

    result: str
    to: str
    rule: str
    clear: bool


class OverrideFrom(BaseModel):
    """Where a CRM says something above the rules: the field, and their values by what they mean."""

    from_: str | None = Field(alias="from")
    values: dict[str, list[str]]
    until: str | None
    reason: str | None
    segments: dict[str, list[str]]


class MappedObject(BaseModel):
    """One object of a CRM: what is read from which of its fields, and what is written to which."""

    kind: str
    emails: list[str]
    stage: str | None
    status: str | None
    override: OverrideFrom | None
    reads: dict[str, list[str]]
    writes: list[WriteRule]


class PerPerson(BaseModel):
    """A stream that costs a call or more per person."""

    only_bands: list[int]
    at_most: int


class MappingTold(BaseModel):
    """The mapping of a CRM that is in force. `definition`: the version of the definition; `text`: the file."""

    crm: str
    version: int
    definition: int | None
    objects: dict[str, MappedObject]
    engagement: dict[str, list[str]]
    calls_per_person: dict[str, PerPerson]
    text: str


class VersionTold(BaseModel):
    """A version of the definition: who put it in force, when and why, and who had agreed. `brings_back`: the earlier
    version whose files these are again."""

    version: int
    at: datetime
    author: str
    note: str
    brings_back: int | None
    agreed: list[Agreed]


class DraftTold(BaseModel):
    """A definition that waits for somebody's approval. `base`: the version from which it was edited."""

    draft: int
    base: int
    author: str
    note: str
    made_at: datetime
    brings_back: int | None
    agreed: list[Agreed]


class CriteriaTold(BaseModel):
    """The definition: what is in force (null before the first sync), the drafts that wait, and a piece of its history,
    the newest first. `differs`: where the folder's files say something else; `review`: soon, overdue, or null."""

    in_force: VersionTold | None
    name: str
    text: str
    differs: str | None
    review: Literal["soon", "overdue"] | None
    drafts: list[DraftTold]
    versions: list[VersionTold]
    next: str | None


class WholeVersion(VersionTold):
    """A version with its files, by name, and what it changed in the criteria (null: that cannot be told by today's
    rules)."""

    files: dict[str, str]
    words: list[str] | None


class OverridesPage(BaseModel):
    """Humans' words above the rules, the newest first. It may hold fewer than asked for: `next` says whether it goes
    on."""

    overrides: list[OverrideTold]
    next: str | None


class ReviewSideTold(BaseModel):
    """One record of a pair. `stage` is the record's own, `counts_as` its person's."""

    record: str
    name: str
    emails: list[str]
    company: str
    owner: str
    stage: str
    counts_as: str
    state: str


class PairTold(BaseModel):
    """Two records: one person, or two? Without an answer the rules decide."""

    number: int
    a: str
    b: str
    why: str
    since: datetime | None
    answer: Literal["join", "split"] | None
    answered_at: datetime | None
    answered_by: str | None
    note: str


class ReviewTold(PairTold):
    """The same beside what stands in both. `stale`: there is nothing to decide any more."""

    records: list[ReviewSideTold]
    stale: bool


class ReviewPage(BaseModel):
    """Pairs by number. It may hold fewer than asked for: `next` says whether it goes on."""

    pairs: list[ReviewTold]
    next: str | None


class NoticesPage(BaseModel):
    """What somebody is, or was, told: the last made first."""

    notices: list[Notice]
    next: str | None


class BrakeTold(BaseModel):
    """Whether pushing is stopped, by whom, why, since when."""

    stopped: bool
    by: str | None
    why: str | None
    at: datetime | None


class CrmStatus(BaseModel):
    """One CRM. `ok`: it answered when it was last asked (null: nobody knows yet), else `error` says why not.
    `served_by`: which sidecar calls it (null: none does now); `here`: it is the one that answers, and only then tells
    `next_sync`. `plan`: the open one, if there is one, and why it waits."""

    crm: str
    ok: bool | None
    error: str | None
    last_run: RunLine | None
    next_sync: datetime | None
    served_by: str | None
    here: bool
    brake: BrakeTold
    plan: int | None
    waits_because: str | None


class Status(BaseModel):
    """The state of each CRM, of the definition and of the work that is left to do. `due`: person records that are to be
    decided, and since when the oldest of them is."""

    crms: list[CrmStatus]
    definition: int | None
    differs: str | None
    review: Literal["soon", "overdue"] | None
    due: int
    due_since: datetime | None
    stopping: bool
