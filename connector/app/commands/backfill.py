"""`connector backfill`: the estimate, the question, and then the run: here, or in the sidecar where one is alive."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from connector import backfill as flow
from connector.app import exits
from connector.app.asking import ask_ledger
from connector.app.commands.score import instant
from connector.app.commands.sync import exit_code, report
from connector.app.estimating import estimated, in_order, stream_of, unfinished
from connector.app.log import configure
from connector.app.output import err, out, print_json
from connector.app.plans import row_document
from connector.app.progress import backfilling
from connector.app.running import run
from connector.app.settings import Settings, load_settings
from connector.app.syncing import ask_about
from connector.app.who import actor
from connector.app.wiring import SystemClock, Wired, wired
from connector.ledger import SqlLedger, open_ledger
from connector.ledger.rehearsal import rehearsal
from connector.phases.gate import PlanSummary
from connector.pipeline import RunResult
from connector.ports import Adapter, Backfill, Estimate, Range, backfill_lease, serving

POLL = timedelta(seconds=1)  # how often whoever follows a backfill looks at the ledger
EXAMPLES = 5
UNDER_WAY = ("queued", "running")


def backfill(
    crm: str,
    *,
    since: str | None,
    until: str | None,
    object: str,
    dry_run: bool,
    yes: bool,
    mappings: Path | None,
    json: bool,
) -> int:
    """Estimate, ask, run or follow, report. Exit codes as in docs/reference/commands.md."""
    settings = load_settings()
    configure(settings)
    within = range_of(since, until)

    async def go() -> dict[str, Any]:
        async with wired(settings, [crm], mappings_dir=mappings) as parts:
            adapter = parts.adapters[crm]
            named = stream_of(parts, crm, object)
            if dry_run:
                estimates, before = await estimated(parts, crm, named, within)
                tell_estimate(crm, estimates, before)
                return await _rehearsed(parts, settings, crm, named, within, estimates, before)
            asked = await unfinished(parts.ledger, crm, named, within)
            if asked is None:
                estimates, before = await estimated(parts, crm, named, within)
                tell_estimate(crm, estimates, before)
                await _warn_of_a_first_time(parts.ledger, adapter)
                if not (yes or _agreed()):
                    return _not_begun(before)
                asked = await parts.ledger.ask_backfill(
                    crm, named, within, yes, estimates, parts.clock.now(), preflight=before, asked_by=actor()
                )
            else:
                err.print(
                    f"{crm}: going on with run {asked.run}, {asked.rows:,} rows are kept already.",
                    markup=False,
                )
            return await carried_on(parts, asked)

    return told(lambda: run(go()), json=json)


def told(work: Any, *, json: bool) -> int:
    """Do the work, print what came of it, and say by the exit code whether somebody should look."""
    began = SystemClock().now()
    try:
        document: dict[str, Any] = work()
    except KeyboardInterrupt:
        stopped = ask_ledger(lambda ledger: ledger.runs(1))
        err.print("Interrupted. What was saved stays saved; the same command goes on from there.")
        if json and stopped and stopped[0].started_at >= began and stopped[0].document:
            print_json(stopped[0].document)
            return exits.LOOK
        raise
    if json:
        print_json(document)
    else:
        _report(document)
    if document["status"] == "failed":
        return exits.FAILED
    if document.get("dry_run") is not None and document["status"] == "succeeded":
        return exits.OK  # what would be written waits for nobody: nothing of it is kept
    return exit_code(RunResult.of(document)) if document["run"] is not None else exits.LOOK


def range_of(since: str | None, until: str | None) -> Range:
    return in_order(
        Range(instant(since, "--since") if since else None, instant(until, "--until") if until else None)
    )


def tell_estimate(crm: str, estimates: Mapping[str, Estimate], told: Mapping[str, Any]) -> None:
    """What it would take, on stderr, before anything is read."""
    from rich.table import Table

    table = Table("stream", title=f"Estimate for the backfill of {crm}")
    for name in ("records", "calls", "minutes"):
        table.add_column(name, justify="right")
    for stream, each in estimates.items():
        rows = f"{each.rows:,}" if each.rows is not None else "not counted"
        table.add_row(stream, rows, f"{each.calls:,}", f"{each.seconds / 60:.1f}")
    counted = f"{told['records']:,}" if len(told["uncounted"]) < len(estimates) else "not counted"
    table.add_row("in all", counted, f"{told['calls']:,}", f"{told['minutes']:.1f}")
    err.print(table)
    for line in (*allowance_lines(told), *automation_lines(told["automations"])):
        err.print(line, markup=False)


def allowance_lines(told: Mapping[str, Any]) -> list[str]:
    """What of the day's allowance it takes, and in how many portions."""
    lines = [f"Writing takes up to {told['write_calls_at_most']:,} calls more."]
    if told["share"] is None:
        return [*lines, "How many calls are left today is not known."]
    lines.append(
        f"That is {told['share']:.2%} of the day's calls; {told['left_today']:,} are left today for work that can wait."
    )
    if told["portions"] is None:
        lines.append("Others use up the day's share: it waits until they leave some of it.")
    elif told["portions"] > 1:
        lines.append(
            f"It is read in {told['portions']} portions, one a day: where the day's share is used up it waits for the"
            " allowance to come back. The sidecar then goes on by itself; without one, the same command does."
        )
    return lines


def automation_lines(automations: Mapping[str, Any]) -> list[str]:
    """What of the account's own was found to listen to what may be written. Never all there is."""
    lines = [
        f"Found: the {each['kind']} `{each['name']}` listens to {', '.join(each['listens'])}; what is written may"
        f" set it off ({each['where']})."
        for each in automations["found"]
        if each["listens"]
    ]
    if not lines:
        lines.append(
            "Found no automation that listens to what may be written; there may be some all the same."
        )
    return [*lines, *automations["unseen"]]


