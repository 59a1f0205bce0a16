"""Plans as they are looked at: which are asked for, field by field, and as JSON. Prints nothing, sends nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connector.app.applying import find_plan
from connector.app.asking import asked_audience, choice
from connector.core.model import Outcome
from connector.errors import FixConfig
from connector.insight.planned import GROUPS, Filter, Line, Tally, as_json, examples, group_of, lines_of
from connector.ledger import SqlLedger
from connector.ports import Act, PlanInfo, PlanRow

PAGE = 1_000  # rows in memory
LOOKED_AT = 10_000  # rows, for one piece of a plan, where most of them are left out
STATUSES = ("planned", "held_back", "sending", *(each.value for each in Outcome))
_VERSION = re.compile(r"^version:\s*(\d+)", re.MULTILINE)


class Shown:
    """What `plan show` tells."""

    def __init__(self, plan: PlanInfo, wanted: Filter, files: Mapping[str, str], acts: list[Act]) -> None:
        self.plan, self.wanted, self.acts = plan, wanted, acts
        self.versions = versions_in(files)
        self.tally, self.rows = Tally(), list[PlanRow]()
        self.names: Mapping[int, Mapping[str, Any]] = {}
        self.wished: set[int] = set()  # people with an override in force at their last decision
        self.by_override = 0  # rows about them

    def lines(self, row: PlanRow, *, email: bool) -> list[Line]:
        """The fields of a row that are asked for."""
        return list(lines_of(row, self.names.get(row.person, {}), self.wanted, email=email))

    def document(self, *, email: bool) -> dict[str, object]:
        """As JSON."""
        tally = self.tally
        return {
            **head_document(self.plan, self.versions, self.acts),
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


async def show(
    ledger: SqlLedger, number: int, at: datetime, *, wanted: Filter, person: str | None, rows: int
) -> Shown:
    """A plan with the first so many of its rows that are asked for. FixConfig where there is none."""
    plan = await find_plan(ledger, number, at)
    asked = await asked_for(ledger, wanted, person)
    seen = Shown(plan, asked, await ledger.files(plan.definition), await ledger.acts(f"plan:{number}"))
    async for page in matching(ledger, number, asked):
        wished = await ledger.overridden([row.person for row in page])
        for row in page:
            seen.tally.add(row, asked)
        seen.by_override += sum(row.person in wished for row in page)
        seen.wished |= wished.keys()
        seen.rows += page[: rows - len(seen.rows)]
    shown_as_examples = [int(str(each["person"])) for _, each in examples(plan.summary)]
    seen.names = await ledger.names([*(row.person for row in seen.rows), *shown_as_examples])
    return seen


async def piece(
    ledger: SqlLedger, number: int, wanted: Filter, limit: int, after: int = 0
) -> tuple[list[PlanRow], int | None]:
    """The next so many rows that are asked for after this one, and the row to go on from (None: that was all). Fewer
    than asked for, with a row to go on from, are what was found among so many as may be looked at in one go."""
    found: list[PlanRow] = []
    looked_at = 0
    while True:
        few = limit - len(found) + 1 if wanted == Filter(status=wanted.status) else PAGE
        page = await ledger.plan_rows(number, status=wanted.status, limit=few, after=after)
        for row in page:
            if len(found) == limit:
                return found, after
            after = row.id
            if wanted.holds(row):
                found.append(row)
        looked_at += len(page)
        if len(page) < few:
            return found, None
        if looked_at >= LOOKED_AT:
            return found, after


def versions_in(files: Mapping[str, str]) -> dict[str, int]:
    """The version that each file gives itself."""
    return {name: int(found.group(1)) for name, text in files.items() if (found := _VERSION.search(text))}


async def asked_for(ledger: SqlLedger, wanted: Filter, person: str | None) -> Filter:
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


async def matching(ledger: SqlLedger, number: int, wanted: Filter) -> AsyncIterator[list[PlanRow]]:
    """The rows of a plan that are asked for, page by page, however many there are."""
    after = 0
    while rows := await ledger.plan_rows(number, status=wanted.status, limit=PAGE, after=after):
        after = rows[-1].id
        if wanted.audience is not None:
            of = await ledger.audiences([row.person for row in rows])
            rows = [row for row in rows if of.get(row.person, "") == wanted.audience]
        if found := [row for row in rows if wanted.holds(row)]:
            yield found


def info_document(plan: PlanInfo) -> dict[str, object]:
    """A plan's head as JSON."""
    return {
        "plan": plan.id, "run": plan.run, "crm": plan.crm, "kind": plan.kind, "undoes": plan.undoes,
        "status": plan.status, "superseded_by": plan.superseded_by, "asked_by": plan.asked_by,
        "let_go_at": plan.let_go_at,
        "created_at": plan.created_at, "expires_at": plan.expires_at, "held": plan.held,
        "approved_by": plan.approved_by, "approved_at": plan.approved_at, "approval_note": plan.approval_note,
        "approval_proof": plan.approval_proof if plan.approved_by else None,
        "definition": plan.definition, "counts": dict(plan.counts), "summary": dict(plan.summary),
    }  # fmt: skip


def head_document(plan: PlanInfo, versions: Mapping[str, int], acts: Sequence[Act]) -> dict[str, object]:
    """The same with the versions of its files and what was done with it."""
    return {**info_document(plan), "versions": dict(versions), "acts": list(acts)}


def row_document(row: PlanRow) -> dict[str, object]:
    """A planned write as `plan show --json` prints it."""
    return {
        "record": str(row.ref), "person": row.person, "kind": group_of(row), "rules": list(row.rules),
        "status": row.status, "reason": row.reason, "because": row.because, "settled_at": row.settled_at,
        "writes": [{"field": w.field, "before": w.before, "after": w.after, "rule": w.rule} for w in row.writes],
        "held_back": [{"field": h.field, "before": h.before, "wanted": h.wanted, "why": h.why} for h in row.held_back],
    }  # fmt: skip
