"""Who last changed some fields, asked of the CRM in one go. Not knowing it holds nothing up. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from connector.core.model import Ref
from connector.errors import ConnectorError
from connector.ports import Adapter, LastChange


async def last_changes(
    adapter: Adapter, places: Iterable[tuple[Ref, str]]
) -> Mapping[tuple[Ref, str], LastChange]:
    """By record and field; empty where the CRM cannot tell now. No call for nothing."""
    fields: dict[str, set[str]] = {}
    refs: dict[Ref, None] = {}
    for ref, name in places:
        fields.setdefault(ref.object, set()).add(name)
        refs[ref] = None
    if fields:
        with suppress(ConnectorError):
            return await adapter.last_changes(
                list(refs), {name: frozenset(each) for name, each in fields.items()}
            )
    return {}
