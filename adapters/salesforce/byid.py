"""Read rows by their ids, as they stand now, deleted ones included; and what became of ids that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.errors import FieldRefused
from adapters.salesforce.payload import long_id, record_from
from adapters.salesforce.rest import Rest
from adapters.salesforce.rows import around
from adapters.salesforce.walk import value_names, wanted_columns
from connector.core.model import Ref, VendorRecord
from connector.errors import SkipRecord, StopRun
from connector.ports import Fields


async def read(rest: Rest, refs: Sequence[Ref], fields: Fields) -> dict[Ref, VendorRecord]:
    """These records as they stand now, by the ref asked for; converted, merged and deleted ones say so.

    One call per 200 records of an object, without the dates of their histories. A record that is missing from the
    answer no longer exists, or this user no longer sees it. Raises StopRun for a row that cannot be read.
    """
    found: dict[Ref, VendorRecord] = {}
    for source in dict.fromkeys(ref.object for ref in refs):
        asked: dict[str, list[Ref]] = {}
        for ref in refs:
            if ref.object == source and soql.is_id(ref.id):
                asked.setdefault(long_id(ref.id), []).append(ref)
        values = value_names(source, fields)
        rows = await by_id(rest, source, asked, fields)
        beside = await around(rest, source, rows, fields, histories=False)
        for row in rows:
            try:
                record = record_from(row, source, values, beside)
            except SkipRecord as error:
                raise StopRun(f"A {source} came back unreadable when it was read again. {error}") from error
            for ref in asked.get(long_id(record.ref.id), ()):
                found[ref] = record
    return found


async def by_id(rest: Rest, source: str, ids: Iterable[str], fields: Fields) -> list[Mapping[str, Any]]:
    """These rows as they stand now, deleted ones included."""
    wanted = wanted_columns(source, fields)
    found: list[Mapping[str, Any]] = []
    for chunk in soql.chunks(ids):
        while True:
            query = soql.select(rest.seen(source, wanted), source, [soql.id_in("Id", chunk)])
            try:
                found += await rest.all_rows(query, deleted_too=True)
                break
            except FieldRefused as refused:
                await rest.find_hidden(source, wanted, refused)
    return found


async def gone(rest: Rest, source: str, keys: Sequence[str]) -> frozenset[str]:
    """Which of these rows no longer exist or are in the Recycle Bin, asked by id."""
    asked = [key for key in keys if soql.is_id(key)]
    here: set[str] = set()
    for chunk in soql.chunks(asked):
        query = soql.select(["Id", "IsDeleted"], source, [soql.id_in("Id", chunk)])
        rows = await rest.all_rows(query, deleted_too=True)
        here.update(long_id(str(row.get("Id"))) for row in rows if not row.get("IsDeleted"))
    return frozenset(key for key in asked if long_id(key) not in here)
