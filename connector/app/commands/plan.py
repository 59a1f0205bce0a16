"""`connector plan`: look at what would be written, hand it on, approve it, apply exactly it, or drop it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from connector.app import exits
from connector.app.applying import apply_plan, approve, discard, find_plan
from connector.app.asking import ask_ledger, asked_audience, choice
from connector.app.definition import load_definition
from connector.app.log import configure
from connector.app.output import out, print_json, to_json, when
from connector.app.plans import Shown, asked_for, info_document, matching, show
from connector.app.progress import watching
from connector.app.requests import carried_out
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.who import actor
from connector.app.wiring import SystemClock, holder, plugins, wired
from connector.core.model import OUTCOMES
from connector.errors import FixConfig
from connector.insight.planned import (
    COLUMNS,
    GROUPS,
    Filter,
    Line,
    Tally,
    as_csv,
    as_json,
    examples,
    lines_of,
    name_of,
    sections,
)
from connector.ledger import SqlLedger
from connector.ports import Act, PlanInfo

LATEST = 20
TITLES = {
    "promotion": "promotions", "demotion": "demotions", "clearing": "clearing", "score": "score only",
    "held_back": "held back",
}  # fmt: skip
FORMATS = ("csv", "json")


def plan_list(*, open_only: bool, audience: str | None, json: bool) -> int:
    """The latest plans, newest first. `audience`: only those that are about somebody in it."""
    now = SystemClock().now()

    async def question(ledger: SqlLedger) -> list[PlanInfo]:
        plans = await (ledger.open_plans(at=now) if open_only else ledger.plans(LATEST, at=now))
        if audience is None:
            return plans
        about = await ledger.plans_about(await asked_audience(ledger, audience), [plan.id for plan in plans])
        return [plan for plan in plans if plan.id in about]

    found = ask_ledger(question)
    if json:
        print_json({"plans": [info_document(plan) for plan in found]})
        return exits.OK
    from rich.table import Table

    table = Table(
        "plan", "run", "CRM", "kind", "status", "made (UTC)", "records", "waits because", "approved by"
    )
    for plan in found:
        table.add_row(
            str(plan.id), str(plan.run), plan.crm, plan.kind, plan.status, when(plan.created_at),
            _counted(plan.counts) or "none", plan.held, plan.approved_by or "",
        )  # fmt: skip
    out.print(table if found else ("No open plan." if open_only else "No plan yet."))
    return exits.OK


# ------------------------------------------------------------------------------------------------------------- show


def plan_show(number: int, *, wanted: Filter, person: str | None, rows: int, email: bool, json: bool) -> int:
    """A plan's head, what it means in numbers, then field by field what the filter lets through."""

    at = SystemClock().now()
    seen = ask_ledger(lambda ledger: show(ledger, number, at, wanted=wanted, person=person, rows=rows))
    if json:
        print_json(seen.document(email=email))
    else:
        _print(seen, email=email)
    return exits.OK


def _print(seen: Shown, *, email: bool) -> None:
    """The same for people."""
    plan, tally = seen.plan, seen.tally
    _print_head(plan, seen.versions, seen.acts)
    every = "" if seen.wanted.everything else " that match"
    out.print(f"{tally.rows:,} records{every}: {_counted(tally.statuses) or 'none'}", markup=False)
    for kind in GROUPS:
        if tally.groups[kind]:
            out.print(f"  {TITLES[kind]}: {tally.groups[kind]:,}", markup=False)
    if seen.by_override:
        out.print(f"  under a human's override: {seen.by_override:,} of these", markup=False)
    for title, told in sections(plan.summary):
        out.print(f"\n{title}", markup=False)
        for each in told:
            out.print(f"  {each}", markup=False)
    _print_examples(seen)
    _print_rows(seen, email=email)


def _print_examples(seen: Shown) -> None:
    """By name, so that somebody can be asked about them."""
    from rich.table import Table
    from rich.text import Text

    table = Table("as what", "record", "person", "stage", "score", "band", "why", title="Examples")
    for name, each in examples(seen.plan.summary):
        person = int(str(each["person"]))
        cells = (
            name, each["record"], f"{person} {name_of(seen.names.get(person, {}))}", each["stage"], each["score"],
            each["band"], each["why"],
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))
    if table.row_count:
        out.print(table)


