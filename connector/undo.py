"""One undo: a run that takes back what another one wrote, by a plan of its own that a human approves.

    survey   ledger (what the run wrote) > adapters/*/read > ledger   (a plan of kind `undo`, a slice a commit)
    push     as every plan; each record is read again first and judged by core/undo

What came back is held back from later syncs until something else is wanted (ledger/store_restored). Knows no CRM by
name, except in sentences for people.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.core.definition import Definition
from connector.core.model import OUTCOMES
from connector.core.undo import images_gone
from connector.errors import ConnectorError, FixConfig
from connector.phases.gate import Approve, leave_waiting, summary_of, why_waits
from connector.phases.lease import acquired
from connector.phases.planning import Schemas
from connector.phases.push import Pushed, Terms, push
from connector.phases.undo import Order, Survey, survey, told
from connector.pipeline import (
    RunResult,
    Watching,
    finish,
    joined,
    live_schemas,
    prove,
    settle_all,
    status_of,
)
from connector.ports import Adapter, Clock, CrmCounts, Ledger, RunInfo, backfill_lease

WAITS = "an undo waits for a human"


async def undo(
    undoes: int,
    adapters: Mapping[str, Adapter],
    definition: Definition,
    ledger: Ledger,
    clock: Clock,
    *,
    holder: str,
    approve: Approve,
    asked_by: str = "",
    why: str = "",
    plan_only: bool = False,
    watching: Watching | None = None,
) -> RunResult:
    """Take back run `undoes` in these CRMs, as far as what it wrote still stands there and is ours.

    What is under way of an earlier process is settled first. Raises FixConfig where there is no such run, or it still
    goes on. Run again, it takes back what is left; with nothing left it succeeds and says so.
    """
    run_before = await takeable(ledger, clock, undoes, adapters)
    started = clock.now()
    unreachable = await prove(adapters, ledger, clock)
    reachable = {crm: adapter for crm, adapter in adapters.items() if crm not in unreachable}
    unreachable |= await settle_all(reachable, definition, ledger, clock, holder)
    run = await ledger.start_run("undo", list(adapters), started, asked_by=asked_by)
    told_by = watching or Watching()
    told_by.began(run)
    order = Order(run, undoes, asked_by or "somebody", why)
    result = RunResult(run, crms={crm: CrmCounts() for crm in adapters})
    calls_before = {crm: adapter.calls() for crm, adapter in adapters.items()}
    summaries: dict[str, object] = {}
    try:
        for crm, error in unreachable.items():
            result.crms[crm].error = error
        working = {crm: adapter for crm, adapter in adapters.items() if crm not in unreachable}
        schemas = await live_schemas(working, definition)
        for crm, adapter in working.items():
            mapping, counts = definition.mappings[crm], result.crms[crm]
            try:
                found = await survey(adapter, mapping, schemas, ledger, clock, order, holder=holder)
            except ConnectorError as error_:
                counts.error = str(error_)
                continue
            lost = max(0, _said_written(run_before, crm) - found.read)
            summaries[crm] = summary = await told(adapter, found, order, lost=lost)
            counts.read, counts.unchanged = found.read, found.unchanged
            counts.planned, counts.held_back = found.tally.planned, found.tally.held_back
            if found.plan is None:
                continue
            result.plans[crm] = found.plan
            await ledger.tell_of_plan(found.plan, "undo", summary, clock.now())
            pushed = await _sent(
                found, adapter, definition, schemas, ledger, clock,
                holder=holder, approve=approve, plan_only=plan_only, watching=told_by,
            )  # fmt: skip
            for name in OUTCOMES:
                setattr(counts, name, getattr(pushed, name))
            counts.error = joined(counts.error, pushed.error, pushed.differs)
            told_by.stop_here()
        result.now = (await ledger.stage_counts()).get("mql", 0)
        result.more = {"undo": {"run": undoes, "crms": summaries}}
    except BaseException as error:
        result.broke_off(error)
        await finish(result, adapters, calls_before, ledger, clock, started)
        raise
    result.status = status_of(result)
    if result.status == "failed" and any(counts.read for counts in result.crms.values()):
        result.status = "partial"
    await finish(result, adapters, calls_before, ledger, clock, started)
    return result


async def _sent(
    found: Survey,
    adapter: Adapter,
    definition: Definition,
    schemas: Schemas,
    ledger: Ledger,
    clock: Clock,
    *,
    holder: str,
    approve: Approve,
    plan_only: bool,
    watching: Watching,
) -> Pushed:
    """Send what is approved; what is not waits for a human."""
    crm, plan = adapter.crm, found.plan
    assert plan is not None
    mapping = definition.mappings[crm]
    if not found.tally.planned:
        lease = await acquired(ledger, f"push:{crm}", holder, clock)
        await ledger.close_plan(plan, "empty", lease, clock.now())
        await ledger.release(lease)
        return Pushed()
    summary = summary_of(plan, crm, found.tally, WAITS)
    why = await why_waits(summary, mapping, approve, rehearsal="--plan-only" if plan_only else "")
    if why:
        return Pushed(waiting=await leave_waiting(ledger, clock, crm, plan, why, held=True, holder=holder))
    terms = Terms(mapping, schemas, definition.criteria.smallest_change)
    return await push(
        adapter, terms, ledger, clock, plan=plan, holder=holder,
        progress=watching.pushed, stopping=watching.stopping,
    )  # fmt: skip


async def takeable(ledger: Ledger, clock: Clock, run: int, crms: Mapping[str, object]) -> RunInfo:
    """The run that is to be taken back. Raises FixConfig where there is none, it is still going on, or what stood there
    before it is not known any more.

    A run whose process died still says `running`; it goes on only while somebody holds a lease to work.
    """
    info = await ledger.run(run)
    if info is None:
        raise FixConfig(f"There is no run {run}.", next_step="`connector runs list` shows them.")
    if gap := next((each for each in await ledger.gaps() if run <= each.run), None):
        raise FixConfig(
            f"Run {run} cannot be undone: the ledger was restored at {gap.until:%Y-%m-%d %H:%M} UTC from a backup made "
            f"at {gap.since:%Y-%m-%d %H:%M} UTC (run {gap.run}), and what was written between the two is not known.",
            next_step="Correct the definition or the records instead; runs after the restore can be undone.",
        )
    for plan in await ledger.plans_of(run):
        if plan.crm in crms and plan.let_go_at is not None:
            raise images_gone(run, plan.crm, plan.let_go_at)
    if info.status not in ("running", "queued"):
        return info
    works = ["decide"]
    for crm in info.crms:
        works += [f"pull:{crm}", f"push:{crm}", backfill_lease(crm)]
    holders = [await ledger.holder(work, clock.now()) for work in works]
    if info.status == "queued" or any(holders):
        raise FixConfig(
            f"Run {run} is still {info.status}.",
            next_step="Wait for its end, or stop it (Ctrl-C; a backfill: `connector runs cancel`). Then undo it.",
        )
    return info


def _said_written(info: RunInfo, crm: str) -> int:
    """How many records the run said it had written."""
    counts = info.document.get("crms", {}).get(crm, {}) if info.document else {}
    return int(counts.get("written") or 0)
