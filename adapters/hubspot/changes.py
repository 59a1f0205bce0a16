"""Who last changed a property of a record, and when: the newest entry of its history.

A history holds the last versions of a property, newest first, each with its source; read by batches of 50 records, half
of what a batch without it takes (developers.hubspot.com, "CRM objects", `propertiesWithHistory`). A workflow is told
by its enrolment and not by its own id; a label names it where HubSpot gives one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.byid import batch_history, type_of
from adapters.hubspot.errors import Forbidden
from adapters.hubspot.payload import lenient_moment
from connector.core.model import Ref
from connector.ports import Fields, LastChange

OWNERS_PAGE = 100
BY_HAND = ("CRM_UI", "MOBILE")
_OTHERS = {
    "SALESFORCE": "HubSpot's Salesforce integration",
    "CALCULATED": "a calculation of HubSpot's",
    "MERGE_OBJECTS": "a merge",
    "MERGE_CONTACTS": "a merge",
}


async def last_changes(api: Api, refs: Sequence[Ref], fields: Fields) -> Mapping[tuple[Ref, str], LastChange]:
    """See connector.ports.CrmSource. A call for 50 records; one more (per 100 owners) where people changed something.

    A record that was merged away is left out, for the survivor's history is not its own.
    """
    newest: dict[tuple[Ref, str], Mapping[str, Any]] = {}
    for object_ in dict.fromkeys(ref.object for ref in refs):
        names = sorted(fields.get(object_, ()))
        here = {ref.id: ref for ref in refs if ref.object == object_}
        if names:
            found = await batch_history(api, type_of(object_), list(here), names)
            for id_, histories in found.items():
                for name in names:
                    if name in histories:
                        newest[here[id_], name] = histories[name][0]
    people = await _people(api) if any(_user(each) for each in newest.values()) else {}
    return {place: _change(each, people) for place, each in newest.items()}


def _change(entry: Mapping[str, Any], people: Mapping[str, str]) -> LastChange:
    value = entry.get("value")
    return LastChange(
        None if value == "" else value, lenient_moment(entry.get("timestamp")), who(entry, people)
    )


def who(entry: Mapping[str, Any], people: Mapping[str, str]) -> str:
    """The source of a version in words; `people` are names by HubSpot's number of a user. Empty: it tells none."""
    kind = str(entry.get("sourceType") or "").upper()
    id_ = str(entry.get("sourceId") or "")
    label = str(entry.get("sourceLabel") or "")
    if kind in ("AUTOMATION_PLATFORM", "WORKFLOWS"):
        return _workflow(id_, label)
    if kind == "INTEGRATION":
        return f'integration "{label}"' if label else f"integration {id_}".strip()
    if kind == "API":
        return f"API of integration {label or id_}" if label or id_ else "API"
    if kind in _OTHERS:
        return _OTHERS[kind]
    words = kind.replace("_", " ").lower()
    if user := _user(entry):
        person = f"user {user}" + (f" ({people[user]})" if people.get(user) else "")
        return person if not kind or kind.startswith(BY_HAND) else f"{words} by {person}"
    return f'{words} "{label}"' if label and words else words or label


def _workflow(id_: str, label: str) -> str:
    workflow = id_ if id_.isdigit() else _numbered(id_, "workflowId", "flowId")
    if workflow:
        return f"workflow {workflow}" + (f' ("{label}")' if label else "")
    enrolment = _numbered(id_, "enrollmentId")
    told = f'workflow "{label}"' if label else "a workflow"
    return told + (f" (enrolment {enrolment})" if enrolment else "")


def _user(entry: Mapping[str, Any]) -> str:
    number = entry.get("updatedByUserId")
    if isinstance(number, (int, str)) and not isinstance(number, bool) and str(number).isdigit():
        return str(number)
    return _numbered(str(entry.get("sourceId") or ""), "userId")


def _numbered(text: str, *names: str) -> str:
    found = re.search(rf"\b(?:{'|'.join(names)}):(\d+)", text)
    return found[1] if found else ""


async def _people(api: Api) -> dict[str, str]:
    """Names of users by their numbers; none where the token may not see owners, for names are not worth a scope."""
    found: dict[str, str] = {}
    try:
        async for rows, _ in api.pages(api.paths.owners, {"limit": OWNERS_PAGE}):
            found.update(_named(rows))
    except Forbidden:
        return {}
    return found


def _named(rows: Iterable[Any]) -> dict[str, str]:
    return {
        str(row["userId"]): " ".join(str(row.get(part) or "") for part in ("firstName", "lastName")).strip()
        for row in rows
        if isinstance(row, Mapping) and row.get("userId")
    }