async def _warn_of_a_first_time(ledger: SqlLedger, adapter: Adapter) -> None:
    """A ledger that knows nothing else judges people by what this range holds of them."""
    marks = [await ledger.cursor(adapter.crm, stream.name) for stream in adapter.streams()]
    if not any(marks):
        err.print(
            f"{adapter.crm} was never synced into this ledger: whom this touches is judged by this range alone, and"
            " written so. `connector sync` first reads all there is.",
            markup=False,
        )


def _agreed() -> bool:
    """Ask at a terminal. Elsewhere nobody can answer: nothing is begun."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Begin? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _not_begun(estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": None, "status": "cancelled", "crms": {}, "people": 0,
        "mql": {"entered": 0, "left": 0, "now": 0, "by_override": 0}, "seconds": 0.0, "estimate": estimate,
        "next_step": "Nothing was begun. Run it with --yes.",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------- run or follow


async def carried_on(parts: Wired, asked: Backfill) -> dict[str, Any]:
    """The document of its run, once it has ended, stopped or has to wait; run by us or by whoever is alive."""
    ledger, clock = parts.ledger, parts.clock
    if await ledger.holder(backfill_lease(asked.crm), clock.now()) is None and asked.status != "queued":
        asked = await ledger.wish_backfill(asked.id, "resume", clock.now())
    with backfilling(asked) as shown:
        while True:
            now = await ledger.backfill(asked.run) or asked
            working = await ledger.holder(backfill_lease(now.crm), clock.now())
            if now.status not in UNDER_WAY and working is None:
                return await standing(ledger, now)
            if working is None and await ledger.holder(serving(now.crm), clock.now()) is None:
                break
            shown.read(now.streams)
            await clock.sleep(POLL)

        async def approve(plan: PlanSummary) -> bool:
            if plan.limit is None or now.yes:
                return True
            return ask_about(plan) if sys.stdin.isatty() else False

        result = await flow.run_backfill(
            now,
            parts.adapters[now.crm],
            parts.definition,
            ledger,
            clock,
            holder=parts.holder,
            approve=approve,
            watching=shown.watching(now.streams),
        )
        return result.document()


async def standing(ledger: SqlLedger, backfill: Backfill) -> dict[str, Any]:
    """The document of its last run, and where it stands."""
    found = await ledger.run(backfill.run)
    ended = found.status if found and found.status not in UNDER_WAY else "partial"
    return {
        **RunResult(backfill.run, status=ended).document(),
        **(found.document if found else {}),
        **flow.document(backfill),
    }


async def _rehearsed(
    parts: Wired,
    settings: Settings,
    crm: str,
    object: str,
    within: Range,
    estimates: Mapping[str, Estimate],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole of it over a copy of the ledger, but for the sending. The ledger keeps the document alone."""
    clock = parts.clock
    number = await parts.ledger.start_run("backfill --dry-run", [crm], clock.now())
    with rehearsal(settings.database_url) as copy:
        ledger = open_ledger(copy, create=False)
        try:
            asked = await ledger.ask_backfill(
                crm, object, within, False, estimates, clock.now(), preflight=before
            )
            with backfilling(asked) as shown:
                result = await flow.run_backfill(
                    asked,
                    parts.adapters[crm],
                    parts.definition,
                    ledger,
                    clock,
                    holder=parts.holder,
                    approve=_nobody,
                    plan_only=True,
                    watching=shown.watching(asked.streams),
                )
            would = await _would_write(ledger, result.plans.get(crm))
        except BaseException:
            await parts.ledger.finish_run(number, "failed", {"error": "the rehearsal broke off"}, clock.now())
            raise
        finally:
            await ledger.close()
    document = {**result.document(), "run": number, "plans": {}, "dry_run": would}
    await parts.ledger.finish_run(number, result.status, document, clock.now())
    return document


async def _nobody(plan: PlanSummary) -> bool:
    return False


async def _would_write(ledger: SqlLedger, plan: int | None) -> dict[str, Any]:
    fields: Counter[str] = Counter()
    examples: list[dict[str, object]] = []
    after = 0
    while plan is not None and (
        rows := await ledger.plan_rows(plan, status="waiting", limit=1_000, after=after)
    ):
        after = rows[-1].id
        fields.update(f"{row.ref.object}.{write.field}" for row in rows for write in row.writes)
        examples += [row_document(row) for row in rows[: EXAMPLES - len(examples)]]
    return {"fields": dict(fields.most_common()), "examples": examples}


# -------------------------------------------------------------------------------------------------------- report


def _report(document: Mapping[str, Any]) -> None:
    if document["run"] is None:
        out.print(document["next_step"], markup=False)
        return
    if document.get("crms"):
        report(RunResult.of(document))
    stands = document["backfill"]
    expected = f" of {stands['expected']:,} expected" if stands["expected"] is not None else ""
    why = f": {stands['reason']}" if stands["reason"] else "."
    would = document.get("dry_run")
    if would is not None:
        out.print("A dry run: nothing was written, and nothing of it is kept. It would write", markup=False)
        for name, count in would["fields"].items():
            out.print(f"  {name}: {count:,} records", markup=False)
        return
    out.print(f"The backfill: {stands['status']}, {stands['rows']:,} rows kept{expected}{why}", markup=False)
    if stands["status"] not in ("succeeded", "cancelled"):
        out.print(f"The same command goes on, or `connector runs resume {document['run']}`.", markup=False)
