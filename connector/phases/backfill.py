"""Read a range into the ledger, stream by stream, from where an earlier attempt was left. Decides nobody.

It works in slices: it gives `pull:CRM` back whenever a due sync waits for it, and goes on afterwards from the last
page that was kept. It is optional work: it ends where the day's allowance for such work is spent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.mapping import CrmMapping
from connector.core.model import JsonValue, Page
from connector.errors import ConnectorError, LeaseBusy, RetryLater, StopRun
from connector.phases.claim import YOUNG
from connector.phases.conserve import conserve
from connector.phases.gather import ended
from connector.phases.intake import Gathered, Intake, Progress
from connector.phases.lease import Heartbeat, in_turn
from connector.ports import (
    Adapter,
    Allowance,
    Backfill,
    BackfillStream,
    Clock,
    Fetched,
    Lease,
    Ledger,
    Range,
    Stream,
    wanted,
)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why reading ended before its end: the state of the backfill from now on, and the reason."""

    status: str  # paused, cancelled, waiting
    reason: str


async def read_range(
    source: Adapter,
    mapping: CrmMapping,
    ledger: Ledger,
    clock: Clock,
    backfill: Backfill,
    *,
    holder: str,
    gathered: Gathered,
    alive: Heartbeat,
    progress: Progress,
    around: frozenset[str] = frozenset(),
) -> Stop | None:
    """Every stream that is not done, into `gathered`. None: read to the end, but for the streams in `gathered.failed`.

    A stream that fails keeps its cursor for the next attempt; where the CRM is out of reach the rest waits too.
    """
    intake = Intake(
        source, mapping, ledger, clock, backfill.run, gathered, progress, backfill=backfill.id, around=around
    )
    streams = {stream.name: stream for stream in source.streams()}
    for place in backfill.streams:
        stream = streams.get(place.name)
        if place.done:
            continue
        if stream is None:
            gathered.failed[place.name] = "this version of the adapter does not read it"
            continue
        gathered.fetched.setdefault(stream.name, Fetched())
        try:
            stop = await _read_stream(intake, stream, place, backfill, holder, alive)
        except LeaseBusy:
            raise
        except RetryLater as error:
            gathered.failed[stream.name] = str(error)
            return Stop("waiting", str(error))
        except ConnectorError as error:
            gathered.failed[stream.name] = str(error)
            continue
        if stop is not None:
            return stop
    return None


async def _read_stream(
    intake: Intake, stream: Stream, place: BackfillStream, backfill: Backfill, holder: str, alive: Heartbeat
) -> Stop | None:
    """One stream, in as many slices as others leave it."""
    ledger, clock, source = intake.ledger, intake.clock, intake.source
    pull, cursor = f"pull:{source.crm}", place.cursor
    while True:
        stop = spent(source.allowance(), source.crm)
        if stop is not None:
            return stop
        lease = await in_turn(ledger, pull, holder, clock, alive)
        try:
            # A reader that has waited holds pages fetched before the other's turn: so the slice begins anew.
            async with ended(source.backfill(stream.name, backfill.within, cursor, intake.fields)) as pages:
                async for page in pages:
                    lease, kept = await intake.keep(page, stream, lease)
                    cursor = page.cursor
                    await alive()
                    stop = _wished(kept.wish) or spent(source.allowance(), source.crm)
                    if stop is not None:
                        return stop
                    if await ledger.holder(wanted(pull), clock.now()) is not None:
                        break
                else:
                    _refuse_nothing(place, intake.gathered.fetched[stream.name].rows)
                    lease = await _conserved(intake, stream, backfill, cursor, lease)
                    await ledger.end_stream(backfill.id, stream.name, lease, clock.now())
                    return None
        except LeaseBusy:
            await alive()  # a page took longer than a lease lives and another began: nothing of it was kept
        finally:
            await ledger.release(lease)


async def _conserved(
    intake: Intake, stream: Stream, backfill: Backfill, cursor: Mapping[str, JsonValue] | None, lease: Lease
) -> Lease:
    """A range of people, held against the vendor's count: as far as it lay behind when it was asked for."""
    asked, end = backfill.within, backfill.created_at - YOUNG
    within = Range(asked.since, min(asked.until, end) if asked.until else end)
    if stream.kind != "person" or (within.since is not None and within.since >= end):
        return lease
    return await conserve(intake, stream, within, Page(stream.name, cursor or {}, first_load=True), lease)


def _wished(wish: str) -> Stop | None:
    if not wish:
        return None
    status = "paused" if wish == "pause" else "cancelled"
    return Stop(status, f"{status} from outside")


def spent(allowance: Allowance | None, crm: str) -> Stop | None:
    """Whether optional work has to wait for the day's allowance to come back."""
    if allowance is None or allowance.allowed <= 0 or allowance.used < allowance.share * allowance.allowed:
        return None
    back = f"{allowance.resets_at:%Y-%m-%d %H:%M} UTC" if allowance.resets_at else "within a day"
    return Stop(
        "waiting",
        f"{crm}: {allowance.used:,} of {allowance.allowed:,} calls of the day are used, and such work may use "
        f"{allowance.share:.0%}. The rest is read after {back}.",
    )


def _refuse_nothing(place: BackfillStream, rows: int) -> None:
    """An empty answer is no proof of an empty range: it is held against what the vendor counted beforehand."""
    if place.expected and place.rows + rows == 0:
        raise StopRun(
            f"The vendor counted {place.expected:,} rows beforehand and gave none.",
            next_step="Check that the token may read them, and ask again.",
            where=place.name,
        )
