"""What is told once for all: that something is wrong, and right again; many MQLs at once; the week; what was beyond a
cap. Makes notices; sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from connector import compare
from connector.core.criteria import Criteria
from connector.core.handoff import BACKFILL, FIRST_LOAD, FOUND, NEW_DEFINITION, Users
from connector.core.notify import DIGEST, HEALTH, PRIVACY, REVOPS, SUMMARY, WEEK, Notify, folded_text
from connector.core.routing import Way
from connector.insight.sla import SlaReport, sla_report
from connector.ledger.store_deleted import ERASED, DeletedElsewhere
from connector.phases.lease import Heartbeat
from connector.ports import STOPPED, Bulk, Notice
from connector.transport import scrub

if TYPE_CHECKING:
    from connector.app.wiring import Wired

OWN_JOB = "telling"
RUNS = 50  # latest runs that are looked at for how each CRM answered last
OVER = timedelta(days=1)  # a run that began earlier and never ended will not end any more
LOOK_FOR_ERASED = timedelta(days=1)  # it looks through everybody who was deleted
FAILS = 3  # tries after which a target counts as failing
_HOW: Mapping[str, str] = {
    FIRST_LOAD: "The first load",
    BACKFILL: "A backfill",
    NEW_DEFINITION: "A new definition",
    FOUND: "The read after a restore",
}


# ------------------------------------------------------------------------------------------------------------ health


async def health(parts: Wired, hold: Heartbeat) -> None:
    """Tell what is wrong since the last look, and what is right again; nothing else, however often it is looked."""
    now = parts.clock.now()
    found = await _wrong(parts, now)
    last = await parts.ledger.told_last(HEALTH)
    known: Mapping[str, str] = last[0] if last else {}
    new = [(key, found[key]) for key in sorted(found.keys() - known.keys())]
    gone = [(key, f"Right again: {known[key]}") for key in sorted(known.keys() - found.keys())]
    if not new and not gone:
        return
    notices = [(Notice(HEALTH, REVOPS, text, now), f"{key} {now.isoformat()}") for key, text in (*new, *gone)]
    still = {key: known.get(key, text) for key, text in found.items()}
    await parts.ledger.tell(HEALTH, still, notices, hold.lease, now)


async def _wrong(parts: Wired, now: datetime) -> dict[str, str]:
    """What a human should know of now, by what it is about. From the ledger alone, so that every replica says the
    same."""
    ledger, found = parts.ledger, dict[str, str]()
    ended: dict[str, tuple[datetime, Any]] = {}
    for run in await ledger.runs(RUNS):
        if run.kind == compare.KIND:
            continue  # it reads other things than a sync does; what is wrong with it is told as its job's
        for crm, counts in (run.document.get("crms") or {}).items():
            if run.finished_at is not None and crm not in ended and run.status != "cancelled":
                ended[crm] = (run.finished_at, counts)
    for crm in parts.adapters:
        if crm not in ended:
            continue
        at, counts = ended[crm]
        if counts.get("error"):
            found[f"crm {crm}"] = f"{crm} has errors: {scrub(str(counts['error']))}"
        late = max(3 * parts.intervals.get(crm, timedelta()), timedelta(hours=1))
        if now - at > late:
            found[f"late {crm}"] = f"No sync of {crm} has ended since {at:%Y-%m-%d %H:%M} UTC."
    for crm, brake in (await ledger.brakes()).items():
        found[f"brake {crm}"] = (
            f"Pushing to {crm} is stopped by {brake.by}{f': {brake.why}' if brake.why else '.'}"
        )
    for plan in await ledger.open_plans(at=now):
        if plan.held:
            text = f"A plan for {plan.crm} waits for a human: {plan.held} `connector plan show {plan.id}`"
            found[f"plan {plan.crm}"] = text
    for job in (await ledger.jobs()).values():
        if job.failed and job.failed != STOPPED and job.name != OWN_JOB:
            found[f"job {job.name}"] = f"The job {job.name} fails: {scrub(job.failed)}"
    for target, (many, tries) in (await ledger.waiting_deliveries()).items():
        if tries >= FAILS:
            found[f"target {target}"] = f"Notifications to {target} fail; {many} wait."
    return found


# ----------------------------------------------------------------------------------------------------- many at once


async def summaries(parts: Wired, hold: Heartbeat) -> None:
    """One notice to RevOps for the MQLs that a first load, a backfill or a new definition has found."""
    now = parts.clock.now()
    for bulk in await parts.ledger.bulks(now - OVER):
        notice = Notice(
            SUMMARY, REVOPS, _bulk_text(bulk, await parts.ledger.kept_quiet(bulk)), now, run=bulk.run
        )
        await parts.ledger.sum_up(bulk, notice, hold.lease)


def _bulk_text(bulk: Bulk, guarded: int) -> str:
    how = _HOW.get(bulk.quiet, "A look at who was MQL before")
    kept = f" {guarded:,} more are kept from sales by a guard." if guarded else ""
    return (
        f"{how} (run {bulk.run}) found {bulk.many:,} MQLs. Nobody was told of them one by one.{kept} "
        "`connector people --stage mql` lists them."
    )


# ---------------------------------------------------------------------------------------------------------- the week


async def digest(parts: Wired, criteria: Criteria, hold: Heartbeat, users: Users) -> None:
    """Once a week, the week before. The first time there is no week to tell of yet."""
    if not criteria.notify.of(DIGEST):
        return
    now = parts.clock.now()
    due = criteria.notify.digest_due(now)
    last = await parts.ledger.told_last(DIGEST)
    if last is not None and datetime.fromisoformat(last[0]) >= due:
        return
    notices = []
    if last is not None:
        since = due - WEEK
        spells = await parts.ledger.spells(since, due)
        found = sla_report(spells, users, lambda name: criteria.of(name).handoff, now, since=since, until=due)
        mqls = (await parts.ledger.stage_counts()).get("mql", 0)
        text = digest_text(found, mqls, since, due, criteria.notify)
        notices = [(Notice(DIGEST, REVOPS, text, now), due.isoformat())]
    await parts.ledger.tell(DIGEST, due.isoformat(), notices, hold.lease, now)


def digest_text(found: SlaReport, mqls: int, since: datetime, until: datetime, notify: Notify) -> str:
    """The week in a few lines, without a name."""
    total, zone = found.total, notify.zone
    lines = [
        f"{since.astimezone(zone):%Y-%m-%d} to {until.astimezone(zone):%Y-%m-%d}:"
        f" {total.mqls:,} new MQLs, {mqls:,} now."
    ]
    if found.quiet:
        lines.append(f"{found.quiet:,} more were found in bulk.")
    if total.hours is not None:
        lines.append(f"First touch: {total.touched:,}, after {total.hours:g} working hours in the middle.")
    if total.share is not None:
        lines.append(f"Within the SLA: {total.share:.0%} of {total.judged:,}.")
    if total.untouched:
        lines.append(f"Untouched: {total.untouched:,}, of which {total.overdue:,} are overdue.")
    sources = [f"{name} {pace.mqls:,}" for name, pace in list(found.by_source.items())[:3]]
    if sources:
        lines.append(f"From: {', '.join(sources)}.")
    if found.humans:
        lines.append(f"{len(found.humans):,} need a human: unowned, or their owner has left.")
    return "\n".join([*lines, "`connector report sla` has the rest."])


# ----------------------------------------------------------------------------------------------- deleted elsewhere


async def erasures(parts: Wired, notify: Notify, hold: Heartbeat) -> None:
    """Once a day, of how many were erased in one CRM since the last look and live on in another."""
    now = parts.clock.now()
    last = await parts.ledger.told_last(PRIVACY)
    if not notify.of(PRIVACY) or (last is not None and now - last[1] < LOOK_FOR_ERASED):
        return
    known = datetime.fromisoformat(last[0]) if last else None
    found = [each for each in await parts.ledger.deleted_elsewhere() if each.how == ERASED]
    new = [each for each in found if known is None or (each.found_at is not None and each.found_at > known)]
    notices = [(Notice(PRIVACY, REVOPS, _erased_text(new), now), now.isoformat())] if new else []
    seen = max((each.found_at for each in new if each.found_at is not None), default=known or now)
    await parts.ledger.tell(PRIVACY, seen.isoformat(), notices, hold.lease, now)


def _erased_text(found: Sequence[DeletedElsewhere]) -> str:
    """Without a name: whoever was erased is to be forgotten."""
    crms = Counter((each.ref.crm, ref.crm) for each in found for ref in each.alive[:1])
    said = ", ".join(f"{many:,} erased in {one}, alive in {other}" for (one, other), many in crms.items())
    return f"{said}. Are they to be erased everywhere? `connector report privacy` lists their records."


# ------------------------------------------------------------------------------------------------------ beyond a cap


async def fold(parts: Wired, notify: Notify, hold: Heartbeat) -> None:
    """One line to each target for what was beyond its cap on earlier days."""
    now = parts.clock.now()
    today = notify.day_begins(now)
    kinds: dict[Way, dict[str, int]] = {}
    for each in await parts.ledger.folded_deliveries(today):
        kinds.setdefault(each.way, {})[each.kind] = each.many
    day = notify.day_of(today - timedelta(seconds=1))
    for way, counts in kinds.items():
        key = f"{way.target} {way.address} {day.isoformat()}"
        await parts.ledger.fold(way, folded_text(counts, day), key, today, hold.lease, now)
