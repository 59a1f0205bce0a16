"""What comes before a backfill: the estimate, and the one that is under way already. Prints nothing, reads no row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.app.wiring import Wired
from connector.core.model import JsonValue
from connector.errors import FixConfig, RetryLater
from connector.ledger import SqlLedger
from connector.pipeline import Watching, prove
from connector.ports import Backfill, Estimate, Range
from connector.preflight import estimate, preflight, streams_of


def in_order(within: Range) -> Range:
    """The range. FixConfig where it ends before it begins."""
    if within.since and within.until and within.since >= within.until:
        raise FixConfig(
            "`since` is not before `until`.", next_step="Give the earlier moment to `since`.", where="range"
        )
    return within


def stream_of(parts: Wired, crm: str, object: str) -> str:
    """The mapped stream that is meant; empty: all. FixConfig where there is none."""
    return streams_of(parts.adapters[crm], parts.definition.mappings[crm], object)[0].name if object else ""


async def estimated(
    parts: Wired, crm: str, stream: str, within: Range
) -> tuple[dict[str, Estimate], dict[str, JsonValue]]:
    """What reading the range would take, by stream; and that, with what writing may take, as a document. RetryLater
    where the CRM is away."""
    adapter, mapping = parts.adapters[crm], parts.definition.mappings[crm]
    unreachable = await prove({crm: adapter}, parts.ledger, parts.clock)
    if unreachable:
        raise RetryLater(unreachable[crm], next_step="Nothing was begun; try again later.")
    estimates = await estimate(adapter, mapping, stream, within)
    return estimates, await preflight(adapter, mapping, estimates)


async def unfinished(ledger: SqlLedger, crm: str, stream: str, within: Range) -> Backfill | None:
    """The one of the same range that somebody may go on with."""
    same = [each for each in await ledger.unfinished_backfills(crm) if each.asks(stream, within)]
    return same[-1] if same else None


async def backfill_for_somebody(
    parts: Wired, arguments: Mapping[str, JsonValue], asked_by: str, watching: Watching
) -> dict[str, Any]:
    """The sidecar's work `backfill`: the estimate alone (`dry_run`), or a backfill that is queued now, `run`, for this
    sidecar to take up. Asked for once more, it is the one that is under way."""
    [crm] = parts.adapters
    since, until = (
        datetime.fromisoformat(str(arguments[name])) if arguments.get(name) else None
        for name in ("since", "until")
    )
    within = in_order(Range(since, until))
    stream = stream_of(parts, crm, str(arguments.get("object") or ""))
    if arguments.get("dry_run"):
        return {"estimate": (await estimated(parts, crm, stream, within))[1]}
    asked = await unfinished(parts.ledger, crm, stream, within)
    if asked is None:
        estimates, told = await estimated(parts, crm, stream, within)
        asked = await parts.ledger.ask_backfill(
            crm, stream, within, bool(arguments.get("yes")), estimates, parts.clock.now(), preflight=told,
            asked_by=asked_by,
        )  # fmt: skip
    elif asked.status not in ("queued", "running"):
        asked = await parts.ledger.wish_backfill(asked.id, "resume", parts.clock.now())
    return {"run": asked.run, "status": asked.status, "estimate": dict(asked.preflight)}
