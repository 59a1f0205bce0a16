"""Which active workflows of the account listen to properties of ours, or write them.

Each workflow is read whole and its document walked, for filters, branches, waiting and tokens name properties in
many shapes. Sources: developers.hubspot.com, "Automation v4 API" (scope `automation`, Professional and above),
"Workflow actions and enrollment types" (`0-5` sets, copies or clears a property).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.hubspot.api import FLOWS, Api
from adapters.hubspot.errors import BadRequest, Forbidden, MissingScopes
from adapters.hubspot.rows import results_of
from connector.errors import StopRun
from connector.ports import Automation, Automations

PAGE = BATCH = (
    100  # how many a batch may hold is documented nowhere: fewer are read where so many are refused
)
OBJECT_TYPES = {"contact": "0-1", "company": "0-2"}
SET = ("property_name", "propertyName", "property", "targetProperty", "target_property")  # beside a `value`
TOLD = frozenset({"name", "description"})  # of a workflow: words for people
ALWAYS_UNSEEN = (
    "HubSpot's API shows no lists that enrol, no scoring properties, no `Sync lifecycle stages` settings (Settings >"
    " Objects > Contacts > Lifecycle Stage), no workflows with sensitive data and none of other apps.",
)


async def automations(api: Api, targets: Sequence[str]) -> Automations:
    """See connector.ports.CrmInspector. A call for 100 workflows, and one for the details of 100 active ones."""
    try:
        active = [row async for row in _active(api)]
        details = await _details(api, [str(row.get("id")) for row in active])
    except MissingScopes:
        why = "Workflows were not looked into: the token lacks the scope `automation`."
        return Automations(unseen=(why, *ALWAYS_UNSEEN))
    except Forbidden as error:
        why = f"Workflows were not looked into; this account may have none: {error.message}"
        return Automations(unseen=(why, *ALWAYS_UNSEEN))
    except StopRun as error:
        why = f"Workflows could not be looked into: {error.message}"
        return Automations(unseen=(why, *ALWAYS_UNSEEN))
    wanted = _wanted(targets)
    found = [told for row in active if (told := _told(details.get(str(row.get("id"))), wanted)) is not None]
    missing = [str(row.get("name") or row.get("id")) for row in active if str(row.get("id")) not in details]
    unread = (f"Workflows that could not be read: {', '.join(sorted(missing))}.",) if missing else ()
    return Automations(tuple(sorted(found, key=lambda each: each.name)), (*unread, *ALWAYS_UNSEEN))


async def _active(api: Api) -> Any:
    async for rows, _ in api.pages(FLOWS, {"limit": PAGE}):
        for row in rows:
            if isinstance(row, Mapping) and row.get("isEnabled") is True and row.get("id"):
                yield row


async def _details(api: Api, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Workflows whole, by id; what cannot be read is left out. A batch that is refused is asked for one by one."""
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        body = {"inputs": [{"flowId": id_, "type": "FLOW_ID"} for id_ in part]}
        try:
            rows = results_of(await api.post(f"{FLOWS}/batch/read", body))
        except BadRequest:
            rows = []
        found |= {str(row["id"]): row for row in rows if isinstance(row, Mapping) and row.get("id")}
        for id_ in part:
            if id_ not in found:
                try:
                    row = (await api.get(f"{FLOWS}/{id_}")).json
                except BadRequest:  # gone since, or not for us to see
                    continue
                if isinstance(row, Mapping):
                    found[id_] = row
    return found


# ------------------------------------------------------------------------------------------------ what a document says


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A property that is looked for, on which type of object, and as a word of its own in a text."""

    target: str
    object_type: str
    name: str
    word: re.Pattern[str]


@dataclass(slots=True)
class _Found:
    listens: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)


def _wanted(targets: Sequence[str]) -> list[_Wanted]:
    made = []
    for target in targets:
        object_, _, name = target.partition(".")
        if object_ in OBJECT_TYPES and name:
            word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
            made.append(_Wanted(target, OBJECT_TYPES[object_], name, word))
    return made


def _told(flow: Mapping[str, Any] | None, wanted: Sequence[_Wanted]) -> Automation | None:
    if flow is None:
        return None
    found = _Found()
    own = str(flow.get("objectTypeId") or "")
    for key, value in flow.items():
        if key == "actions":
            for action in value if isinstance(value, list) else ():
                _action(action, own, wanted, found)
        elif key not in TOLD:
            _listened(value, own, wanted, found)
    if not found.listens and not found.writes:
        return None
    id_ = flow.get("id")
    return Automation(
        kind="workflow",
        name=str(flow.get("name") or id_),
        where=f"HubSpot: Automation > Workflows, workflow {id_}",
        listens=frozenset(found.listens),
        writes=frozenset(found.writes),
    )


def _action(action: Any, own: str, wanted: Sequence[_Wanted], found: _Found) -> None:
    """An action that sets a property names it in its fields beside a value; all else that it names it only reads.

    With an `association` it acts on associated records: of another type than the workflow's, as far as can be told.
    """
    fields = action.get("fields") if isinstance(action, Mapping) else None
    if not isinstance(fields, Mapping):
        _listened(action, own, wanted, found)
        return
    names: set[str] = set()
    rest = _taken(fields, names)
    elsewhere = bool(fields.get("association") or fields.get("associationTypeId"))
    for one in wanted:
        if one.name in names and (one.object_type == own) != elsewhere:
            found.writes.add(one.target)
    _listened([rest, {key: value for key, value in action.items() if key != "fields"}], own, wanted, found)


def _taken(document: Any, names: set[str]) -> Any:
    """The document without the names of properties that it sets; these are added to `names`."""
    if isinstance(document, list):
        return [_taken(each, names) for each in document]
    if not isinstance(document, Mapping):
        return document
    sets = [key for key in SET if isinstance(document.get(key), str)] if "value" in document else []
    names.update(document[key] for key in sets)
    return {key: _taken(value, names) for key, value in document.items() if key not in sets}


def _listened(document: Any, own: str, wanted: Sequence[_Wanted], found: _Found) -> None:
    for text, object_type in _texts(document, own):
        for one in wanted:
            if one.object_type == object_type and one.word.search(text):
                found.listens.add(one.target)


def _texts(document: Any, object_type: str) -> Iterator[tuple[str, str]]:
    """Every text in it, keys too, with the type of object that it speaks of: a filter on associated records says so."""
    if isinstance(document, str):
        yield document, object_type
    elif isinstance(document, Mapping):
        inner = str(document.get("objectTypeId") or object_type)
        for key, value in document.items():
            yield str(key), inner
            yield from _texts(value, inner)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value, object_type)
