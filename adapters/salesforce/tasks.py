"""A Task in Salesforce for the owner of a Lead or Contact: made once, found again by its mark. Changes none.

Object Reference, "Task": `WhoId` is the person, `ActivityDate` a date. Status and priority are the org's own defaults,
which may have other names. `Description` cannot be filtered, the subject can.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.salesforce import soql
from adapters.salesforce.errors import fault_of, row_step
from adapters.salesforce.rest import Rest
from connector.core.crm_task import CrmTask
from connector.errors import SkipRecord, StopRun
from connector.ports import Clock

LONGEST_BODY = 32_000  # characters of Task.Description


async def make_task(rest: Rest, clock: Clock, task: CrmTask) -> str:
    """Its id. SkipRecord where Salesforce refuses it, OutcomeUnknown where nobody can tell, RetryLater, FixConfig."""
    record = {
        "attributes": {"type": "Task"},
        "WhoId": task.record.id,
        "OwnerId": task.owner,
        "Subject": task.subject,
        "Description": task.body[:LONGEST_BODY],
        "ActivityDate": (task.due_at or clock.now()).date().isoformat(),
    }
    body = {"allOrNone": False, "records": [record]}
    answer = await rest.send("POST", "/composite/sobjects", json=body, idempotent=False)
    row = answer.json[0] if isinstance(answer.json, list) and len(answer.json) == 1 else None
    if not isinstance(row, Mapping):
        raise StopRun("Salesforce did not say what became of a Task.", where=answer.asked)
    if row.get("success") is True and row.get("id"):
        return str(row["id"])
    fault = fault_of(row.get("errors"))
    raise SkipRecord(
        f"Salesforce refused the Task: {fault or 'without a reason'}.",
        next_step=row_step(fault),
        where=str(task.record),
    )


async def find_task(rest: Rest, task: CrmTask) -> str | None:
    """The Id of the Task with this mark about the person; None: there is none."""
    where = (f"WhoId = {soql.record_id(task.record.id)}", f"Subject LIKE '%{task.mark}'")
    rows = await rest.all_rows(soql.select(("Id",), "Task", where, limit=1))
    return str(rows[0]["Id"]) if rows else None
