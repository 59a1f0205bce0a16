"""Which values a field holds, and on how many records: one query that groups, which reads no record.

https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_groupby.htm
An aggregate query has no second page: 2,000 groups are the most there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from adapters.salesforce import soql
from adapters.salesforce.record_types import MASTER, types_of
from adapters.salesforce.rest import Rest
from connector.ports import ValueInUse

MOST_GROUPS = 2_000


async def values_in_use(rest: Rest, object_: str, field: str, known: Collection[str]) -> Sequence[ValueInUse]:
    """See connector.ports.CrmInspector. One call, by record type where the object has any. Nothing of long text, which
    cannot be grouped."""
    described = await rest.describe(object_)
    info = next((each for each in described.get("fields") or () if each.get("name") == field), None)
    if info is None:
        return ()
    column, source = soql.field(field), soql.name(object_)
    if not info.get("groupable"):
        return ()  # a filter on it is refused as well
    types = types_of(described)
    by_type = bool(types) and any(each.get("name") == "RecordTypeId" for each in described["fields"])
    columns = ", ".join(["RecordTypeId"] * by_type + [column])
    grouped = f"GROUP BY {columns} LIMIT {MOST_GROUPS}"
    rows = await rest.all_rows(
        f"SELECT {columns}, COUNT(Id) records FROM {source} WHERE {column} != null {grouped}"  # noqa: S608 (checked names)
    )
    found = []
    for row in rows:
        record_type = str(row.get("RecordTypeId") or MASTER) if by_type else ""
        name = "" if record_type in ("", MASTER) else types.get(record_type, record_type)
        if str(row[field]) not in known:
            found.append(ValueInUse(object_, field, str(row[field]), int(row["records"]), name))
    return sorted(found, key=lambda each: (each.record_type, -each.records, each.value or ""))
