"""A job of the sidecar: one task in the CRM a spell as MQL, where the criteria's `handoff` asks for it.

It is kept as `sending` before it leaves. One whose answer never came is looked for by its mark before anything else is
sent: found it is written, else it never arrived and is due as before.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from connector.app.leases import held
from connector.core.crm_task import CrmTask, TaskStatus, audiences_with_tasks, task_of
from connector.errors import ConnectorError, LeaseBusy, OutcomeUnknown, SkipRecord, StopRun
from connector.phases.lease import Heartbeat

if TYPE_CHECKING:
    from connector.app.sidecar import Sidecar
    from connector.app.wiring import Wired

log = structlog.get_logger("connector.tasks")

EVERY = timedelta(minutes=1)
AT_ONCE = 20  # a call each; the rest has its turn a minute later
STALE = timedelta(days=3)  # what began longer ago is no news, nor is what stood before `task` was asked for
SETTLES = timedelta(minutes=2)  # until what has left can be seen by whoever looks for it


async def make_tasks(side: Sidecar, crm: str) -> None:
    """One round for one CRM. Raises RetryLater and FixConfig: the rest has its turn later."""
    parts, criteria = side.parts, side.current.definition.criteria
    audiences = audiences_with_tasks(criteria)
    ledger, now = parts.ledger, parts.clock.now()
    unsettled = await ledger.unsettled_tasks(crm, now - SETTLES)
    if not audiences and not unsettled:
        return
    async with held(ledger, f"tasks:{crm}", parts.holder, parts.clock, patience=timedelta()) as hold:
        for task in unsettled:
            await _look_for(parts, crm, task, hold)
        if not audiences or crm in await ledger.brakes():
            return
        for due in await ledger.tasks_due(crm, audiences, now - STALE, AT_ONCE):
            if side.stopping or crm in await ledger.brakes():
                return
            made = task_of(due.spell, due.because, due.owner, due.due_at, crm, due.records)
            if made is not None:
                await _make(side, crm, made, due.person, hold)


async def _look_for(parts: Wired, crm: str, task: CrmTask, hold: Heartbeat) -> None:
    found = await parts.adapters[crm].find_task(task)
    if found is None:
        await parts.ledger.drop_task(task.spell, hold.lease)
    else:
        now = parts.clock.now()
        await parts.ledger.settle_task(task.spell, TaskStatus.WRITTEN, hold.lease, now, task=found)


async def _make(side: Sidecar, crm: str, task: CrmTask, person: int, hold: Heartbeat) -> None:
    parts = side.parts
    ledger, clock, adapter = parts.ledger, parts.clock, parts.adapters[crm]
    # A ledger that was restored from a backup does not know what was made since.
    found = await adapter.find_task(task)
    await hold.whole()
    await ledger.ask_task(task, person, hold.lease, clock.now())
    status, id, why = TaskStatus.WRITTEN, "", ""
    try:
        id = found or await adapter.make_task(task, alive=hold)
    except OutcomeUnknown as error:
        status, why = TaskStatus.UNKNOWN, str(error)
    except LeaseBusy:
        raise  # whoever has the lease now looks for it
    except (SkipRecord, StopRun) as error:
        status, why = TaskStatus.REJECTED, str(error)
    except ConnectorError:  # it was not taken, and will be later
        await ledger.drop_task(task.spell, hold.lease)
        raise
    await ledger.settle_task(task.spell, status, hold.lease, clock.now(), task=id, why=why)
    side.meters.tasks.labels(crm, status.value).inc()
    if status is TaskStatus.WRITTEN:
        log.info("task made", crm=crm, record=str(task.record), task=id)
    else:
        log.warning("task not made", crm=crm, record=str(task.record), status=status.value)
