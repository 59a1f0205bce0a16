"""`connector plan`: look at what would be written, hand it on, approve it, apply exactly it, or drop it."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from connector.app import exits
from connector.app.applying import apply_plan, approve, discard, find_plan
from connector.app.asking import ask_ledger, asked_audience, choice
from connector.app.definition import load_definition
from connector.app.log import configure
from connector.app.output import out, print_json, to_json, when
from connector.app.progress import watching
from connector.app.requests import carried_out
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.who import actor
from connector.app.wiring import SystemClock, holder, plugins, wired
from connector.core.model import OUTCOMES, Outcome
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
    group_of,
    lines_of,
    name_of,
    sections,
)
from connector.ledger import SqlLedger
from connector.ports import Act, PlanInfo, PlanRow

PAGE = 1_000  # rows in memory
LATEST = 20
STATUSES = ("planned", "held_back", "sending", *(each.value for each in Outcome))
TITLES = {
    "promotion": "promotions", "demotion": "demotions", "clearing": "clearing", "score": "score only",
    "held_back": "held back",
}  # fmt: skip
FORMATS = ("csv", "json")
_VERSION = re.compile(r"^version:\s*(\d+)", re.MULTILINE)


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

    async def question(ledger: SqlLedger) -> _Seen:
        plan = await find_plan(ledger, number, SystemClock().now())
        asked = await _asked(ledger, wanted, person)
        seen = _Seen(plan, asked, await ledger.files(plan.definition), await ledger.acts(f"plan:{number}"))
        async for page in _matching(ledger, number, asked):
            wished = await ledger.overridden([row.person for row in page])
            for row in page:
                seen.tally.add(row, asked)
            seen.by_override += sum(row.person in wished for row in page)
            seen.wished |= wished.keys()
            seen.rows += page[: rows - len(seen.rows)]
        shown_as_examples = [int(str(each["person"])) for _, each in examples(plan.summary)]
        seen.names = await ledger.names([*(row.person for row in seen.rows), *shown_as_examples])
        return seen

    seen = ask_ledger(question)
    if json:
        print_json(seen.document(email=email))
    else:
        seen.print(email=email)
    return exits.OK


class _Seen:
    """What `plan show` tells."""

    def __init__(self, plan: PlanInfo, wanted: Filter, files: Mapping[str, str], acts: list[Act]) -> None:
        self.plan, self.wanted, self.acts = plan, wanted, acts
        self.versions = {
            name: int(found.group(1)) for name, text in files.items() if (found := _VERSION.search(text))
        }
        self.tally, self.rows = Tally(), list[PlanRow]()
        self.names: Mapping[int, Mapping[str, Any]] = {}
        self.wished: set[int] = set()  # people with an override in force at their last decision
        self.by_override = 0  # rows about them

    def lines(self, row: PlanRow, *, email: bool) -> list[Line]:
        return list(lines_of(row, self.names.get(row.person, {}), self.wanted, email=email))

    def document(self, *, email: bool) -> dict[str, object]:
        """The same as JSON."""
        tally = self.tally
        return {
            **info_document(self.plan),
            "versions": self.versions,
            "acts": self.acts,
            "matching": {
                "records": tally.rows,
                "groups": {kind: tally.groups[kind] for kind in GROUPS},
                "statuses": dict(tally.statuses),
                "by_override": self.by_override,
            },
            "fields": dict(tally.fields),
            "rows": [
                {
                    **row_document(row),
                    "by_override": row.person in self.wished,
                    "fields": [as_json(line) for line in self.lines(row, email=email)],
                }
                for row in self.rows
            ],
        }

    def print(self, *, email: bool) -> None:
        """The same for people."""
        plan, tally = self.plan, self.tally
        _print_head(plan, self.versions, self.acts)
        every = "" if self.wanted.everything else " that match"
        out.print(f"{tally.rows:,} records{every}: {_counted(tally.statuses) or 'none'}", markup=False)
        for kind in GROUPS:
            if tally.groups[kind]:
                out.print(f"  {TITLES[kind]}: {tally.groups[kind]:,}", markup=False)
        if self.by_override:
            out.print(f"  under a human's override: {self.by_override:,} of these", markup=False)
        for title, told in sections(plan.summary):
            out.print(f"\n{title}", markup=False)
            for each in told:
                out.print(f"  {each}", markup=False)
        self._print_examples()
        self._print_rows(email=email)

    def _print_examples(self) -> None:
        """By name, so that somebody can be asked about them."""
        from rich.table import Table
        from rich.text import Text

        table = Table("as what", "record", "person", "stage", "score", "band", "why", title="Examples")
        for name, each in examples(self.plan.summary):
            person = int(str(each["person"]))
            cells = (
                name, each["record"], f"{person} {name_of(self.names.get(person, {}))}", each["stage"], each["score"],
                each["band"], each["why"],
            )  # fmt: skip
            table.add_row(*(Text(str(cell)) for cell in cells))
        if table.row_count:
            out.print(table)

    def _print_rows(self, *, email: bool) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Field by field")
        for name in ("record", "person", "field"):
            table.add_column(name, no_wrap=name != "person")  # what is copied from here stays in one piece
        for name in ("stands now", "would stand", "write rule", "criteria rules", "because", "outcome"):
            table.add_column(name)
        for row in self.rows:
            for line in self.lines(row, email=email):
                person = " ".join(each for each in (str(line.person), line.name, line.email) if each)
                rules = "override" if row.person in self.wished else " ".join(line.rules)
                outcome = line.outcome.replace("_", " ") + (f": {line.reason}" if line.reason else "")
                cells = (
                    f"{line.object} {line.id}", person, line.field, shown(line.stands_now), shown(line.would_stand),
                    line.write_rule if line.sent else "held back", rules, line.because,
                    outcome if line.sent else line.held_because,
                )  # fmt: skip
                table.add_row(*(Text(cell) for cell in cells))  # what a CRM holds is no markup
        out.print(table)
        if self.tally.rows > len(self.rows):
            out.print(
                f"{self.tally.rows - len(self.rows):,} more records; `--rows {self.tally.rows}` shows all, "
                f"`connector plan export {self.plan.id} --out FILE` writes them into a file."
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
        head.append(f"  approved by {plan.approved_by}, {when(plan.approved_at)} UTC{note}")
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
        asked = await _asked(ledger, wanted, person)
        with _opened(target) as file:
            written = _Csv(file) if format == "csv" else _Json(file, plan)
            tally = Tally()
            async for page in _matching(ledger, number, asked):
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


async def _asked(ledger: SqlLedger, wanted: Filter, person: str | None) -> Filter:
    """The filter with the person looked up. Raises FixConfig for names that lead nowhere."""
    if wanted.kind is not None:
        choice(wanted.kind, GROUPS, "--kind")
    if wanted.status is not None:
        choice(wanted.status, STATUSES, "--status")
    if wanted.audience is not None:
        wanted = replace(wanted, audience=await asked_audience(ledger, wanted.audience))
    if person is None:
        return wanted
    found = await ledger.find(person)
    if not found:
        raise FixConfig(
            "Nobody in the ledger has this address or record id.",
            next_step="Check the spelling.",
            where="--person",
        )
    return replace(wanted, people=frozenset(found))


async def _matching(ledger: SqlLedger, number: int, wanted: Filter) -> AsyncIterator[list[PlanRow]]:
    after = 0
    while rows := await ledger.plan_rows(number, status=wanted.status, limit=PAGE, after=after):
        after = rows[-1].id
        if wanted.audience is not None:
            of = await ledger.audiences([row.person for row in rows])
            rows = [row for row in rows if of.get(row.person, "") == wanted.audience]
        if found := [row for row in rows if wanted.holds(row)]:
            yield found


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


def info_document(plan: PlanInfo) -> dict[str, object]:
    """A plan's head as JSON."""
    return {
        "plan": plan.id, "run": plan.run, "crm": plan.crm, "kind": plan.kind, "undoes": plan.undoes,
        "status": plan.status, "superseded_by": plan.superseded_by, "asked_by": plan.asked_by,
        "created_at": plan.created_at, "expires_at": plan.expires_at, "held": plan.held,
        "approved_by": plan.approved_by, "approved_at": plan.approved_at, "approval_note": plan.approval_note,
        "approval_proof": plan.approval_proof if plan.approved_by else None,
        "definition": plan.definition, "counts": dict(plan.counts), "summary": dict(plan.summary),
    }  # fmt: skip


def row_document(row: PlanRow) -> dict[str, object]:
    """A planned write as `plan show --json` prints it."""
    return {
        "record": str(row.ref), "person": row.person, "kind": group_of(row), "rules": list(row.rules),
        "status": row.status, "reason": row.reason, "because": row.because, "settled_at": row.settled_at,
        "writes": [{"field": w.field, "before": w.before, "after": w.after, "rule": w.rule} for w in row.writes],
        "held_back": [{"field": h.field, "before": h.before, "wanted": h.wanted, "why": h.why} for h in row.held_back],
    }  # fmt: skip


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def shown(value: object) -> str:
    """A value in a cell of a table."""
    text = "(blank)" if value in (None, "") else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
