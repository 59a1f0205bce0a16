"""Try on one test Lead whether a Bulk job runs the org's lead assignment rule. Puts its owner back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_csv import columns_of, table_of, texts_of
from adapters.salesforce.bulk_errors import NoBulk
from adapters.salesforce.bulk_sink import ASSIGNS, has_rule
from adapters.salesforce.payload import long_id
from adapters.salesforce.push import HEADERS
from adapters.salesforce.rest import Rest
from connector.errors import FixConfig
from connector.ports import Clock, ProbeAnswer

PATIENCE = timedelta(minutes=10)  # somebody waits for the answer
NAME = "assignment rule in Bulk jobs"


async def assigns(rest: Rest, clock: Clock, lead: str, field: str) -> ProbeAnswer:
    """Whether a job that names no rule hands this Lead to another owner; `field` is written as it stands.

    First a write by REST that asks for the rule: where that moves nothing, the record cannot tell. Some twenty calls.
    Raises FixConfig where the owner could not be put back.
    """
    bulk = Bulk(rest, clock, patience=PATIENCE)
    if not await has_rule(rest):
        return ProbeAnswer(NAME, "No lead assignment rule is active, so that it does not matter.")
    before = await _row(rest, lead, field)
    element = {"attributes": {"type": "Lead"}, "id": lead, field: before.get(field)}
    await _write(rest, element, "TRUE")
    if not await _moved(rest, lead, field, before):
        return ProbeAnswer(
            NAME,
            "Not found out: the active rule leaves this Lead where it is. Try one that it would hand on.",
        )
    try:
        job = await bulk.update("Lead")
        await bulk.upload(job, table_of([element], columns_of([element])))
        job = await bulk.finished("ingest", await bulk.close(job.id), _nobody)
    except NoBulk as why:
        return ProbeAnswer(NAME, f"Not found out: {why.message}")
    saved = [row["Id"] for row in texts_of(await bulk.result_file(job.id, "successfulResults"))]
    if [long_id(each) for each in saved] != [long_id(lead)]:
        return ProbeAnswer(NAME, f"Not found out: the job ended as {job.state} without saving the record.")
    moved = await _moved(rest, lead, field, before)
    what = "hands Leads to others" if moved else "leaves owners alone"
    return ProbeAnswer(NAME, f"A Bulk job that names no assignment rule {what}.", ASSIGNS.name, moved)


async def _nobody() -> None:
    """Nobody holds a lease while a probe runs."""


async def _row(rest: Rest, lead: str, field: str) -> dict[str, Any]:
    where = [f"Id = {soql.record_id(lead)}"]
    rows = await rest.all_rows(soql.select(["Id", "OwnerId", field], "Lead", where))
    if not rows:
        raise FixConfig("The test Lead is not there any more.", next_step="Make another and give its id.")
    return dict(rows[0])


async def _moved(rest: Rest, lead: str, field: str, before: dict[str, Any]) -> bool:
    """Whether the owner is another; it is put back then."""
    owner = before["OwnerId"]
    if (await _row(rest, lead, field))["OwnerId"] == owner:
        return False
    await _write(rest, {"attributes": {"type": "Lead"}, "id": lead, "OwnerId": owner}, "FALSE")
    if (await _row(rest, lead, field))["OwnerId"] != owner:
        raise FixConfig(
            f"The owner of Lead {lead} was changed by its assignment rule and could not be put back.",
            next_step=f"Set its owner to {owner} by hand.",
        )
    return True


async def _write(rest: Rest, element: dict[str, Any], assign: str) -> None:
    await rest.send(
        "PATCH",
        "/composite/sobjects",
        json={"allOrNone": False, "records": [element]},
        headers={**HEADERS, "Sforce-Auto-Assign": assign},
        idempotent=False,
    )
