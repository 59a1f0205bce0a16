"""What an edited definition would change: what differs, whom it concerns, and what has to be read again for it.

Decides over copies of the ledger, once by the definition in force and once by the edited one. Writes to no CRM
and nothing to the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from connector.app.plans import row_document
from connector.core.changed import Difference, to_read
from connector.core.definition import Definition
from connector.core.model import FieldWrite
from connector.core.privacy_rules import PRIVACY
from connector.core.values import as_number
from connector.errors import ConnectorError
from connector.ledger import SqlLedger, open_ledger
from connector.ledger.rehearsal import rehearsal
from connector.phases.adopt import compared, streams_from
from connector.phases.decide import DecidedAll, decide
from connector.phases.gather import is_mapped
from connector.pipeline import live_schemas, mqls_by_audience
from connector.ports import Adapter, Clock, PlanRow, Range
from connector.preflight import estimate, told

EXAMPLES = 5  # of each CRM and kind
PAGE = 1_000


@dataclass(slots=True)
class _Concerned:
    """The records of one CRM to which the edited definition says something else than the one in force."""

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    bands: Counter[str] = field(default_factory=Counter)

    def add(self, row: PlanRow) -> None:
        self.records += 1
        self.kinds[row.kind] += 1
        self.fields.update(f"{row.ref.object}.{write.field}" for write in row.writes)
        for write in row.writes:
            if write.result == "band":
                self.bands[_way(write)] += 1


async def preview(
    definition: Definition,
    adapters: Mapping[str, Adapter],
    ledger: SqlLedger,
    url: str,
    clock: Clock,
    *,
    holder: str,
) -> dict[str, Any]:
    """The document that `definition preview --json` prints. CRMs without an adapter are decided by what is known of
    them. `url`: of the ledger."""
    was = await ledger.version()
    before = await ledger.files() if was is not None else {}
    document: dict[str, Any] = {
        "from": was, "to": was, "changed": False, "changes": [], "people": 0, "mql": {"entered": 0, "left": 0},
        "crms": {}, "examples": [], "reread": [], "not_connected": [],
    }  # fmt: skip
    if was is None:
        return {**document, "changed": True, "to": 1}
    if dict(before) == dict(definition.texts):
        return document
    found = compared(before, definition)
    old = definition.read(before) if definition.read is not None and found is not None else None
    document |= {
        "to": was + 1,
        "changed": True,
        "changes": [_difference(each) for each in found] if found is not None else None,
        "not_connected": sorted(definition.mappings.keys() - adapters.keys()),
        "reread": await _reread(found, before, definition, adapters),
    }
    return document | await _concerned(old, definition, adapters, url, clock, holder)


async def to_be_read(
    definition: Definition, adapters: Mapping[str, Adapter], ledger: SqlLedger
) -> list[dict[str, Any]]:
    """What has to be read again once this definition takes the place of the one in force, as `preview` tells it."""
    before = await ledger.files()
    return await _reread(compared(before, definition), before, definition, adapters)


def _difference(each: Difference) -> dict[str, str]:
    return {"what": each.what, "needs": each.needs, "crm": each.crm, "source": each.source}


# ------------------------------------------------------------------------------------------------- whom it concerns


async def _concerned(
    old: Definition | None,
    new: Definition,
    adapters: Mapping[str, Adapter],
    url: str,
    clock: Clock,
    holder: str,
) -> dict[str, Any]:
    """Whose planned writes differ. What the definition in force would write today as well is not of the change."""
    crms = sorted(adapters) or sorted(new.mappings)
    today: dict[str, int] = {}
    if old is not None:
        async with _decided(old, adapters, crms, url, clock, holder) as (ledger, done):
            for plan in done.plans.values():
                async for row in _rows(ledger, plan):
                    today[str(row.ref)] = _said(row)
    counts = {crm: _Concerned() for crm in crms}
    examples: dict[tuple[str, str], list[dict[str, object]]] = {}
    async with _decided(new, adapters, crms, url, clock, holder) as (ledger, done):
        for crm, plan in done.plans.items():
            async for row in _rows(ledger, plan):
                if today.pop(str(row.ref), None) == _said(row):
                    continue
                counts[crm].add(row)
                some = examples.setdefault((crm, row.kind), [])
                if len(some) < EXAMPLES:
                    some.append(row_document(row))
        by_audience = await mqls_by_audience(new, ledger, done)
        private = {PRIVACY: dict(done.privacy)} if done.privacy else {}
    for ref in today:  # what would be written today, and is not wanted any more
        crm = ref.partition(":")[0]
        counts[crm].records += 1
        counts[crm].kinds["no write any more"] += 1
    return {
        "people": done.people,
        "mql": {
            "entered": done.entered,
            "left": done.left,
            **({"by_audience": by_audience} if by_audience else {}),
        },
        "crms": {
            crm: {
                "concerned": each.records,
                "planned": done.tallies[crm].planned,
                "promoted": done.tallies[crm].promoted,
                "demoted": done.tallies[crm].demoted,
                "kinds": dict(each.kinds),
                "bands": {way: each.bands[way] for way in ("up", "down", "new")},
                "fields": dict(each.fields.most_common()),
            }
            for crm, each in counts.items()
        },
        "examples": [each for some in examples.values() for each in some],
        **private,
    }


@asynccontextmanager
async def _decided(
    definition: Definition,
    adapters: Mapping[str, Adapter],
    crms: Sequence[str],
    url: str,
    clock: Clock,
    holder: str,
) -> AsyncIterator[tuple[SqlLedger, DecidedAll]]:
    """A copy of the ledger in which whoever is due by this definition is decided, until it is left."""
    schemas = await live_schemas(
        {crm: adapter for crm, adapter in adapters.items() if crm in definition.mappings}, definition
    )
    mapped = [crm for crm in crms if crm in definition.mappings]
    with rehearsal(url) as copy:
        ledger = open_ledger(copy, create=False)
        try:
            version = await ledger.adopt_files(definition.texts, clock.now())
            run = await ledger.start_run("preview", mapped, clock.now())
            done = await decide(
                ledger, definition, clock, run=run, crms=mapped, holder=holder, version=version, schemas=schemas,
                anew=True,
            )  # fmt: skip
            yield ledger, done
        finally:
            await ledger.close()


async def _rows(ledger: SqlLedger, plan: int) -> AsyncIterator[PlanRow]:
    """The rows of a plan that would send something."""
    after = 0
    while rows := await ledger.plan_rows(plan, limit=PAGE, after=after):
        after = rows[-1].id
        for row in rows:
            if row.writes:
                yield row


def _said(row: PlanRow) -> int:
    """What a row writes, small enough to be kept of everybody. The version of the criteria goes along and says
    nothing."""
    return hash(
        tuple((each.field, str(each.after)) for each in row.writes if each.result != "criteria_version")
    )


def _way(write: FieldWrite) -> str:
    before, after = as_number(write.before), as_number(write.after)
    if before is None or after is None:
        return "new"
    return "up" if after > before else "down"


# ------------------------------------------------------------------------------------------------- what is to be read


async def _reread(
    found: Sequence[Difference] | None,
    before: Mapping[str, str],
    definition: Definition,
    adapters: Mapping[str, Adapter],
) -> list[dict[str, Any]]:
    """What a sync by this definition reads from the beginning, and the commands that read exactly that."""
    sources = to_read(found) if found is not None else _mappings_changed(before, definition)
    commands: list[dict[str, Any]] = []
    for crm, some in sorted(sources.items()):
        adapter, mapping = adapters.get(crm), definition.mappings[crm]
        if adapter is None:
            why = "not connected: set its credentials to have it estimated"
            commands += [
                _offer(crm, name, None, why) for name in (sorted(some) if some is not None else [""])
            ]
            continue
        mapped = [stream for stream in adapter.streams() if is_mapped(stream, mapping)]
        wanted = mapped if some is None else streams_from(mapped, some)
        for name in [""] if len(wanted) == len(mapped) else [stream.name for stream in wanted]:
            try:
                estimates = await estimate(adapter, mapping, name, Range())
            except ConnectorError as error:
                commands.append(_offer(crm, name, None, str(error)))
            else:
                commands.append(_offer(crm, name, told(estimates, adapter.allowance()), ""))
    return commands


def _mappings_changed(before: Mapping[str, str], definition: Definition) -> dict[str, frozenset[str] | None]:
    return {
        crm: None
        for crm in definition.mappings
        if before.get(f"{crm}.yaml") != definition.texts.get(f"{crm}.yaml")
    }


def _offer(crm: str, stream: str, estimated: Mapping[str, Any] | None, why_not: str) -> dict[str, Any]:
    object_ = f" --object {stream}" if stream else ""
    return {
        "crm": crm, "stream": stream or None, "command": f"connector backfill {crm}{object_}",
        "estimate": estimated, "not_estimated": why_not,
    }  # fmt: skip
