"""Short words for stories about the ledger: made-up records, events and decisions with the dull parts filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.core.model import (
    CompanyRecord,
    Contribution,
    Engagement,
    FieldWrite,
    MqlStatus,
    OpportunityRecord,
    PersonRecord,
    PlannedWrite,
    Receipt,
    Ref,
    Score,
    StageChange,
    StageDecision,
    StageState,
    VendorRecord,
)
from connector.ledger import SqlLedger
from connector.ports import Decided, NormalizedPage, PlanRow

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ADA, BOB = Ref("hubspot", "contact", "1"), Ref("hubspot", "contact", "2")
LEAD = Ref("salesforce", "Lead", "00Q1")
ACME = Ref("hubspot", "company", "77")
DEAL = Ref("hubspot", "deal", "9")


def contact(ref: Ref = ADA, *, at: datetime = NOON, **values):
    """A person's record beside its vendor form."""
    values.setdefault("fields", {"first_name": "Ada"})
    record = PersonRecord(ref=ref, changed_at=at, **values)
    raw = {**{k: str(v) for k, v in record.fields.items()}, **record.held, "stage": record.stage}
    return VendorRecord(ref, "person", raw, at, state=record.state), record


def company(ref: Ref = ACME, *, at: datetime = NOON, **fields):
    """A company's record beside its vendor form."""
    return VendorRecord(ref, "company", fields, at), CompanyRecord(ref, fields, changed_at=at)


def deal(*people: Ref, at: datetime = NOON, **values):
    """An opportunity beside its vendor form."""
    record = OpportunityRecord(
        DEAL, people, None, values.pop("is_closed", False), values.pop("is_won", False), **values
    )
    return VendorRecord(DEAL, "opportunity", {"won": record.is_won}, at), record


def click(key: str = "e1", *, at: datetime = NOON, **values) -> Engagement:
    """Somebody clicked."""
    values.setdefault("type", "email_click")
    return Engagement(crm="hubspot", stream="events", key=key, occurred_at=at, **values)


def page(*people, crm: str = "hubspot", stream: str = "contacts", cursor=None, **values) -> NormalizedPage:
    """A page of these people's records."""
    return NormalizedPage(
        crm=crm, stream=stream, cursor=cursor or {"after": 1}, people=tuple(people), **values
    )


def a_score(score: float = 50.0) -> Score:
    """A score with one contribution."""
    return Score(score, score, score, 3, "B2", contributions=(Contribution("clicks", score),))


def a_stage(stage: str = "lead", *, change: bool = False, at: datetime = NOON, **values) -> StageDecision:
    """A stage, reached by a step when `change` says so."""
    state = StageState(stage, since=at, because="by the rules", **values)
    step = StageChange(at, "lead", stage, MqlStatus.NONE, state.status, "score 61 >= 60") if change else None
    return StageDecision(state, step, "score 61 >= 60", entered_mql=change and stage == "mql")


def a_write(ref: Ref = ADA, **values) -> PlannedWrite:
    """A planned write of these fields."""
    lines = tuple(
        FieldWrite(name, None, value, "always", name.removeprefix("mql_")) for name, value in values.items()
    )
    return PlannedWrite(ref, lines, because="score 61 >= 60")


def decided(
    *refs: Ref, person: int | None = None, plan=(), stage: StageDecision | None = None, **values
) -> Decided:
    """A decision about these records."""
    fields = values.pop("fields", {"first_name": "Ada"})
    score = values.pop("score", a_score())
    return Decided(person, refs, fields, score, stage or a_stage(), tuple(plan), **values)


class Desk:
    """A ledger with its leases taken, and the moment it is."""

    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger = ledger
        self.at = NOON
        self.run = 0

    async def lease(self, name: str = "work"):
        return await self.ledger.acquire(name, "desk", self.at)

    async def keep(self, *people, **values):
        """Keep one page, whatever it holds."""
        lease = await self.lease("pull")
        return await self.ledger.keep(page(*people, **values), lease, self.run, self.at)

    async def due(self, *crms: str, limit: int = 100, after: Ref | None = None) -> list[Ref]:
        return await self.ledger.due(crms or ("hubspot", "salesforce"), self.at, limit, after=after)

    async def decide(self, *decisions: Decided, plans=None, reviews=(), clear=None) -> None:
        """One commit of decisions; all their records are cleared unless told otherwise."""
        refs = [ref for each in decisions for ref in each.refs] if clear is None else clear
        lease = await self.lease("decide")
        await self.ledger.keep_decisions(self.run, decisions, plans or {}, reviews, refs, lease, self.at)

    async def person_of(self, ref: Ref) -> int:
        (found,) = await self.ledger.find(str(ref))
        return found

    async def plan(self, *writes: PlannedWrite, crm: str = "hubspot") -> list[PlanRow]:
        """A new open plan with these writes, each record a person of its own."""
        plan = await self.ledger.open_plan(self.run, crm, await self.lease("decide"), self.at)
        known = [await self.ledger.find(str(write.ref)) for write in writes]
        await self.decide(
            *(
                decided(w.ref, person=k[0] if k else None, plan=[w])
                for w, k in zip(writes, known, strict=True)
            ),
            plans={crm: plan},
        )
        return await self.ledger.plan_rows(plan)

    async def send(self, rows) -> None:
        await self.ledger.mark_sending(rows, [], await self.lease("push"), self.at)

    async def receive(self, rows, *outcomes, **values) -> None:
        receipts = [Receipt(row.id, outcome, **values) for row, outcome in zip(rows, outcomes, strict=True)]
        await self.ledger.receive(rows, receipts, await self.lease("push"), self.at)
