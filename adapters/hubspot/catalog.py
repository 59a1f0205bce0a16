"""Everything of a HubSpot account that a mapping may name by id or label. What the token may not see is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog

from adapters.hubspot.api import FORMS, Api
from adapters.hubspot.errors import MissingScopes
from adapters.hubspot.rows import results_of
from connector.ports import Named

log = structlog.get_logger(__name__)

PAGE = 100
FORM_TYPES = "hubspot,captured,flow"
CHOICES = (("lifecyclestage", "stage"), ("hs_lead_status", "status"))


async def catalog(api: Api) -> Sequence[Named]:
    """Stages and statuses in the account's order; then forms, lists, owners and pipelines."""
    found: list[Named] = []
    for read in (_choices, _forms, _lists, _owners, _pipelines):
        try:
            found += [named async for named in read(api)]
        except MissingScopes as error:
            log.info("names_not_readable", crm="hubspot", what=read.__name__.strip("_"), scopes=error.scopes)
    return found


async def _choices(api: Api) -> AsyncIterator[Named]:
    for name, kind in CHOICES:
        answer = await api.get(f"{api.paths.properties('contacts')}/{name}")
        options = answer.json.get("options") if isinstance(answer.json, Mapping) else None
        rows = [option for option in options or () if isinstance(option, Mapping)]
        for option in sorted(rows, key=_order):
            value = str(option.get("value", ""))
            yield Named(kind, value, str(option.get("label") or value), value)


async def _forms(api: Api) -> AsyncIterator[Named]:
    async for row in _paged(api, FORMS, {"formTypes": FORM_TYPES}):
        yield Named("form", str(row.get("id")), str(row.get("name") or ""))


async def _lists(api: Api) -> AsyncIterator[Named]:
    offset = 0
    while True:
        answer = await api.post(f"{api.paths.lists}/search", {"query": "", "offset": offset, "count": PAGE})
        document = answer.json if isinstance(answer.json, Mapping) else {}
        rows = [row for row in document.get("lists") or () if isinstance(row, Mapping)]
        for row in rows:
            yield Named("list", str(row.get("listId")), str(row.get("name") or ""))
        following = document.get("offset")
        if (
            not rows
            or document.get("hasMore") is not True
            or not isinstance(following, int)
            or following <= offset
        ):
            return
        offset = following


async def _owners(api: Api) -> AsyncIterator[Named]:
    async for row in _paged(api, api.paths.owners, {}):
        name = " ".join(str(row.get(part) or "") for part in ("firstName", "lastName")).strip()
        yield Named("owner", str(row.get("id")), name or str(row.get("id")))


async def _pipelines(api: Api) -> AsyncIterator[Named]:
    answer = await api.get(api.paths.pipelines("contacts"))
    for row in results_of(answer):
        if isinstance(row, Mapping):
            yield Named("pipeline", str(row.get("id")), str(row.get("label") or ""))


async def _paged(api: Api, path: str, params: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    after: str | None = None
    while True:
        answer = await api.get(path, {**params, "limit": PAGE, **({"after": after} if after else {})})
        for row in results_of(answer):
            if isinstance(row, Mapping):
                yield row
        paging = answer.json.get("paging") if isinstance(answer.json, Mapping) else None
        following = paging.get("next") if isinstance(paging, Mapping) else None
        said = str(following.get("after") or "") if isinstance(following, Mapping) else ""
        if not said or said == after:
            return
        after = said


def _order(option: Mapping[str, Any]) -> tuple[bool, int]:
    order = option.get("displayOrder")
    place = order if isinstance(order, int) else -1
    return (place < 0, place)
