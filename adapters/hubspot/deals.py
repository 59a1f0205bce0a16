"""Deals: whose they are, what became of those that were merged away, and an account whose token may not see them.

Stages differ from pipeline to pipeline; whether a deal is open, won or lost is told by HubSpot's own booleans
(knowledge.hubspot.com, "HubSpot's default deal properties"). Which company a deal belongs to is told by its
associations, the primary one where it has several ("Associations v4": deal to primary company is type 5).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace

from adapters.hubspot.api import Api
from adapters.hubspot.associations import links_of
from adapters.hubspot.errors import Forbidden
from adapters.hubspot.marketing_events import not_available
from adapters.hubspot.payload import CRM
from connector.core.model import Page, RecordState, Ref, VendorRecord
from connector.ports import Stream

STREAM = Stream("deals", "opportunity", ("deal",))
PRIMARY = 5


async def whose(api: Api, deals: Sequence[VendorRecord]) -> list[VendorRecord]:
    """The same with the company of each; with its contacts, where it has no company. A call for up to 1,000 deals, and
    one more where some have none. Of those in the bin and those that are gone nobody tells it."""
    ids = [deal.ref.id for deal in deals if deal.state is RecordState.LIVE]
    companies = await links_of(api, "deals", "companies", ids) if ids else {}
    alone = [id_ for id_ in ids if id_ not in companies]
    contacts = await links_of(api, "deals", "contacts", alone) if alone else {}
    return [
        replace(
            deal,
            company=_company(companies.get(deal.ref.id, {})),
            people=tuple(Ref(CRM, "contact", id_) for id_ in contacts.get(deal.ref.id, {})),
        )
        for deal in deals
    ]


def _company(links: Mapping[str, frozenset[int]]) -> Ref | None:
    primary = next((id_ for id_, types in links.items() if PRIMARY in types), None)
    id_ = primary or next(iter(links), None)
    return Ref(CRM, "company", id_) if id_ else None


async def with_absorbed(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """Pages of deals, each with those that its deals have absorbed: an id that was merged away shows in no list."""
    async for page in pages:
        absorbed = () if page.first_load else tuple(_absorbed(page.records))
        yield replace(page, records=page.records + absorbed, fetched=page.fetched + len(absorbed))


async def seen(pages: AsyncIterator[Page], *, known: bool) -> AsyncIterator[Page]:
    """The same pages. A token that never saw a deal is told so in a note; one that has (`known`) raises FixConfig."""
    try:
        async for page in pages:
            known = True
            yield page
    except Forbidden as error:
        if known:
            raise
        yield replace(not_available(STREAM.name, error), first_load=True)


def _absorbed(deals: Iterable[VendorRecord]) -> list[VendorRecord]:
    """Those that were merged into these, dated by the survivor."""
    return [
        VendorRecord(old, "opportunity", {}, deal.changed_at, state=RecordState.MERGED, moved_to=deal.ref)
        for deal in deals
        for old in deal.absorbed
    ]