def _print_rows(seen: Shown, *, email: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Field by field")
    for name in ("record", "person", "field"):
        table.add_column(name, no_wrap=name != "person")  # what is copied from here stays in one piece
    for name in ("stands now", "would stand", "write rule", "criteria rules", "because", "outcome"):
        table.add_column(name)
    for row in seen.rows:
        for line in seen.lines(row, email=email):
            person = " ".join(each for each in (str(line.person), line.name, line.email) if each)
            rules = "override" if row.person in seen.wished else " ".join(line.rules)
            outcome = line.outcome.replace("_", " ") + (f": {line.reason}" if line.reason else "")
            cells = (
                f"{line.object} {line.id}", person, line.field, shown(line.stands_now), shown(line.would_stand),
                line.write_rule if line.sent else "held back", rules, line.because,
                outcome if line.sent else line.held_because,
            )  # fmt: skip
            table.add_row(*(Text(cell) for cell in cells))  # what a CRM holds is no markup
    out.print(table)
    if seen.tally.rows > len(seen.rows):
        out.print(
            f"{seen.tally.rows - len(seen.rows):,} more records; `--rows {seen.tally.rows}` shows all, "
            f"`connector plan export {seen.plan.id} --out FILE` writes them into a file."
        )


def _print_head(plan: PlanInfo, versions: Mapping[str, int], acts: list[Act]) -> None:
    after = f" by plan {plan.superseded_by}" if plan.superseded_by else ""
    undoes = f" of run {plan.undoes}" if plan.undoes else ""
    asked = f" asked for by {plan.asked_by}," if plan.asked_by else ""
    files = ", ".join(f"{name} {number}" for name, number in versions.items())
    head = [
        f"Plan {plan.id} for {plan.crm}: {plan.status}{after}",
        f"  {plan.kind}{undoes}, of run {plan.run},{asked} made {when(plan.created_at)} UTC,"
        f" expires {when(plan.expires_at)} UTC",
        f"  definition {plan.definition}" + (f" ({files})" if files else ""),
    ]
    if plan.held:
        head.append(f"  waits for a human: {plan.held}")
    if plan.approved_by:
        note = f": {plan.approval_note}" if plan.approval_note else ""
        head.append(
            f"  approved by {plan.approved_by} ({plan.approval_proof}), {when(plan.approved_at)} UTC{note}"
        )
    if plan.let_go_at:
        head.append(
            f"  what stood there before is not kept any more since {when(plan.let_go_at)} UTC: no undo"
        )
    head += [f"  {when(each.at)} UTC  {each.act}, {each.by}" for each in acts]
    for line in head:
        out.print(line, markup=False)


# ----------------------------------------------------------------------------------------------------------- export


def plan_export(
    number: int, *, format: str, target: str, wanted: Filter, person: str | None, email: bool, json: bool
) -> int:
    """A plan into a file, one line for each field of a record; page by page, however large it is."""
    if json and target == "-":
        format = "json"
    choice(format, FORMATS, "--format")
    if target != "-" and Path(target).exists():
        raise FixConfig(f"{target} is there already.", next_step="Name a new file.", where="--out")

    async def question(ledger: SqlLedger) -> dict[str, object]:
        plan = await find_plan(ledger, number, SystemClock().now())
        asked = await asked_for(ledger, wanted, person)
        with _opened(target) as file:
            written = _Csv(file) if format == "csv" else _Json(file, plan)
            tally = Tally()
            async for page in matching(ledger, number, asked):
                names = await ledger.names([row.person for row in page])
                for row in page:
                    tally.add(row, asked)
                    for line in lines_of(row, names.get(row.person, {}), asked, email=email):
                        written.add(line)
            written.end()
        return {
            "plan": number,
            "file": target,
            "format": format,
            "records": tally.rows,
            "lines": written.lines,
        }

    done = ask_ledger(question)
    if json and target != "-":
        print_json(done)
    elif target != "-":
        out.print(f"{target}: {done['lines']:,} lines about {done['records']:,} records.", markup=False)
    return exits.OK


@contextmanager
def _opened(target: str) -> Any:
    if target == "-":
        yield sys.stdout
        return
    try:
        with Path(target).open("x", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise FixConfig(
            f"{target} cannot be written: {error.strerror}.", next_step="Name another file.", where="--out"
        ) from error


class _Csv:
    """A CSV on its way, as spreadsheets read it."""

    def __init__(self, file: IO[str]) -> None:
        self._csv, self.lines = csv.writer(file), 0
        self._csv.writerow(COLUMNS)

    def add(self, line: Line) -> None:
        self._csv.writerow(as_csv(line))
        self.lines += 1

    def end(self) -> None:
        pass


class _Json:
    """A JSON document on its way: the plan's head, then `lines`."""

    def __init__(self, file: IO[str], plan: PlanInfo) -> None:
        self._file, self.lines = file, 0
        head = to_json(info_document(plan)).rstrip().removesuffix("}").rstrip()
        file.write(f'{head},\n  "lines": [')

    def add(self, line: Line) -> None:
        self._file.write((",\n" if self.lines else "\n") + to_json(as_json(line)))
        self.lines += 1

    def end(self) -> None:
        self._file.write("\n]}\n")


# ------------------------------------------------------------------------------------------ approve, apply, discard


def plan_approve(number: int, *, given: str | None, note: str, json: bool) -> int:
    """Approve of an open plan as it stands."""
    by = actor(given)
    settings = load_settings()

    async def question(ledger: SqlLedger) -> PlanInfo:
        plan = await find_plan(ledger, number, SystemClock().now())
        mapping = load_definition(settings.mappings_dir, plugins()).mappings.get(plan.crm)
        return await approve(
            ledger, number, by=by, note=note, holder=holder(), at=SystemClock().now(),
            approval=mapping.approval if mapping else "",
        )  # fmt: skip

    plan = ask_ledger(question)
    if json:
        print_json(info_document(plan))
    else:
        out.print(
            f"Plan {number} is approved by {by}. `connector plan apply {number}` sends it.", markup=False
        )
    return exits.OK


def plan_apply(number: int, *, given: str | None, during_freeze: bool, json: bool) -> int:
    """Send exactly this plan. Every record is read again first; a row that changed since is set aside."""
    settings = load_settings()
    configure(settings)
    crm = ask_ledger(lambda ledger: find_plan(ledger, number, SystemClock().now())).crm

    async def go() -> dict[str, Any]:
        async with wired(settings, [crm]) as parts:
            by = actor(given)

            async def here() -> dict[str, Any]:
                with watching(quiet=False) as told:
                    return await apply_plan(parts, number, by=by, during_freeze=during_freeze, watching=told)

            arguments = {"plan": number, "during_freeze": during_freeze}
            return await carried_out(parts, "apply", arguments, asked_by=by, here=here)

    done = run(go())
    if json:
        print_json(done)
    else:
        counts = ", ".join(f"{name.replace('_', ' ')}: {done[name]:,}" for name in OUTCOMES)
        out.print(f"Plan {number}, applied by {done['by']}: {counts}", markup=False)
        if done["error"]:
            out.print(done["error"], markup=False)
        if done["set_aside"] or done["rejected"]:
            out.print(f"`connector plan show {number} --status set_aside` (or rejected) says why.")
    look = any(done[name] for name in ("rejected", "unknown", "set_aside", "waiting", "error"))
    return exits.LOOK if look else exits.OK


def plan_discard(number: int, *, given: str | None, json: bool) -> int:
    """Drop an open plan."""

    async def question(ledger: SqlLedger) -> None:
        await discard(ledger, number, by=actor(given), holder=holder(), at=SystemClock().now())

    ask_ledger(question)
    if json:
        print_json({"plan": number, "status": "discarded"})
    else:
        out.print(f"Plan {number} is discarded; its differences come back only when what is wanted changes.")
    return exits.OK


# --------------------------------------------------------------------------------------------------------- in words


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def shown(value: object) -> str:
    """A value in a cell of a table."""
    text = "(blank)" if value in (None, "") else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
