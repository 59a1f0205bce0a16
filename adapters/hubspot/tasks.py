"""A task in HubSpot for the owner of a contact: made once, found again by its mark. Changes none.

developers.hubspot.com, "Tasks": `hs_timestamp` is when it is due. The index of search lags, so one is looked for among
what is linked to the contact. Its body is HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from adapters.hubspot.api import Api
from adapters.hubspot.associations import links_of
from adapters.hubspot.byid import type_of
from adapters.hubspot.errors import BadRequest, place
from adapters.hubspot.rows import results_of
from connector.core.crm_task import CrmTask
from connector.errors import SkipRecord, StopRun

TO_CONTACT = 204  # association type id, developers.hubspot.com "Associations v4"
AT_ONCE = 100  # of a batch read


async def make_task(api: Api, task: CrmTask) -> str:
    """Its id. SkipRecord where HubSpot refuses it, OutcomeUnknown where nobody can tell, RetryLater, FixConfig."""
    due = task.due_at or await api.now()
    body = {
        "properties": {
            "hs_timestamp": due.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "hs_task_subject": task.subject,
            "hs_task_body": escape(task.body),
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "TODO",
            "hubspot_owner_id": task.owner,
        },
        "associations": [
            {
                "to": {"id": task.record.id},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TO_CONTACT}],
            }
        ],
    }
    try:
        answer = await api.post(api.paths.objects("tasks"), body, idempotent=False)
    except BadRequest as error:
        raise SkipRecord(error.message, next_step=error.next_step, where=error.where) from error
    if not isinstance(answer.json, Mapping) or not answer.json.get("id"):
        raise StopRun("HubSpot did not say which task it made.", where=place(answer))
    return str(answer.json["id"])


async def find_task(api: Api, task: CrmTask) -> str | None:
    """The id of the task with this mark that is linked to the record; None: there is none."""
    links = await links_of(api, type_of(task.record.object), "tasks", [task.record.id])
    ids = list(links.get(task.record.id, {}))
    for start in range(0, len(ids), AT_ONCE):
        inputs = [{"id": id_} for id_ in ids[start : start + AT_ONCE]]
        body = {"inputs": inputs, "properties": ["hs_task_subject"]}
        for row in results_of(await api.post(f"{api.paths.objects('tasks')}/batch/read", body)):
            if str(row["properties"].get("hs_task_subject") or "").endswith(task.mark):
                return str(row["id"])
    return None
