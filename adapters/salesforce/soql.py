"""Query text: literals, field lists, the two ways of reading an object in order. Sends nothing.

Everything that comes from outside (mapping, cursor, record) passes a check or an escape here, so that no
value can become query. Rules: https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from connector.errors import FixConfig, SkipRecord

FIRST_ID = "000000000000000"  # sorts before every record id
IDS_IN_QUERY = 200  # 5 kB of a URL whose limit, headers included, is 16 kB
IDS_IN_BODY = 1_000  # 21 kB of a query whose limit is 100,000 characters

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def instant(value: datetime) -> str:
    """An aware time as an unquoted literal in UTC, cut to milliseconds: `2026-11-22T10:00:00.000Z`."""
    if value.tzinfo is None:
        raise ValueError("a time in a query must be aware")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_id(value: object) -> bool:
    """Whether this is a record id of 15 or 18 characters."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def record_id(value: str) -> str:
    """A record id as a literal. Raises SkipRecord for anything else."""
    if not is_id(value):
        raise SkipRecord("A Salesforce record id has 15 or 18 letters and digits; this one has not.")
    return f"'{value}'"


def name(value: str) -> str:
    """An object's name, checked. Raises FixConfig."""
    if not _NAME.fullmatch(value):
        raise FixConfig(
            f"`{value[:80]}` is not a Salesforce name.", next_step="Correct it in the mapping of Salesforce."
        )
    return value


def field(value: str) -> str:
    """A field's name, parents dotted (`Account.Name`, at most five deep), checked. Raises FixConfig."""
    parts = value.split(".")
    if len(parts) > 6 or not all(_NAME.fullmatch(part) for part in parts):
        raise FixConfig(
            f"`{value[:80]}` is not a Salesforce field name.",
            next_step="Use the API name, such as LeadSource, Score__c or Account.Name, in the mapping.",
        )
    return value


def select(
    fields: Iterable[str],
    source: str,
    where: Sequence[str] = (),
    *,
    order: str = "",
    limit: int | None = None,
) -> str:
    """A query. Fields are sorted, each named once however spelled: naming one twice is an error there."""
    unique = {field(each).lower(): each for each in sorted(fields)}
    columns = ",".join(sorted(unique.values()))
    query = f"SELECT {columns} FROM {name(source)}"  # noqa: S608 (both are checked names)
    conditions = [part for part in where if part]
    if conditions:
        query += " WHERE " + " AND ".join(conditions)
    if order:
        query += f" ORDER BY {order}"
    if limit is not None:
        query += f" LIMIT {limit}"
    return query


def count_of(source: str, where: Sequence[str] = ()) -> str:
    """A query for the number of rows that meet these conditions."""
    conditions = " AND ".join(part for part in where if part)
    return f"SELECT COUNT() FROM {name(source)}" + (f" WHERE {conditions}" if conditions else "")  # noqa: S608


BY_ID = "Id ASC"
BY_CHANGE = "SystemModstamp ASC, Id ASC"


def after_id(last: str) -> str:
    """Rows behind this id in the order BY_ID."""
    return f"Id > {record_id(last)}"


def changed_from(moment: datetime) -> str:
    """Rows whose stamp is this moment or later."""
    return f"SystemModstamp >= {instant(moment)}"


def after_change(stamp: datetime, last: str) -> str:
    """Rows behind this one in the order BY_CHANGE, also where thousands share a stamp."""
    at = instant(stamp)
    return f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {record_id(last)}))"


def id_in(column: str, ids: Iterable[str]) -> str:
    """Rows whose column names one of these records."""
    return f"{field(column)} IN ({','.join(record_id(each) for each in ids)})"


def chunks(ids: Iterable[str], most: int = IDS_IN_QUERY) -> list[list[str]]:
    """Each id once, in lists that fit into a query."""
    unique = list(dict.fromkeys(ids))
    return [unique[start : start + most] for start in range(0, len(unique), most)]
