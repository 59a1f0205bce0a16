"""Follow up a census: ask about each record that was not met in it, and say which of them are gone for good.

Some things leave no trace in any list (an erasure under privacy law, a hard delete): only their absence tells. It is
believed when the vendor, asked for the very id, does not know it either.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connector.core.model import Page, RecordState, Ref, VendorRecord
from connector.ports import CrmSource, Fields, Ledger, Stream


async def followed_up(
    page: Page, stream: Stream, source: CrmSource, ledger: Ledger, fields: Fields, at: datetime
) -> tuple[Page, tuple[str, ...]]:
    """The page, its records joined by those found gone (or merged, archived ...), and the keys of engagement that no
    longer exists. `at`: when a record counts as gone."""
    census = page.census
    if census is None:
        return page, ()
    absent = await ledger.absent(source.crm, stream.name, census)
    if not absent:
        return page, ()
    if not census.object:
        return page, tuple(sorted(await source.gone(stream.name, absent)))
    refs = [Ref(source.crm, census.object, id_) for id_ in absent]
    found = await source.read(refs, fields)
    told = [found.get(ref) or VendorRecord(ref, stream.kind, {}, at, state=RecordState.GONE) for ref in refs]
    return replace(page, records=page.records + tuple(told), fetched=page.fetched + len(told)), ()
