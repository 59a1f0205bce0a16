"""Who last changed a field of a record: by its history where the org tracks the field, else by the record. Reads only.

History rows name the field as the API does (`Owner` for `OwnerId`), the moment and the user; values of long texts are
not kept. https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadhistory.htm
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.byid import by_id
from adapters.salesforce.payload import flat, instant, long_id
from adapters.salesforce.rest import Rest
from adapters.salesforce.rows import HISTORIES, IN_ORDER, beside_of, field_in
from connector.core.model import JsonValue, Ref
from connector.ports import Fields, LastChange

_MODIFIED = ("LastModifiedDate", "LastModifiedById")
Row = Mapping[str, Any]


async def last_changes(rest: Rest, refs: Sequence[Ref], fields: Fields) -> dict[tuple[Ref, str], LastChange]:
    """See connector.ports.CrmSource. A call per 200 records, one per 5,000 for their history, one for users' names.

    A tracked field without an entry that set what stands there now is told by the record: it has not changed for two
    years, or tracking began later. Fields of parents and hidden ones are left out. Raises RetryLater, FixConfig.
    """
    told: dict[tuple[Ref, str], tuple[JsonValue, datetime | None, str, bool]] = {}
    for source in dict.fromkeys(ref.object for ref in refs):
        names = sorted(name for name in fields.get(source, ()) if "." not in name)
        asked: dict[str, list[Ref]] = {}
        for ref in refs:
            if ref.object == source and soql.is_id(ref.id):
                asked.setdefault(long_id(ref.id), []).append(ref)
        if not names or not asked:
            continue
        rows = await by_id(rest, source, asked, {source: frozenset((*names, *_MODIFIED))})
        here = [row for row in rows if not row.get("IsDeleted")]
        seen = rest.seen(source, names)
        entries = await _last_entries(rest, source, [str(row["Id"]) for row in here], seen)
        for row in here:
            record = long_id(str(row["Id"]))
            for name, value in flat(row, seen).items():
                entry = entries.get((record, _name_in_history(name)))
                own = entry is not None and _set(entry, name, value)
                at, user = _signed(entry if own and entry is not None else row, of_record=not own)
                for ref in asked.get(record, ()):
                    told[ref, name] = (value, at, user, not own)
    people = await _names(rest, {user for _, _, user, _ in told.values() if user})
    return {
        key: LastChange(value, at, _who(user, people), of_record)
        for key, (value, at, user, of_record) in told.items()
    }


async def _last_entries(
    rest: Rest, source: str, ids: Sequence[str], names: Iterable[str]
) -> dict[tuple[str, str], Row]:
    """The newest entry by record and field (lower case). Nothing where the org lacks the history or hides it."""
    if source not in HISTORIES:
        return {}
    history, key = HISTORIES[source]
    columns = [key, "Field", "OldValue", "NewValue", "CreatedDate", "CreatedById"]
    one_of = field_in(sorted({_spelled(name) for name in names}))
    entries = await beside_of(rest, history, columns, key, ids, IN_ORDER, one_of) or ()
    return {(long_id(str(entry.get(key))), str(entry.get("Field")).lower()): entry for entry in entries}


def _spelled(name: str) -> str:
    """A standard reference is named without its `Id`: `Owner`."""
    return name[:-2] if name.endswith("Id") and not name.endswith("__c") else name


def _name_in_history(name: str) -> str:
    return _spelled(name).lower()


def _set(entry: Row, name: str, value: JsonValue) -> bool:
    """Whether this entry set what stands there now. What it does not say (a long text, a reference's two rows) it is
    believed."""
    old, new = entry.get("OldValue"), entry.get("NewValue")
    if (old is None and new is None) or _spelled(name) != name:
        return True
    return bool(_plain(new) == _plain(value))


def _plain(value: Any) -> Any:
    """A moment may be spelled in several ways, a blank too."""
    if not isinstance(value, str):
        return value
    try:
        return instant(value)
    except ValueError:
        return value if value and not value.isspace() else None


def _signed(row: Row, *, of_record: bool) -> tuple[datetime | None, str]:
    """When, and the user's id."""
    moment, user = _MODIFIED if of_record else ("CreatedDate", "CreatedById")
    try:
        at = instant(row.get(moment))
    except ValueError:
        at = None
    return at, str(row.get(user) or "")


async def _names(rest: Rest, users: Iterable[str]) -> dict[str, str]:
    """Names by user id; nobody's where users are hidden from us."""
    rows = await beside_of(rest, "User", ["Id", "Name"], "Id", sorted(users), soql.BY_ID)
    return {long_id(str(row.get("Id"))): str(row.get("Name") or "") for row in rows or ()}


def _who(user: str, people: Mapping[str, str]) -> str:
    name = people.get(long_id(user), "")
    return f"user {user} ({name})" if name else f"user {user}" if user else ""
