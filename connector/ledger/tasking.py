"""The part of the ledger that knows the tasks in the CRMs, one a spell as MQL at most."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from connector.core.crm_task import CrmTask, TaskStatus
from connector.ledger import store_task
from connector.ledger.engine import Database
from connector.ports import KeptTask, Lease, TaskDue


class Tasks:
    """Mixed into the ledger."""

    _db: Database

    async def tasks_due(
        self, crm: str, audiences: Collection[str], since: datetime, limit: int
    ) -> list[TaskDue]:
        """Spells that began at `since` or later and want a task in this CRM, the oldest first. None whose MQL the CRM
        is still to be told, whom sales has touched, whose fields somebody holds, or who had one."""
        return await self._db.read(store_task.due, crm, audiences, since, limit)

    async def ask_task(self, task: CrmTask, person: int, lease: Lease, at: datetime) -> None:
        """It leaves now. LeaseBusy where the lease was lost."""
        await self._db.write(store_task.asked, task, person, lease, at)

    async def settle_task(
        self, spell: int, status: TaskStatus, lease: Lease, at: datetime, *, task: str = "", why: str = ""
    ) -> None:
        """What became of it; `task`: the CRM's id."""
        await self._db.write(store_task.settle, spell, status, task, why, lease, at)

    async def drop_task(self, spell: int, lease: Lease) -> None:
        """It never left, so that it is due as before."""
        await self._db.write(store_task.drop, spell, lease)

    async def unsettled_tasks(self, crm: str, before: datetime) -> list[CrmTask]:
        """Those asked for before this moment of which nobody can tell whether they arrived."""
        return await self._db.read(store_task.unsettled, crm, before)

    async def tasks(self, person: int) -> list[KeptTask]:
        """Those about a person, the oldest first."""
        return await self._db.read(store_task.of_person, person)
