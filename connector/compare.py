"""The slow full compare: a run that holds all that is known of one CRM against the CRM's own counts, and against the
definition. Decides nobody and pushes nothing.

A sync counts what it has just read (phases/conserve); what an index, a permission or a fault hid long ago shows only
where everything is counted. What is missing is read by itself and kept; the next sync decides it.
"""

from __future__ import annotations

from connector.core.account import account_fields_read
from connector.core.definition import Definition
from connector.core.model import JsonValue, Page
from connector.errors import ConnectorError
from connector.phases.conserve import conserve
from connector.phases.first import RECONCILIATION, reconciled
from connector.phases.gather import is_mapped
from connector.phases.intake import Gathered, Intake
from connector.phases.lease import acquired
from connector.pipeline import RunResult, finish, joined, prove
from connector.ports import Adapter, Clock, CrmCounts, Ledger, Range, Stream

KIND = "compare"
COUNTED = "counted"  # in the run's document: by stream, what the CRM counts and what is known


async def compare(
    adapter: Adapter, definition: Definition, ledger: Ledger, clock: Clock, *, holder: str, asked_by: str = ""
) -> RunResult:
    """Count everything once. `partial` where the CRM has more than is known afterwards, or could not be asked; its
    error says what. Raises FixConfig for wrong credentials or another account, LeaseBusy while another process reads.
    """
    crm, started = adapter.crm, clock.now()
    away = await prove({crm: adapter}, ledger, clock)
    lease = await acquired(ledger, f"pull:{crm}", holder, clock)
    try:
        run = await ledger.start_run(KIND, [crm], started, asked_by=asked_by)
        result = RunResult(run, crms={crm: CrmCounts(error=away.get(crm))})
        before = {crm: adapter.calls()}
        gathered = Gathered()
        mapping = definition.mappings[crm]
        intake = Intake(
            adapter,
            mapping,
            ledger,
            clock,
            run,
            gathered,
            lambda *_: None,
            around=account_fields_read(definition),
        )
        counted: dict[str, JsonValue] = {}
        try:
            for stream in adapter.streams() if not away else ():
                if stream.kind != "person" or not is_mapped(stream, mapping):
                    continue
                try:
                    cursor = await ledger.cursor(crm, stream.name)
                    until = adapter.read_up_to(cursor) if cursor is not None else None
                    if cursor is None or until is None or adapter.under_way(cursor):
                        continue  # it is being read right now: whoever ends that counts it
                    lease = await conserve(
                        intake, stream, Range(None, until), Page(stream.name, cursor), lease
                    )
                    counted[stream.name], lacks = await _counted(adapter, stream, Range(None, until), ledger)
                    if lacks:
                        told = f"{stream.name}: {lacks:,} records more than are known"
                        gathered.failed[stream.name] = gathered.gaps.get(stream.name, told)
                except ConnectorError as error:
                    gathered.failed[stream.name] = str(error)
            counts = result.crms[crm]
            counts.fetched = dict(gathered.fetched)
            counts.error = joined(counts.error, *(f"{name}: {why}" for name, why in gathered.failed.items()))
            result.status = "partial" if counts.error else "succeeded"
            result.now = (await ledger.stage_counts()).get("mql", 0)
            result.more = {
                COUNTED: {crm: counted},
                "closed": {name: why for name, why in gathered.gaps.items() if name not in gathered.failed},
                RECONCILIATION: {crm: await reconciled(ledger, crm, definition.criteria)},
            }
        except BaseException as error:
            result.broke_off(error)
            raise
        finally:
            await finish(result, {crm: adapter}, before, ledger, clock, started)
        return result
    finally:
        await ledger.release(lease)


async def _counted(
    adapter: Adapter, stream: Stream, within: Range, ledger: Ledger
) -> tuple[dict[str, JsonValue], int]:
    """What the CRM counts and what is known, and how many are not known. A CRM that does not count lacks nothing."""
    there = (await adapter.estimate(stream.name, within)).rows
    known = await ledger.standing(adapter.crm, stream.objects[0], within)
    return {"there": there, "known": known}, max(0, (there or 0) - known)
