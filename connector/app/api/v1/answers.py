"""What is told of people, as OpenAPI describes it. Times are UTC; what a command prints as JSON has the same names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from connector.core.model import Contribution, Value
from connector.insight.explain.changed import Change
from connector.insight.explain.missing import Shortfall
from connector.insight.explain.why import Why
from connector.ports import Notice, StageStep, StoryLine


class Person(BaseModel):
    """Where a person stands, by the last decision. Scores are whole numbers, as in the CRMs; null for who is not scored
    by the criteria's `privacy`."""

    person: int
    stage: str
    mql_status: str
    mql_since: datetime | None
    score: int | None
    fit: int | None
    engagement: int | None
    band: int | None
    grade: str | None
    why: str
    audience: str | None
    privacy: str | None
    decided_at: datetime


class Ranked(BaseModel):
    """A person of the ranked list. `email` only where it was asked for; `override`: a human's word that is in force."""

    rank: int
    person: int
    name: str
    email: str | None = None
    company: Value
    owner: Value
    stage: str
    mql_status: str
    mql_since: datetime | None
    audience: str | None
    privacy: str | None
    persona: Value
    persona_by_rule: str | None
    score: int | None
    fit: int | None
    engagement: int | None
    band: int | None
    grade: str | None
    why: str
    override: str | None
    override_reason: str | None
    records: list[str]


class RankedPage(BaseModel):
    """A piece of the list. It may hold fewer than asked for, and go on all the same: `next` says."""

    people: list[Ranked]
    next: str | None


class Step(BaseModel):
    """Something that would bring points: events of these types, or these fields."""

    rule: str
    name: str
    says: str
    events: list[str]
    fields: dict[str, Any]


class Way(BaseModel):
    """Steps that together make an MQL: at once, or at `not_before` if nothing else happens."""

    steps: list[Step]
    acts: int
    not_before: datetime | None
    days: int


class Gain(Step):
    """What one step alone would make of the score."""

    score: float
    fit: float
    engagement: float


class Missing(BaseModel):
    """Why not yet."""

    as_of: datetime
    blockers: list[str]
    shortfalls: list[Shortfall]
    ways: list[Way]
    gains: list[Gain]
    sentences: list[str]


class Changed(BaseModel):
    """Why the score changed between two moments. The changes add up to the difference."""

    since: datetime
    until: datetime
    score_then: float
    score_now: float
    versions: list[int]
    changes: list[Change]


class Past(BaseModel):
    """The decision of then, made once more with what was known at `known_at`."""

    at: datetime
    known_at: datetime
    criteria_version: int
    stage: str
    mql_status: str
    because: str
    privacy: str | None
    fit: float | None
    engagement: float | None
    score: float | None
    band: int | None
    grade: str | None
    guarded: str
    why: Why
    kept: StageStep | None
    limits: list[str]


class HoldTold(BaseModel):
    """A field of a record that we leave alone."""

    record: str
    field: str
    kind: str
    value: Any
    other: Any
    times: int
    holds: bool
    run: int
    at: datetime
    why: str


class OverrideTold(BaseModel):
    """A human's word above the rules. `source`: the record and field of a CRM that says so; empty: told to us."""

    id: int
    kind: str
    scope: str
    target: str
    until: datetime | None
    expires: datetime | None
    author: str
    reason: str
    made: datetime
    ended: datetime | None
    source: str
    in_force: bool


class TaskTold(BaseModel):
    """A task in a CRM for whoever a new MQL was handed to, and what became of it."""

    spell: int
    record: str
    owner: str
    subject: str
    due_at: datetime | None
    status: str
    id: str | None
    why: str | None
    asked_at: datetime


class Explanation(BaseModel):
    """Why somebody is an MQL, why not yet, why it changed, and what happened. Scores are unrounded."""

    person: int
    records: list[str]
    stage: str
    mql_status: str
    mql_since: datetime | None
    first_mql_at: datetime | None
    because: str
    fit: float | None
    engagement: float | None
    score: float | None
    band: int | None
    grade: str | None
    disqualified: str | None
    hand_raised: str | None
    contributions: list[Contribution]
    decided_at: datetime
    criteria_version: int
    audience: str
    privacy: str | None
    guarded: str
    waits: bool
    identity: list[str]
    fields: dict[str, Value]
    persona_by_rule: str | None
    mail_consent: str | None
    override: int | None
    why: Why | None
    missing: Missing | None
    story: list[StoryLine]
    holds: list[HoldTold]
    overrides: list[OverrideTold]
    notices: list[Notice]
    tasks: list[TaskTold]
    changed: Changed | None = None
    past: Past | None = None
