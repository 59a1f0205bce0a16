"""What is told of runs, requests, backfills and plans, as OpenAPI describes it. Times are UTC."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from connector.core.approval import Proof
from connector.core.model import JsonValue
from connector.ports import Act, CrmCounts, Notice


class RunLine(BaseModel):
    """A run in one line. `status`: queued, running, succeeded, partial, failed, cancelled."""

    run: int
    kind: str
    status: str
    crms_asked: list[str]
    started_at: datetime
    finished_at: datetime | None


class RunsPage(BaseModel):
    """Runs, the newest first."""

    runs: list[RunLine]
    next: str | None


class Mql(BaseModel):
    """People who became MQL or ceased to be, and how many there are now."""

    model_config = ConfigDict(extra="allow")

    entered: int = 0
    left: int = 0
    now: int = 0
    by_override: int = 0


class RunErrors(BaseModel):
    """So many records to which one thing happened. `kind`: the vendor's code, or why, where there is none."""

    crm: str
    outcome: str
    kind: str
    records: int


class WholeRun(RunLine):
    """A run with the document that it printed, which may hold more than is named here. One that has not ended has not
    printed it yet; `error` is of one that died."""

    model_config = ConfigDict(extra="allow")

    crms: dict[str, CrmCounts] = Field(default_factory=dict)
    people: int = 0
    mql: Mql = Field(default_factory=Mql)
    plans: dict[str, int] = Field(default_factory=dict)
    waits: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    errors: list[RunErrors]
    notices: list[Notice]


class RequestLine(BaseModel):
    """Work that was left to the sidecar. `status`: queued, running, done, failed, withdrawn. `progress` while it is
    worked on."""

    request: int
    kind: str
    crms: list[str]
    status: str
    asked_by: str
    asked_at: datetime
    changed_at: datetime
    run: int | None
    plan: int | None
    progress: str | None


class RequestsPage(BaseModel):
    """Requests, the newest first."""

    requests: list[RequestLine]
    next: str | None


class RequestTold(RequestLine):
    """The same, with its `answer` once it is done, and the `error` once it has failed."""

    answer: dict[str, JsonValue] | None
    error: dict[str, JsonValue] | None


class BackfillStreamTold(BaseModel):
    """How far one stream is: rows kept, of those that the vendor counted beforehand (null: it could not)."""

    rows: int
    expected: int | None
    done: bool


class BackfillState(BaseModel):
    """What was asked for, and how far it is. `reason` says why it stands where it stands."""

    crm: str
    object: str | None
    since: datetime | None
    until: datetime | None
    status: str
    reason: str
    rows: int
    expected: int | None
    streams: dict[str, BackfillStreamTold]


class BackfillTold(BaseModel):
    """A backfill by its latest run. `wish`: pause or cancel, asked of whoever runs it."""

    run: int
    status: str
    wish: str
    backfill: BackfillState
    estimate: dict[str, JsonValue]


class BackfillsPage(BaseModel):
    """Backfills, the newest first."""

    backfills: list[BackfillTold]
    next: str | None


class PlanLine(BaseModel):
    """A write plan. `held`: why it waits for a human; `counts`: its records by how they stand; `definition`: the
    version by which it was made; `undoes`: the run that it takes back; `let_go_at`: since when its before-images are
    gone."""

    plan: int
    run: int
    crm: str
    kind: str
    undoes: int | None
    status: str
    superseded_by: int | None
    asked_by: str
    created_at: datetime
    expires_at: datetime
    let_go_at: datetime | None
    held: str
    approved_by: str | None
    approved_at: datetime | None
    approval_note: str
    approval_proof: Proof | None
    definition: int
    counts: dict[str, int]
    summary: dict[str, JsonValue]


class PlansPage(BaseModel):
    """Plans, the newest first."""

    plans: list[PlanLine]
    next: str | None


class WholePlan(PlanLine):
    """A plan with the versions of its files, what was done with it, and its records by what they mean."""

    versions: dict[str, int]
    acts: list[Act]
    kinds: dict[str, int]


class WriteTold(BaseModel):
    """A field that is written, and the write rule."""

    field: str
    before: JsonValue
    after: JsonValue
    rule: str


class HeldTold(BaseModel):
    """A field that is held back, and why."""

    field: str
    before: JsonValue
    wanted: JsonValue
    why: str


class PlanRowTold(BaseModel):
    """What a plan means for one record, and what came of it. `name` and `email` are its person's, the address only
    where it was asked for; `rules` are those of the criteria."""

    record: str
    person: int
    name: str
    email: str | None
    kind: str
    rules: list[str]
    status: str
    reason: str
    because: str
    settled_at: datetime | None
    by_override: bool
    writes: list[WriteTold]
    held_back: list[HeldTold]


class PlanRowsPage(BaseModel):
    """Records of a plan, in its order. It may hold fewer than asked for, and go on all the same: `next` says."""

    rows: list[PlanRowTold]
    next: str | None
