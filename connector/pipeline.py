"""START HERE. One run in three phases: gather, decide, push. Knows no CRM by name.

    gather  adapters/*/pull > core/normalize > ledger    (rows, watermark, due marks: one commit a page)
    decide  ledger > core/resolve > core/score > core/stage > core/write_plan > ledger   (one commit a batch)
    push    ledger > adapters/*/push > ledger             (sending before, receipts after)

A crash anywhere loses nothing and repeats at most one batch: each phase begins from what the ledger holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from connector.core.account import account_fields_read
from connector.core.definition import Definition
from connector.core.limits import crossed
from connector.core.mapping import CrmMapping
from connector.core.model import OUTCOMES, JsonValue
from connector.core.places import told
from connector.core.privacy_rules import PRIVACY
from connector.errors import ConnectorError, FixConfig, RetryLater
from connector.phases.adopt import Adopted, adopt
from connector.phases.arrivals import IMPORTS, tell_of_imports
from connector.phases.decide import DecidedAll, decide
from connector.phases.first import FIRST, RECONCILIATION, first_of
from connector.phases.gate import Approve, keep_limits, leave_waiting, summary_of, why_waits
from connector.phases.gather import gather
from connector.phases.intake import Gathered
from connector.phases.lease import acquired
from connector.phases.owners import asks_for_owners, read_owners
from connector.phases.places import PLACES, tell_of_places
from connector.phases.planning import Schemas, why_no_target
from connector.phases.push import Pushed, Terms, push
from connector.phases.read_back import told_tugs
from connector.phases.settle import settle
from connector.phases.standstill import standstill
from connector.phases.usual import numbers_of_sync
from connector.ports import Adapter, Clock, CrmCounts, Fetched, FieldInfo, Ledger

T = TypeVar("T")

SAID_OF_EVERY_RUN = ("run", "status", "crms", "people", "mql", "plans", "waits", "seconds")


@dataclass(frozen=True, slots=True)
class Watching:
    """Who is told how a run gets on, and may end it early. All silent by default.

    `began`: its number, once it has one. `phase`: around gather, decide and push. `stopping`: whether the process is to
    end: what is in hand (a page, a batch) is finished and kept, then the run ends as cancelled.
    """

    gathered: Callable[[str, str, int], None] = lambda crm, stream, rows: None
    decided: Callable[[int], None] = lambda people: None
    pushed: Callable[[str, int], None] = lambda crm, rows: None
    began: Callable[[int], None] = lambda run: None
    phase: Callable[[str], AbstractContextManager[object]] = nullcontext
    stopping: Callable[[], bool] = lambda: False

    def stop_here(self) -> None:
        """Raises CancelledError where the process is to end."""
        if self.stopping():
            raise asyncio.CancelledError

    def gathered_some(self, crm: str, stream: str, rows: int) -> None:
        """A page is kept."""
        self.gathered(crm, stream, rows)
        self.stop_here()

    def decided_some(self, people: int) -> None:
        """A batch of decisions is kept."""
        self.decided(people)
        self.stop_here()


@dataclass(slots=True)
class RunResult:
    """A finished run: the sums per CRM, and what became of the people."""

    run: int
    status: str = "succeeded"
    crms: dict[str, CrmCounts] = field(default_factory=dict)
    people: int = 0
    entered: int = 0
    left: int = 0
    now: int = 0
    by_override: int = 0  # of those who entered or left, by a human's word
    by_audience: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # entered, left, now; `none`: in no audience
    seconds: float = 0.0
    plans: dict[str, int] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)  # plans of earlier runs that still wait for a human
    more: dict[str, Any] = field(default_factory=dict)  # what only this kind of run has to tell

    def document(self) -> dict[str, Any]:
        """As `sync --json` prints it (the outside contract)."""
        return {
            "run": self.run,
            "status": self.status,
            "crms": {crm: asdict(counts) for crm, counts in self.crms.items()},
            "people": self.people,
            "mql": {
                "entered": self.entered,
                "left": self.left,
                "now": self.now,
                "by_override": self.by_override,
                **({"by_audience": self.by_audience} if self.by_audience else {}),
            },
            "plans": dict(self.plans),
            "waits": dict(self.waits),
            "seconds": round(self.seconds, 3),
            **self.more,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> RunResult:
        """A run from the document that it printed."""
        crms = {
            crm: CrmCounts(
                **{**counts, "fetched": {name: Fetched(**f) for name, f in counts["fetched"].items()}}
            )
            for crm, counts in document["crms"].items()
        }
        mql = document["mql"]
        return cls(
            document["run"], document["status"], crms, document["people"], mql["entered"], mql["left"], mql["now"],
            mql.get("by_override", 0), mql.get("by_audience", {}), document["seconds"], dict(document["plans"]),
            dict(document.get("waits", {})),
            {name: told for name, told in document.items() if name not in SAID_OF_EVERY_RUN},
        )  # fmt: skip

    def broke_off(self, error: BaseException) -> None:
        """It ended by an error, or because it was told to stop; what stands is kept and the reason said."""
        stopped = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        self.status = "cancelled" if stopped else "failed"
        for counts in self.crms.values():
            counts.error = counts.error or str(error) or type(error).__name__

    @property
    def needs_attention(self) -> bool:
        """Whether a human should look although the run finished: exit code 3."""
        return (
            self.status in ("partial", "cancelled")
            or bool(self.waits)
            or any(
                counts.rejected or counts.unknown or counts.set_aside or counts.quarantined or counts.waiting
                for counts in self.crms.values()
            )
        )


async def sync(
    adapters: Mapping[str, Adapter],
    definition: Definition,
    ledger: Ledger,
    clock: Clock,
    *,
    holder: str,
    approve: Approve,
    kind: str = "sync",
    asked_by: str = "",
    plan_only: bool = False,
    anew: bool = False,
    watching: Watching | None = None,
) -> RunResult:
    """One incremental run over the given CRMs (the first one is a first load).

    `anew`: what waits for a human is planned anew, instead of being left to wait while nothing new is to be decided.

    Raises FixConfig before anything is read when credentials, account or definition are wrong. A CRM that cannot be
    reached is reported in its counts; the others go on.
    """
    watching = watching or Watching()
    started = clock.now()
    adopted = await adopt(ledger, definition, adapters, started)
    unreachable = await prove(adapters, ledger, clock)
    unreachable |= await settle_all(
        {crm: adapter for crm, adapter in adapters.items() if crm not in unreachable},
        definition,
        ledger,
        clock,
        holder,
    )
    working = {crm: adapter for crm, adapter in adapters.items() if crm not in unreachable}
    run = await ledger.start_run(kind, list(adapters), started, asked_by=asked_by)
    watching.began(run)
    result = RunResult(run, crms={crm: CrmCounts() for crm in adapters})
    calls_before = {crm: adapter.calls() for crm, adapter in adapters.items()}
    try:
        for crm, error in unreachable.items():
            result.crms[crm].error = error
        with watching.phase("gather"):
            gathered = await _gather_all(working, definition, ledger, clock, run, holder, watching)
            if asks_for_owners(definition.criteria) and (
                unknown := await read_owners(working, ledger, clock)
            ):
                result.more["owners"] = unknown
        watching.stop_here()
        schemas = await live_schemas(working, definition)
        await _adopt_targets(schemas, definition, ledger, clock)
        with watching.phase("decide"):
            decided = await decide(
                ledger,
                definition,
                clock,
                run=run,
                crms=list(working),
                holder=holder,
                version=adopted.version,
                schemas=schemas,
                may_leave=not unreachable and all(found.whole for found in gathered.values()),
                progress=watching.decided_some,
                anew=anew,
            )
        _sum_up(result, gathered, decided)
        await _tell_of_change(result, adopted, decided, ledger, clock)
        with watching.phase("push"):
            pushed = await _push_all(
                result,
                working,
                definition,
                schemas,
                ledger,
                clock,
                gathered,
                decided,
                holder,
                approve,
                plan_only,
                watching,
            )
        for crm, outcome in pushed.items():
            counts = result.crms[crm]
            for name in OUTCOMES:
                setattr(counts, name, getattr(outcome, name))
            taken = "another run has taken over what was not sent yet" if outcome.superseded else None
            counts.error = joined(counts.error, outcome.error, outcome.differs, taken)
            if outcome.waiting and outcome.stopped:
                result.more.setdefault("waits_because", {})[crm] = outcome.stopped
            counts.read_back = dict(outcome.read_back)
            counts.tugs = await told_tugs(working[crm], decided.tallies[crm].tugs)
        result.plans = {
            crm: plan
            for crm, plan in decided.plans.items()
            if result.crms[crm].planned or (plan_only and result.crms[crm].held_back)
        }
        result.waits = {
            plan.crm: plan.id
            for plan in await ledger.open_plans(at=clock.now())
            if plan.crm in result.crms and plan.run != run and plan.held
        }
        result.now = (await ledger.stage_counts()).get("mql", 0)
        result.by_audience = await mqls_by_audience(definition, ledger, decided)
    except BaseException as error:
        result.broke_off(error)
        await finish(result, adapters, calls_before, ledger, clock, started)
        raise
    cut_short = watching.stopping() and any(counts.waiting for counts in result.crms.values())
    result.status = "cancelled" if cut_short else status_of(result)
    await finish(result, adapters, calls_before, ledger, clock, started)
    return result


async def prove(adapters: Mapping[str, Adapter], ledger: Ledger, clock: Clock) -> dict[str, str]:
    """Each account once, before anything is read: right credentials, and the account this ledger belongs to."""
    unreachable: dict[str, str] = {}
    problems: list[FixConfig] = []
    for crm, adapter in adapters.items():
        try:
            account = await adapter.account()
            await ledger.bind(crm, account.id, clock.now())
        except FixConfig as error:
            problems.append(error)
        except ConnectorError as error:
            unreachable[crm] = str(error)
    if problems:
        raise (
            problems[0] if len(problems) == 1 else FixConfig("\n".join(str(problem) for problem in problems))
        )
    return unreachable


async def settle_all(
    adapters: Mapping[str, Adapter], definition: Definition, ledger: Ledger, clock: Clock, holder: str
) -> dict[str, str]:
    """What earlier processes left under way. A CRM that cannot be read back now is told as out of reach: nothing may
    be written to it before that."""
    unreachable: dict[str, str] = {}
    for crm, adapter in adapters.items():
        try:
            await settle(adapter, definition.mappings[crm], ledger, clock, holder=holder)
        except RetryLater as error:
            unreachable[crm] = str(error)
    return unreachable


async def _gather_all(
    adapters: Mapping[str, Adapter],
    definition: Definition,
    ledger: Ledger,
    clock: Clock,
    run: int,
    holder: str,
    watching: Watching,
) -> dict[str, Gathered]:
    """All CRMs side by side: each waits for its own vendor."""
    found = await _side_by_side(
        [
            gather(
                adapter,
                definition.mappings[crm],
                ledger,
                clock,
                run=run,
                holder=holder,
                around=account_fields_read(definition),
                progress=watching.gathered,
                stopping=watching.stopping,
            )
            for crm, adapter in adapters.items()
        ]
    )
    return dict(zip(adapters, found, strict=True))


async def live_schemas(adapters: Mapping[str, Adapter], definition: Definition) -> Schemas:
    """The live fields of every object that the mappings write to. A CRM that cannot tell is planned without them:
    its own answers to the writes will say what is missing."""
    schemas: dict[str, dict[str, Mapping[str, FieldInfo]]] = {}
    for crm, adapter in adapters.items():
        targets: CrmMapping = definition.mappings[crm]
        for name, target in targets.objects.items():
            if target.write:
                with suppress(ConnectorError):
                    schemas.setdefault(crm, {})[name] = await adapter.schema(name)
    return schemas


async def _adopt_targets(schemas: Schemas, definition: Definition, ledger: Ledger, clock: Clock) -> None:
    """Tell the ledger what can be written to, so that a field made since the last run is filled for everybody."""
    for crm, objects in schemas.items():
        targets = {name: each.write for name, each in definition.mappings[crm].objects.items() if each.write}
        if targets.keys() <= objects.keys():
            there = {
                f"{name}.{line.to}"
                for name, lines in targets.items()
                for line in lines
                if not why_no_target(objects[name].get(line.to))
            }
            await ledger.adopt_targets(crm, sorted(there), clock.now())


def _sum_up(result: RunResult, gathered: Mapping[str, Gathered], decided: DecidedAll) -> None:
    """The sums: every target record once, in the first class that fits."""
    result.people, result.entered, result.left = decided.people, decided.entered, decided.left
    result.by_override = decided.by_override
    if decided.privacy:
        result.more[PRIVACY] = dict(decided.privacy)
    if decided.bars:
        result.more[PLACES] = [asdict(bar) | {"told": told(bar)} for bar in decided.bars]
    for crm, found in gathered.items():
        counts, tally = result.crms[crm], decided.tallies[crm]
        counts.fetched = found.fetched
        counts.quarantined = len(found.quarantined)
        only_fetched = found.records.beside(tally.seen)
        counts.planned, counts.held_back = tally.planned, tally.held_back
        counts.promoted, counts.demoted = tally.promoted, tally.demoted
        counts.by_override = tally.by_override
        counts.unchanged = tally.unchanged + only_fetched
        counts.read = len(tally.seen) + only_fetched + counts.quarantined
        counts.error = joined(counts.error, *found.errors)


async def mqls_by_audience(
    definition: Definition, ledger: Ledger, decided: DecidedAll
) -> dict[str, dict[str, int]]:
    """Who entered and left in this run, and is MQL now, by audience. Empty where the definition has none."""
    if not definition.criteria.audiences:
        return {}
    now = await ledger.mqls_by_audience()
    return {
        name or "none": {
            "entered": decided.entered_in[name],
            "left": decided.left_in[name],
            "now": now.get(name, 0),
        }
        for name in (*(each.id for each in definition.criteria.audiences), "")
    }


async def _tell_of_change(
    result: RunResult, adopted: Adopted, decided: DecidedAll, ledger: Ledger, clock: Clock
) -> None:
    """That the definition is another than before, in the run and in its plans."""
    if adopted.was is None:
        return
    result.more["definition"] = adopted.document(
        {crm: tally.planned for crm, tally in decided.tallies.items()}
    )
    for plan in decided.plans.values():
        told: dict[str, JsonValue] = {"title": "The definition has changed", "lines": adopted.lines()}
        await ledger.tell_of_plan(plan, "definition", told, clock.now())


async def _push_all(
    result: RunResult,
    adapters: Mapping[str, Adapter],
    definition: Definition,
    schemas: Schemas,
    ledger: Ledger,
    clock: Clock,
    gathered: Mapping[str, Gathered],
    decided: DecidedAll,
    holder: str,
    approve: Approve,
    plan_only: bool,
    watching: Watching,
) -> dict[str, Pushed]:
    """Push what is approved; what is not waits, with the reason in the plan."""

    async def one(crm: str, adapter: Adapter) -> Pushed:
        plan, tally = decided.plans.get(crm), decided.tallies[crm]
        if plan is None:
            return Pushed()
        if not tally.planned:
            lease = await acquired(ledger, f"push:{crm}", holder, clock)
            await ledger.close_plan(plan, "empty", lease, clock.now())
            await ledger.release(lease)
            return Pushed()
        mapping = definition.mappings[crm]
        stopped = await standstill(ledger, mapping, clock.now())
        numbers = await numbers_of_sync(adapter, mapping, ledger, tally, gathered[crm])
        first = await first_of(ledger, crm, plan, definition.criteria, clock.now())
        if first is not None:
            result.more.setdefault(RECONCILIATION, {})[crm] = first
        await tell_of_places(ledger, plan, decided.bars, clock.now())
        imports = await tell_of_imports(ledger, plan, definition.mappings, clock.now())
        if imports:
            result.more.setdefault(IMPORTS, {})[crm] = list(imports)
        limits = await keep_limits(ledger, plan, crossed(mapping.limits, numbers), clock.now())
        limit = joined(FIRST if first else None, limits)
        summary = summary_of(plan, crm, tally, limit, opens_with=first, imports=imports)
        rehearsal = "--plan-only" if plan_only else ""
        if stopped:
            why = joined(stopped, limit) or ""
        else:
            why = await why_waits(summary, mapping, approve, rehearsal=rehearsal)
        if why:
            held = limit is not None or not (plan_only or stopped)
            waiting = await leave_waiting(ledger, clock, crm, plan, why, held=held, holder=holder)
            return Pushed(waiting=waiting, stopped=why)
        terms = Terms(mapping, schemas, definition.criteria.smallest_change)
        return await push(
            adapter, terms, ledger, clock, plan=plan, holder=holder,
            progress=watching.pushed, stopping=watching.stopping,
        )  # fmt: skip

    outcomes = await _side_by_side([one(crm, adapter) for crm, adapter in adapters.items()])
    return dict(zip(adapters, outcomes, strict=True))


async def _side_by_side(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once. When one fails the others are stopped before the error goes on: nothing outlives its run."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def status_of(result: RunResult) -> str:
    """`succeeded` only when every CRM finished and its sums add up."""
    errors = [counts.error for counts in result.crms.values() if counts.error]
    for crm, counts in result.crms.items():
        if not counts.adds_up():
            counts.error = joined(counts.error, f"the sums of {crm} do not add up")
            errors.append(counts.error or "")
    nothing_came = all(counts.error and not counts.fetched for counts in result.crms.values())
    if errors:
        return "failed" if nothing_came else "partial"
    return "succeeded"


async def finish(
    result: RunResult,
    adapters: Mapping[str, Adapter],
    calls_before: Mapping[str, int],
    ledger: Ledger,
    clock: Clock,
    started: Any,
) -> None:
    now = clock.now()
    result.seconds = (now - started).total_seconds()
    for crm, adapter in adapters.items():
        result.crms[crm].calls = adapter.calls() - calls_before[crm]
    await ledger.finish_run(result.run, result.status, result.document(), now)


def joined(*parts: str | None) -> str | None:
    said: Sequence[str] = [part for part in parts if part]
    return "; ".join(said) or None
