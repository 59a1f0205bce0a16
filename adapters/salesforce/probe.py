"""Try on one test record what Salesforce's documents leave open, and put back what was there.

Writes to that record only. Each answer says what was seen; some set a switch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from adapters.salesforce import record_types, soql
from adapters.salesforce.bulk_probe import assigns
from adapters.salesforce.bulk_sink import ASSIGNS
from adapters.salesforce.checks import Described, fields_by_name
from adapters.salesforce.errors import fault_of
from adapters.salesforce.payload import long_id
from adapters.salesforce.push import HEADERS
from adapters.salesforce.rest import Rest
from connector.core.model import Ref
from connector.core.values import same_value
from connector.errors import ConnectorError, FixConfig, RetryLater
from connector.ports import Clock, ProbeAnswer, Switch

EDITABLE = "converted_leads_editable"
SOURCE = "record_type_source"
SWITCHES: tuple[Switch, ...] = (
    ASSIGNS,
    Switch(
        EDITABLE,
        "The org lets the integration user edit converted Leads, so that no error tells of a conversion: Leads are "
        "looked at before each batch, for one call more.",
        False,
    ),
    Switch(
        SOURCE,
        "Where `check` asks which picklist values a record type allows: layouts, ui (UI API) or none.",
        record_types.LAYOUTS,
    ),
)

TEXTS = ("MQL_Reason__c", "Title", "Description")  # one that may be written as it stands
NUMBERS = (
    "MQL_Score__c",
    "MQL_Fit__c",
    "MQL_Engagement__c",
    "AnnualRevenue",
)  # one that may be changed for a moment
TICK = timedelta(seconds=2)  # stamps have seconds


async def probe(rest: Rest, clock: Clock, test_record: Ref) -> Sequence[ProbeAnswer]:
    """See connector.ports.CrmInspector. Some fifteen calls, twenty more and a Bulk job for a Lead where an assignment
    rule is active. A converted Lead as test record answers one question more,
    and only that is tried on it. Raises FixConfig for a record that is not there or could not be put back.
    """
    if test_record.object not in ("Lead", "Contact"):
        raise FixConfig("A test record is a Lead or a Contact.", next_step="Make one and give its record id.")
    tried = _Record(rest, test_record.object, long_id(test_record.id))
    fields = fields_by_name(await rest.describe(test_record.object, younger_than=timedelta(0)))
    text = next((name for name in TEXTS if _plain(fields.get(name.lower()))), "")
    number = next((name for name in NUMBERS if _plain(fields.get(name.lower()))), "")
    lead = ["IsConverted"] if test_record.object == "Lead" else []
    kind = ["RecordTypeId"] if "recordtypeid" in fields else []
    before = await tried.read(["LastModifiedDate", *lead, *kind, *filter(None, (text, number))])
    answers = [await _record_types(rest, test_record.object, str(before.get("RecordTypeId") or ""))]
    if before.get("IsConverted"):
        return [*answers, await _converted(tried, text, before)]
    try:
        if text:
            answers.append(await _identical(tried, clock, text, before))
            answers.append(await _twice(tried, text, before))
            if lead:
                answers.append(await assigns(rest, clock, tried.id, text))
        if number:
            answers.append(await _rounding(tried, number, fields[number.lower()]))
    finally:
        await _restore(tried, {name: before.get(name) for name in (text, number) if name})
    return answers


def _plain(field: Described | None) -> bool:
    return bool(field and field.get("updateable") and not field.get("calculated") and not field.get("unique"))


class _Record:
    """The test record: one write, one look."""

    def __init__(self, rest: Rest, object_: str, id: str) -> None:
        self.rest = rest
        self.object = object_
        self.id = id

    async def read(self, names: Sequence[str]) -> Mapping[str, Any]:
        """These fields as they stand. Raises FixConfig where the record is not there."""
        where = [f"Id = {soql.record_id(self.id)}"]
        rows = await self.rest.all_rows(soql.select(["Id", *names], soql.name(self.object), where))
        if not rows:
            raise FixConfig(
                f"Salesforce has no live {self.object} {self.id} that this user sees.",
                next_step="Make a test record and give its id.",
            )
        return rows[0]

    async def write(self, *values: Mapping[str, Any]) -> Any:
        """One call with an element for each of these, all of this record; the results."""
        element = {"attributes": {"type": self.object}, "id": self.id}
        body = {"allOrNone": False, "records": [{**element, **each} for each in values]}
        answer = await self.rest.send(
            "PATCH", "/composite/sobjects", json=body, headers=HEADERS, idempotent=False
        )
        return answer.json


def _saved(results: Any) -> list[bool]:
    rows = results if isinstance(results, list) else []
    return [bool(isinstance(each, Mapping) and each.get("success")) for each in rows]


async def _identical(tried: _Record, clock: Clock, name: str, before: Mapping[str, Any]) -> ProbeAnswer:
    """Writing what stands there: does it look like a change to everybody who syncs?"""
    await clock.sleep(TICK)
    results = await tried.write({name: before.get(name)})
    if not all(_saved(results)):
        what = f"Not found out: the record refuses a write that changes nothing ({fault_of(results[0]['errors'])})."
        return ProbeAnswer("identical write", what)
    moved = (await tried.read(["LastModifiedDate"]))["LastModifiedDate"] != before["LastModifiedDate"]
    what = "moves the last-modified time" if moved else "leaves the last-modified time alone"
    return ProbeAnswer(
        "identical write", f"Writing what already stands there {what}. Equal values are not sent."
    )


async def _twice(tried: _Record, name: str, before: Mapping[str, Any]) -> ProbeAnswer:
    same = {name: before.get(name)}
    try:
        saved = _saved(await tried.write(same, same))
    except RetryLater:
        raise
    except ConnectorError:
        what = "refuses the whole call"
    else:
        what = "takes both" if all(saved) else "refuses one of the two"
    return ProbeAnswer(
        "same id twice", f"A record that comes twice in one call: the org {what}. It is sent once."
    )


async def _rounding(tried: _Record, name: str, field: Described) -> ProbeAnswer:
    """Half of the last digit that the field keeps: up, or to even?"""
    scale = int(field.get("scale") or 0)
    half = 0.5 / 10**scale
    if not all(_saved(await tried.write({name: half}))):
        return ProbeAnswer("rounding", f"Not found out: {name} refused {half}.")
    stored = (await tried.read([name]))[name]
    up = same_value(stored, 1 / 10**scale)
    how = "halves are rounded up, as we do" if up else f"halves are not rounded up: {half} became {stored}"
    return ProbeAnswer("rounding", f"At the scale of {name} {how}. Values are rounded before they are sent.")


async def _record_types(rest: Rest, object_: str, record_type: str) -> ProbeAnswer:
    """Reads only: which of the two resources knows the picklists of this record's type."""
    for source, called in ((record_types.LAYOUTS, "the layout"), (record_types.UI, "the UI API")):
        try:
            found = await record_types.allowed(rest, object_, record_type or record_types.MASTER, source)
        except RetryLater:
            raise
        except ConnectorError:
            continue
        if found:
            what = f"The picklist values of a record type are told by {called}."
            return ProbeAnswer("record types", what, SOURCE, source)
    what = "Nothing tells which picklist values a record type allows; a row that is refused says so."
    return ProbeAnswer("record types", what, SOURCE, record_types.NONE)


