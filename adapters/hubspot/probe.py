"""Try on one test record what HubSpot's documents leave open, and put back what was there.

Writes to that record only, and never provokes a limit. Each answer says what was seen; one of them sets a switch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.batches import STAGE
from adapters.hubspot.byid import get_one, type_of
from adapters.hubspot.cursors import LAG
from adapters.hubspot.errors import BadRequest, MissingScopes
from adapters.hubspot.lower import ACCEPTED, CLEAR_FIRST, IMPOSSIBLE
from connector.core.model import Ref
from connector.errors import ConnectorError, FixConfig
from connector.ports import FieldInfo, ProbeAnswer
from connector.transport import Answer

MARKERS = ("mql_reason", "jobtitle")  # a text that may be changed for a moment; ours where it is there
WRITES = 3  # of the search lag
PATIENCE = 60  # polls of one write, a second apart


async def probe(api: Api, test_record: Ref, schema: Mapping[str, FieldInfo]) -> Sequence[ProbeAnswer]:
    """See connector.ports.CrmInspector. Some 30 calls and up to three minutes. Raises FixConfig for a record that is
    not there; a probe that breaks off says so, and the record is put back all the same.
    """
    if test_record.object != "contact":
        raise FixConfig(
            "A test record is a contact.", next_step="Make one in HubSpot and give its record id."
        )
    tried = _Record(api, test_record.id)
    marker = next((name for name in MARKERS if name in schema and schema[name].writable), "")
    names = [STAGE, *([marker] if marker else [])]
    row = await get_one(api, "contacts", test_record.id, names)
    if row is None or str(row["id"]) != test_record.id:
        raise FixConfig(
            f"HubSpot has no live contact {test_record.id}.",
            next_step="Make a test contact in HubSpot and give its record id.",
        )
    before = {name: str((row.get("properties") or {}).get(name) or "") for name in names}
    answers: list[ProbeAnswer] = []
    try:
        answers.append(await _identical(tried, before))
        answers.append(await _trace_ids(tried))
        if marker:
            answers.append(await _search_lag(tried, marker))
        answers.append(await _backward(tried, schema[STAGE].options if STAGE in schema else ()))
        answers.append(await _repeated_create(api))
    finally:
        await _restore(tried, before)
    return answers


class _Record:
    """The test record: one value written, one read."""

    def __init__(self, api: Api, id_: str) -> None:
        self.api = api
        self.id = id_
        self.path = f"{api.paths.objects(type_of('contact'))}"

    async def write(self, **values: str) -> Answer:
        """One batch of one record. Raises BadRequest where the whole of it is refused."""
        one = {"id": self.id, "objectWriteTraceId": f"probe-{self.id}", "properties": values}
        return await self.api.post(f"{self.path}/batch/update", {"inputs": [one]})

    async def read(self, name: str) -> str:
        """A property as it stands, "" for none."""
        row = await get_one(self.api, "contacts", self.id, [name])
        return str((row.get("properties") or {}).get(name) or "") if row is not None else ""


async def _identical(tried: _Record, before: Mapping[str, str]) -> ProbeAnswer:
    """Writing what stands there: does it look like a change to everybody who syncs?"""
    stamp = await tried.read("lastmodifieddate")
    await tried.api.clock.sleep(timedelta(seconds=2))
    name = next((name for name, value in before.items() if value), STAGE)
    await tried.write(**{name: before[name]})
    moved = await tried.read("lastmodifieddate") != stamp
    what = "moves the last-modified time" if moved else "leaves the last-modified time alone"
    return ProbeAnswer(
        "identical write", f"Writing what already stands there {what}. Equal values are not sent."
    )


async def _trace_ids(tried: _Record) -> ProbeAnswer:
    try:
        await tried.write(**{STAGE: "mql-connector-probe-no-stage"})
    except BadRequest as error:
        what = f"A bad record refuses its whole batch ({error.answer.status}) although it has a trace id: halved then."
    else:
        what = "A bad record with a trace id of its own fails alone."
    return ProbeAnswer("trace ids", what)


async def _search_lag(tried: _Record, marker: str) -> ProbeAnswer:
    """A few writes, each looked for until the index shows it."""
    clock = tried.api.clock
    lags: list[float] = []
    for number in range(WRITES):
        text = f"connector probe {number} {clock.now():%H%M%S}"
        await tried.write(**{marker: text})
        began = clock.now()
        for _ in range(PATIENCE):
            if await _found(tried, marker, text):
                lags.append((clock.now() - began).total_seconds())
                break
            await clock.sleep(timedelta(seconds=1))
    if len(lags) < WRITES:
        what = f"{WRITES - len(lags)} of {WRITES} writes were not found by search within {PATIENCE} s."
    else:
        most = max(lags)
        fits = "within" if most <= LAG.total_seconds() else "beyond"
        allowed = f"{fits} the {LAG.total_seconds():.0f} s allowed"
        what = f"Search found {WRITES} writes after at most {most:.0f} s, {allowed}."
    return ProbeAnswer("search lag", what)


async def _found(tried: _Record, name: str, text: str) -> bool:
    filters = [
        {"propertyName": "hs_object_id", "operator": "EQ", "value": tried.id},
        {"propertyName": name, "operator": "EQ", "value": text},
    ]
    body = {"filterGroups": [{"filters": filters}], "properties": ["hs_object_id"], "limit": 1}
    answer = await tried.api.post(f"{tried.path}/search", body, policy="search")
    return isinstance(answer.json, Mapping) and bool(answer.json.get("total"))


async def _backward(tried: _Record, order: Sequence[str]) -> ProbeAnswer:
    """From the second stage to the first, at once; where that is not taken, cleared first."""
    if len(order) < 2:
        return ProbeAnswer("backward lifecycle", "Not tried: the account lists fewer than two stages.")
    low, high = order[0], order[1]
    await _step(tried, "")
    await _step(tried, high)
    stands = await tried.read(STAGE)
    if stands != high:
        back = stands in order[2:]  # it was cleared, and stands there again
        what = f"A stage that is cleared does not stay so: it stands at `{stands}` instead of `{high}`."
        return ProbeAnswer("backward lifecycle", what, *(("backward_lifecycle", IMPOSSIBLE) if back else ()))
    refused = await _step(tried, low)
    if await tried.read(STAGE) == low:
        what, value = "A stage goes back at once.", ACCEPTED
    else:
        how = f"is refused ({refused})" if refused else "is ignored without a word"
        await _step(tried, "")
        await _step(tried, low)
        if await tried.read(STAGE) == low:
            what, value = f"Going back at once {how}; cleared first, a stage goes back.", CLEAR_FIRST
        else:
            what, value = f"Going back at once {how}, and clearing first does not help.", IMPOSSIBLE
    return ProbeAnswer("backward lifecycle", what, "backward_lifecycle", value)


async def _step(tried: _Record, stage: str) -> str:
    """Write a stage; the status where it was refused, "" where it was taken or ignored."""
    try:
        answer = await tried.write(**{STAGE: stage})
    except BadRequest as error:
        return str(error.answer.status)
    errors: Any = answer.json.get("errors") if isinstance(answer.json, Mapping) else None
    return str(answer.status) if errors else ""


async def _repeated_create(api: Api) -> ProbeAnswer:
    """A property that every account has is offered once more; nothing can come of it but a refusal."""
    body = {
        "groupName": "contactinformation",
        "name": "firstname",
        "label": "First name",
        "type": "string",
        "fieldType": "text",
    }
    try:
        answer = await api.post(api.paths.properties("contacts"), body)
    except MissingScopes:
        what = "Not tried: this token may not create properties, as is right for a run."
    except BadRequest as error:
        what = f"Creating a property that exists is answered with {error.answer.status}."
    except ConnectorError as error:
        what = f"Not found out: {error.message}"
    else:
        what = f"Creating a property that exists is answered with {answer.status}, as if it were new."
    return ProbeAnswer("repeated create", what)


async def _restore(tried: _Record, before: Mapping[str, str]) -> None:
    """The values that stood there; a stage by way of clearing, so that it may go either way."""
    await tried.write(**{name: value for name, value in before.items() if name != STAGE}, **{STAGE: ""})
    if before[STAGE]:
        await tried.write(**{STAGE: before[STAGE]})
    left = [name for name, value in before.items() if await tried.read(name) != value]
    if left:
        raise FixConfig(
            f"The test contact could not be put back: {', '.join(left)}.",
            next_step=f"Set these properties of contact {tried.id} by hand.",
        )
