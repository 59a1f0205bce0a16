"""Which values a property holds, and on how many records.

HubSpot counts no groups; a search tells a total (developers.hubspot.com, "CRM search"). Where one page holds all the
records in question, it is counted; else one search per option tells its total and reads no record. Of free text only
the number of filled records is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.byid import type_of
from adapters.hubspot.rows import search_result
from adapters.hubspot.searching import SEARCH_PAGE
from connector.ports import FieldInfo, ValueInUse


async def values_in_use(
    api: Api,
    object_: str,
    field: str,
    schema: Mapping[str, FieldInfo],
    known: Collection[str],
    *,
    page: int = SEARCH_PAGE,
) -> Sequence[ValueInUse]:
    """See connector.ports.CrmInspector. One call where at most a page of records holds such values, else one more for
    each option."""
    info = schema.get(field)
    if info is None:
        return ()
    known = [value for value in known if not info.options or value in info.options]
    filled: dict[str, Any] = {"operator": "HAS_PROPERTY"}
    total, hits = await _search(api, object_, field, filled, without=known, page=page)
    if total <= len(hits):
        held = Counter(str((hit.get("properties") or {}).get(field)) for hit in hits)
        return [ValueInUse(object_, field, value, records) for value, records in held.most_common()]
    found = []
    for option in (each for each in info.options or () if each not in known):
        records, _ = await _search(api, object_, field, {"operator": "EQ", "value": option}, page=1)
        if records:
            found.append(ValueInUse(object_, field, option, records))
    rest = total - sum(each.records for each in found)
    if rest > 0:  # free text, or what was an option once
        found.append(ValueInUse(object_, field, None, rest))
    return sorted(found, key=lambda each: -each.records)


async def _search(
    api: Api, object_: str, field: str, test: Mapping[str, Any], *, page: int, without: Collection[str] = ()
) -> tuple[int, Sequence[Mapping[str, Any]]]:
    filters = [{"propertyName": field, **test}]
    if without:
        filters.append({"propertyName": field, "operator": "NOT_IN", "values": list(without)})
    body = {"filterGroups": [{"filters": filters}], "properties": [field], "limit": page}
    path = f"{api.paths.objects(type_of(object_))}/search"
    return search_result(await api.post(path, body, policy="search"))