async def _converted(tried: _Record, name: str, before: Mapping[str, Any]) -> ProbeAnswer:
    """The test record is a converted Lead: what stands there is written once more."""
    if not name:
        return ProbeAnswer("converted leads", "Not tried: no field of the Lead may be written.")
    results = await tried.write({name: before.get(name)})
    if all(_saved(results)):
        what = "A converted Lead takes writes; Leads are looked at before each batch from now on."
        return ProbeAnswer("converted leads", what, EDITABLE, True)
    fault = fault_of(results[0].get("errors"))
    if fault.code == "CANNOT_UPDATE_CONVERTED_LEAD":
        return ProbeAnswer("converted leads", "A converted Lead refuses writes and says so.", EDITABLE, False)
    return ProbeAnswer("converted leads", f"Not found out: the Lead refused for another reason ({fault}).")


async def _restore(tried: _Record, before: Mapping[str, Any]) -> None:
    if not before:
        return
    now = await tried.read(list(before))
    changed = {name: value for name, value in before.items() if not same_value(now.get(name), value)}
    if changed:
        await tried.write(changed)
        now = await tried.read(list(changed))
    left = [name for name, value in changed.items() if not same_value(now.get(name), value)]
    if left:
        raise FixConfig(
            f"The test record could not be put back: {', '.join(left)}.",
            next_step=f"Set these fields of {tried.object} {tried.id} by hand.",
        )
