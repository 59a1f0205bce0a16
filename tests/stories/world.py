"""A made-up world for stories: both sandboxes up, a real ledger, the shipped definition, one clock for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connector import backfill, pipeline, undo
from connector.app.applying import apply_plan, approve
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.settings import variables_of
from connector.app.wiring import Wired, plugins
from connector.core.definition import Definition
from connector.ledger import SqlLedger, open_ledger
from connector.phases.gate import PlanSummary
from connector.phases.push import Pushed, Terms, push
from connector.pipeline import RunResult, live_schemas
from connector.ports import Adapter, Backfill, PersonView, PlanInfo, Range
from connector.preflight import estimate
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandbox, RunningSandboxes, serve

EVERYTHING = Range()
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class QuickClock(SandboxClock):
    """Waiting takes no time of ours; it passes on the clock that all share."""

    async def sleep(self, span: timedelta) -> None:
        self.advance(span)
        await asyncio.sleep(0)


@dataclass
class World:
    """Everything a story needs; `sync` runs the real pipeline over real HTTP."""

    running: RunningSandboxes
    clock: SandboxClock
    ledger: SqlLedger
    definition: Definition
    adapters: Mapping[str, Adapter]
    asked: list[PlanSummary] = field(default_factory=list)
    ledger_url: str = ""

    @property
    def hubspot(self) -> RunningSandbox:
        return self.running["hubspot"]

    @property
    def salesforce(self) -> RunningSandbox:
        return self.running["salesforce"]

    async def sync(
        self,
        *crms: str,
        plan_only: bool = False,
        yes: bool = True,
        holder: str = "story",
        asked_by: str = "",
    ) -> RunResult:
        """One run over the named CRMs (all when none is named)."""

        async def approve(plan: PlanSummary) -> bool:
            self.asked.append(plan)
            return yes or plan.limit is None

        return await pipeline.sync(
            {crm: adapter for crm, adapter in self.adapters.items() if not crms or crm in crms},
            self.definition,
            self.ledger,
            self.clock,
            holder=holder,
            approve=approve,
            asked_by=asked_by,
            plan_only=plan_only,
            anew=yes,
        )

    async def ask_backfill(
        self, crm: str = "hubspot", *, object: str = "", within: Range = EVERYTHING, yes: bool = True
    ) -> Backfill:
        """`backfill`, as far as the question: estimated and kept in the ledger."""
        mapping = self.definition.mappings[crm]
        estimates = await estimate(self.adapters[crm], mapping, object, within)
        return await self.ledger.ask_backfill(crm, object, within, yes, estimates, self.clock.now())

    async def backfill(self, asked: Backfill, *, holder: str = "story", **more: Any) -> RunResult:
        """One attempt at it."""

        async def approve(plan: PlanSummary) -> bool:
            self.asked.append(plan)
            return plan.limit is None or asked.yes

        more.setdefault("approve", approve)
        return await backfill.run_backfill(
            asked, self.adapters[asked.crm], self.definition, self.ledger, self.clock, holder=holder, **more
        )

    async def apply(self, crm: str, plan: int) -> Pushed:
        """`plan apply`."""
        schemas = await live_schemas(self.adapters, self.definition)
        terms = Terms(self.definition.mappings[crm], schemas, self.definition.criteria.min_change, exact=True)
        return await push(self.adapters[crm], terms, self.ledger, self.clock, plan=plan, holder="story")

    async def undo(
        self,
        run: int,
        *crms: str,
        yes: bool = True,
        plan_only: bool = False,
        asked_by: str = "Ada",
        holder: str = "story",
    ) -> RunResult:
        """`undo` of that run in the named CRMs (all when none is named)."""

        async def approve(plan: PlanSummary) -> bool:
            self.asked.append(plan)
            return yes

        return await undo.undo(
            run,
            {crm: adapter for crm, adapter in self.adapters.items() if not crms or crm in crms},
            self.definition,
            self.ledger,
            self.clock,
            holder=holder,
            approve=approve,
            asked_by=asked_by,
            plan_only=plan_only,
        )

    async def plan_apply(self, plan: int, *, by: str = "Ada", during_freeze: bool = False) -> dict[str, Any]:
        """`plan apply`, with everything that it asks first."""
        parts = Wired(self.adapters, self.definition, self.ledger, self.clock, "story")  # type: ignore[arg-type]
        return await apply_plan(parts, plan, by=by, during_freeze=during_freeze)

    async def plan_approve(self, plan: int, *, by: str = "Grace", note: str = "") -> PlanInfo:
        """`plan approve`."""
        info = await self.ledger.plan(plan)
        approval = self.definition.mappings[info.crm].approval if info else ""
        return await approve(
            self.ledger, plan, by=by, note=note, holder="story", at=self.clock.now(), approval=approval
        )

    def remap(self, crm: str, **changes: Any) -> None:
        """Change a mapping, as an admin would by editing the file."""
        mapping = replace(self.definition.mappings[crm], **changes)
        texts = {**self.definition.texts, f"{crm}.yaml": repr(changes)}
        self.definition = replace(
            self.definition, mappings={**self.definition.mappings, crm: mapping}, texts=texts
        )

    def later(self, **span: float) -> None:
        """Time goes by, for the CRMs and for the connector."""
        self.clock.advance(timedelta(**span))

    def redefine(self, **changes: Any) -> None:
        """Change the criteria, as an admin would by editing the file."""
        criteria = replace(self.definition.criteria, **changes)
        texts = {**self.definition.texts, "criteria.yaml": repr(changes)}
        self.definition = replace(self.definition, criteria=criteria, texts=texts)

    def writes(self, crm: str, since: int = 0) -> list[Any]:
        """Record-level writes that the API made, newest last."""
        return [write for write in self.running[crm].log.writes()[since:] if write.by == "api"]


@asynccontextmanager
async def world(
    database_url: str,
    *,
    people: int = 120,
    seed: int = 11,
    strict_limits: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    clock: SandboxClock | None = None,
) -> AsyncIterator[World]:
    """A world with so many people in each CRM; `options` go to the sandbox of that CRM."""
    clock = clock or QuickClock(START)
    population = make_population(people, seed, START)
    apps = [
        plugin.build_sandbox(population, clock, strict_limits=strict_limits, **(options or {}).get(crm, {}))
        for crm, plugin in plugins().items()
    ]
    with serve(apps) as running:
        environment = running.environment()
        adapters = {
            crm: plugin.connect(variables_of(plugin.variables, environment), clock, None)
            for crm, plugin in plugins().items()
        }
        ledger = open_ledger(database_url)
        try:
            yield World(
                running,
                clock,
                ledger,
                load_definition(shipped(), plugins()),
                adapters,
                ledger_url=database_url,
            )
        finally:
            for adapter in adapters.values():
                await adapter.close()
            await ledger.close()


@dataclass(frozen=True)
class Somebody:
    """A person who is exactly one HubSpot contact and one Salesforce Lead, after a sync."""

    view: PersonView
    contact: str
    lead: str

    @property
    def email(self) -> str:
        return str(self.view.fields["email"])


async def somebody(
    world: World, *, stage: str = "lead", where: Callable[[PersonView], bool] = lambda view: True
) -> Somebody:
    """The first such person, by score from the top."""
    for view in await world.ledger.people(stage=stage, limit=10_000):
        objects = sorted((ref.crm, ref.object) for ref in view.refs)
        if (
            objects == [("hubspot", "contact"), ("salesforce", "Lead")]
            and view.fields.get("email")
            and view.score.disqualified is None
            and where(view)
        ):
            refs = {ref.crm: ref.id for ref in view.refs}
            return Somebody(view, refs["hubspot"], refs["salesforce"])
    raise LookupError(f"The world has nobody like that in stage {stage}.")


async def look(world: World, who: Somebody) -> PersonView:
    """The person as the last decision left them."""
    [number] = await world.ledger.find(f"hubspot:contact:{who.contact}")
    view = await world.ledger.person(number)
    assert view is not None
    return view
