"""A backfill: an old range of one CRM, read in slices, decided in turns, pushed like every plan. Knows no CRM by name.

It is estimated first, kept in the ledger so that any process may take it up where it was left, and gives way to due
syncs throughout. The people whom it touches are held until all of its range is read: nobody is judged on half of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connector.core.account import account_fields_read
from connector.core.definition import Definition
from connector.core.kinds import DEMOTION, PROMOTION
from connector.core.limits import crossed
from connector.core.model import OUTCOMES, JsonValue
from connector.core.privacy_rules import PRIVACY
from connector.core.refs import RefSet
from connector.errors import LeaseBusy, StopRun
from connector.phases.adopt import adopt
from connector.phases.arrivals import tell_of_imports
from connector.phases.backfill import Stop, read_range, spent
from connector.phases.counting import CrmTally
from connector.phases.decide import DecidedAll, Turn, decide
from connector.phases.first import FIRST, first_of
from connector.phases.gate import Approve, keep_limits, leave_waiting, summary_of, why_waits
from connector.phases.intake import Gathered
from connector.phases.lease import Heartbeat
from connector.phases.others import others_plans_gone
from connector.phases.planning import Schemas
from connector.phases.push import Terms, push
from connector.phases.standstill import standstill
from connector.phases.usual import numbers_of_backfill
from connector.pipeline import (
    RunResult,
    Watching,
    finish,
    joined,
    live_schemas,
    mqls_by_audience,
    prove,
    settle_all,
    status_of,
)
from connector.ports import (
    Adapter,
    Allowance,
    Backfill,
    BackfillStream,
    Clock,
    CrmCounts,
    Estimate,
    Ledger,
    backfill_lease,
)
from connector.preflight import told

ROUND = 1_000  # people a plan, so that it is decided and sent within the patience of a sync that waits
EVERYBODY = 1_000_000_000


def holder_of(holder: str) -> str:
    """By what name a process holds its leases for a backfill: another than for its syncs."""
    return f"{holder}/backfill"


def share_done(streams: Iterable[BackfillStream], estimates: Mapping[str, Estimate]) -> float:
    """How much of it is done, from 0 to 1: streams weigh what they were estimated to take. One that the vendor did not
    count is at its beginning until it is done."""
    weights = {name: max(each.seconds, 0.001) for name, each in estimates.items()}
    done = 0.0
    for stream in streams:
        part = min(stream.rows / stream.expected, 1.0) if stream.expected else 0.0
        done += weights.get(stream.name, 0.0) * (1.0 if stream.done else part)
    return done / sum(weights.values()) if weights else 1.0


# --------------------------------------------------------------------------------------------------------------- run


@dataclass(slots=True)
class _Attempt:
    """One attempt at a backfill on its way."""

    backfill: Backfill
    adapter: Adapter
    definition: Definition
    ledger: Ledger
    clock: Clock
    holder: str
    alive: Heartbeat
    approve: Approve
    watching: Watching
    people_a_plan: int
    version: int
    result: RunResult
    gathered: Gathered = field(default_factory=Gathered)
    done: DecidedAll = field(default_factory=DecidedAll)
    sent: Mapping[str, int] = field(default_factory=dict)  # people, by what earlier attempts have sent
    let_through: CrmTally = field(default_factory=CrmTally)  # what a human has seen and approved of so far
    why_not: str = ""  # why nothing is sent (any more); the plan grows and waits
    held: bool = False  # for a human, that is

    @property
    def crm(self) -> str:
        return self.adapter.crm

    @property
    def counts(self) -> CrmCounts:
        return self.result.crms[self.crm]


async def run_backfill(
    backfill: Backfill,
    adapter: Adapter,
    definition: Definition,
    ledger: Ledger,
    clock: Clock,
    *,
    holder: str,
    approve: Approve,
    plan_only: bool = False,
    watching: Watching | None = None,
    people_a_plan: int = ROUND,
) -> RunResult:
    """Go on with a backfill until it ends, is stopped from outside, or has to wait. The first attempt is no different.

    Raises LeaseBusy while another process runs a backfill of this CRM, FixConfig before anything is read where
    credentials, account or definition are wrong. Killed at any point, the next attempt reads a page a stream again at
    most.
    """
    started, crm = clock.now(), adapter.crm
    holder = holder_of(holder)
    alive = Heartbeat(ledger, clock, await ledger.acquire(backfill_lease(crm), holder, started))
    try:
        adapters = {crm: adapter}
        version = (await adopt(ledger, definition, adapters, started)).version
        unreachable = await prove(adapters, ledger, clock)
        backfill = await ledger.begin_backfill(backfill.id, alive.lease, clock.now())
        result = RunResult(backfill.run, crms={crm: CrmCounts()})
        attempt = _Attempt(
            backfill, adapter, definition, ledger, clock, holder, alive, approve, watching or Watching(),
            people_a_plan, version, result, why_not="--dry-run" if plan_only else "",
        )  # fmt: skip
        before = {crm: adapter.calls()}
        attempt.watching.began(backfill.run)
        try:
            unreachable = unreachable or await settle_all(adapters, definition, ledger, clock, holder)
            stop = Stop("waiting", unreachable[crm]) if unreachable else await _worked(attempt)
            await _sum_up(attempt, stop)
            status, reason = _ended(attempt, stop)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
            result.status = "cancelled" if cancelled else "failed"
            reason = "interrupted" if cancelled else str(error) or type(error).__name__
            attempt.counts.error = attempt.counts.error or reason
            await _settled(attempt, "waiting" if cancelled else "failed", reason)
            await finish(result, adapters, before, ledger, clock, started)
            raise
        await _settled(attempt, status, reason)
        await finish(result, adapters, before, ledger, clock, started)
        return result
    finally:
        await ledger.release(alive.lease)


async def _worked(attempt: _Attempt) -> Stop | None:
    """Read what is left of the range, then decide and push whom it touched."""
    stop = await read_range(
        attempt.adapter,
        attempt.definition.mappings[attempt.crm],
        attempt.ledger,
        attempt.clock,
        attempt.backfill,
        holder=attempt.holder,
        gathered=attempt.gathered,
        alive=attempt.alive,
        progress=attempt.watching.gathered_some,
        around=account_fields_read(attempt.definition),
    )
    if stop is not None:
        return stop
    schemas = await live_schemas({attempt.crm: attempt.adapter}, attempt.definition)
    attempt.sent = await attempt.ledger.sent_by_backfill(attempt.backfill.id)
    while True:
        stop = await _one_round(attempt, schemas)
        if stop is not None or not attempt.done.more:
            break
    if attempt.why_not:
        await _leave_waiting(attempt)
    return stop


async def _one_round(attempt: _Attempt, schemas: Schemas) -> Stop | None:
    """Decide some of the people and send their plan. Others may have their turn before the next round."""
    ledger, clock, crm, done = attempt.ledger, attempt.clock, attempt.crm, attempt.done
    await attempt.alive()
    now = await ledger.backfill(attempt.backfill.run)
    if now is not None and now.wish:
        status = "paused" if now.wish == "pause" else "cancelled"
        return Stop(status, f"{status} from outside")
    await others_plans_gone(ledger, clock, crm, frozenset({attempt.backfill.run}), attempt.alive)
    # What waits for a human is shown whole; so is a first plan that nobody has approved beforehand.
    whole = bool(attempt.why_not) or not (attempt.backfill.yes or await ledger.ever_applied(crm))
    tally = done.tallies.setdefault(crm, CrmTally())
    before = replace(tally)
    attempt.done = done = await decide(
        ledger,
        attempt.definition,
        clock,
        run=attempt.backfill.run,
        crms=[crm],
        holder=attempt.holder,
        version=attempt.version,
        schemas=schemas,
        may_leave=attempt.gathered.whole,
        progress=attempt.watching.decided_some,
        turn=Turn(attempt.backfill.id, EVERYBODY if whole else attempt.people_a_plan, done, attempt.alive),
    )
    if attempt.why_not:
        return None
    mapping, plan = attempt.definition.mappings[crm], done.plans.get(crm)
    if plan is None:
        return None  # whom it touched has no record there
    this_round = tally.beyond(before)
    if not this_round.planned:
        return None
    first = await first_of(ledger, crm, plan, attempt.definition.criteria, clock.now())
    limits = await keep_limits(ledger, plan, await _crossed(attempt, tally, this_round), clock.now())
    imports = await tell_of_imports(ledger, plan, attempt.definition.mappings, clock.now())
    limit = joined(FIRST if first else None, limits)
    stopped = await standstill(ledger, mapping, clock.now())
    if stopped:
        attempt.why_not, attempt.held = joined(stopped, limit) or "", limit is not None
        return None
    summary = summary_of(plan, crm, this_round, limit, opens_with=first, imports=imports)
    attempt.why_not = await why_waits(summary, mapping, attempt.approve)
    if attempt.why_not:
        attempt.held = True
        return None
    if limits:  # who lets a first plan go has not seen a crowd
        attempt.let_through = replace(tally)
    terms = Terms(mapping, schemas, attempt.definition.criteria.smallest_change)
    try:
        pushed = await push(
            attempt.adapter, terms, ledger, clock, plan=plan, holder=attempt.holder,
            progress=attempt.watching.pushed, stopping=attempt.watching.stopping,
        )  # fmt: skip
    except LeaseBusy as error:
        attempt.why_not = str(error)  # somebody else pushes and goes on pushing
    except StopRun:
        # A sync has opened a plan of its own and taken over what was not sent yet. Lost is nothing.
        return None
    else:
        attempt.why_not, attempt.held = pushed.error or pushed.stopped, pushed.held
        attempt.counts.error = joined(attempt.counts.error, pushed.error, pushed.differs)
        attempt.watching.stop_here()
    return None


async def _crossed(attempt: _Attempt, tally: CrmTally, this_round: CrmTally) -> dict[str, str]:
    """The limits, for this round and for all rounds since a human let one through: a thousand people at a time must not
    slip many thousands under them."""
    mapping, ledger = attempt.definition.mappings[attempt.crm], attempt.ledger
    backfill = await ledger.backfill(attempt.backfill.run) or attempt.backfill
    so_far = tally.beyond(attempt.let_through)
    if not attempt.let_through.planned:
        so_far.promoted += attempt.sent.get(PROMOTION, 0)
        so_far.demoted += attempt.sent.get(DEMOTION, 0)
    found: dict[str, str] = {}
    for part in (this_round, so_far):
        found |= crossed(mapping.limits, await numbers_of_backfill(mapping, ledger, part, backfill))
    return found


async def _leave_waiting(attempt: _Attempt) -> None:
    """What was planned and not sent waits for `plan apply`, with the reason."""
    plan = attempt.done.plans.get(attempt.crm)
    if plan is None:
        return
    waiting = await leave_waiting(
        attempt.ledger,
        attempt.clock,
        attempt.crm,
        plan,
        attempt.why_not,
        held=attempt.held,
        holder=attempt.holder,
    )
    if waiting:
        attempt.result.plans[attempt.crm] = plan


async def _sum_up(attempt: _Attempt, stop: Stop | None) -> None:
    """The sums (DESIGN 2), by how the planned rows stand now. Whom a stopped attempt has read and not decided waits."""
    counts, gathered, done, result = attempt.counts, attempt.gathered, attempt.done, attempt.result
    rows = dict(await attempt.ledger.outcomes(attempt.backfill.run, attempt.crm))
    counts.held_back = rows.pop("held_back", 0)
    for name in OUTCOMES:
        setattr(counts, name, rows.pop(name, 0))
    counts.unknown += rows.pop("sending", 0)
    counts.waiting += sum(rows.values())
    decided = counts.held_back + sum(getattr(counts, name) for name in OUTCOMES)
    seen = done.tallies[attempt.crm].seen if attempt.crm in done.tallies else RefSet()
    undecided = gathered.touched.beside(seen, crm=attempt.crm) if stop else 0
    only_read = gathered.records.beside(seen, *([gathered.touched] if stop else []))
    counts.waiting += undecided
    counts.planned = decided - counts.held_back + undecided
    counts.unchanged = len(seen) - decided + only_read
    counts.quarantined = len(gathered.quarantined)
    counts.read = len(seen) + undecided + only_read + counts.quarantined
    counts.fetched = gathered.fetched
    counts.error = joined(counts.error, *gathered.errors)
    if stop is not None and not gathered.failed:
        counts.error = joined(counts.error, stop.reason)
    if attempt.crm in done.tallies:
        counts.promoted, counts.demoted = (
            done.tallies[attempt.crm].promoted,
            done.tallies[attempt.crm].demoted,
        )
        counts.by_override = done.tallies[attempt.crm].by_override
    result.people, result.entered, result.left = done.people, done.entered, done.left
    result.by_override = done.by_override
    result.now = (await attempt.ledger.stage_counts()).get("mql", 0)
    result.by_audience = await mqls_by_audience(attempt.definition, attempt.ledger, done)


def _ended(attempt: _Attempt, stop: Stop | None) -> tuple[str, str]:
    """How the run ends, and where the backfill stands from now on."""
    if stop is not None:
        attempt.result.status = "cancelled" if stop.status == "cancelled" else "partial"
        return stop.status, stop.reason
    attempt.result.status = status_of(attempt.result)
    failed = attempt.gathered.failed
    if failed:
        return "failed", "; ".join(f"{stream}: {why}" for stream, why in failed.items())
    return "succeeded", ""


async def _settled(attempt: _Attempt, status: str, reason: str) -> None:
    """The attempt's end in the ledger, and in the document that the command prints."""
    ledger, clock = attempt.ledger, attempt.clock
    await ledger.settle_backfill(attempt.backfill.id, status, reason, clock.now())
    now = await ledger.backfill(attempt.backfill.run) or attempt.backfill
    attempt.result.more = document(now, attempt.adapter.allowance())
    if attempt.done.privacy:
        attempt.result.more[PRIVACY] = dict(attempt.done.privacy)


def document(backfill: Backfill, allowance: Allowance | None = None) -> dict[str, JsonValue]:
    """Where a backfill stands, as `backfill --json` prints it beside the sums of its last run."""
    since, until = backfill.within.since, backfill.within.until
    return {
        "backfill": {
            "crm": backfill.crm,
            "object": backfill.object or None,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "status": backfill.status,
            "reason": backfill.reason,
            "rows": backfill.rows,
            "expected": backfill.expected,
            "streams": {
                each.name: {"rows": each.rows, "expected": each.expected, "done": each.done}
                for each in backfill.streams
            },
        },
        "estimate": dict(backfill.preflight) or told(backfill.estimates, allowance),
    }


def may_go_on(backfill: Backfill, allowance: Allowance | None) -> bool:
    """Whether a backfill that waits would get any further now."""
    return backfill.status == "queued" or spent(allowance, backfill.crm) is None
