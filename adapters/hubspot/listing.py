"""List records of one type by id, from the strong store, page by page; and what a page tells about what is missing.

Source: developers.hubspot.com, "CRM objects": 100 a page, `after` leads to the next one. That ids ascend is seen and
not documented, so nothing is lost where they do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.byid import batch_read
from adapters.hubspot.errors import BadRequest, place
from adapters.hubspot.rows import id_of, next_after, results_of, search_result
from connector.core.model import Census, RecordState
from connector.errors import RetryLater
from connector.transport import Answer

LIST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list: its ids as listed, its rows with the wanted properties, and where the next one starts."""

    ids: tuple[str, ...]
    rows: Sequence[Any]
    following: str | None


async def list_pages(
    api: Api, stream: str, properties: Sequence[str], after: str | None, *, archived: bool
) -> AsyncIterator[Listed]:
    """Pages from `after` on. A property list that is too wide for the address is read by batches instead."""
    names = ",".join(properties)
    while True:
        wide = api.too_wide(names)
        try:
            answer = await api.get(
                api.paths.objects(stream),
                {
                    "limit": LIST_PAGE,
                    "after": after,
                    "archived": "true" if archived else "false",
                    "properties": "hs_object_id" if wide else names,
                },
            )
        except BadRequest as error:
            if error.answer.status == 414 and not wide:
                api.found_too_wide(names)
                continue
            raise
        rows = results_of(answer)
        following = next_after(answer)
        if following is not None and (following == after or not rows):
            raise RetryLater(
                f"HubSpot's list of {stream} does not get on: {len(rows)} rows, and again the same page next.",
                next_step="The next run goes on from the last page that was kept.",
                where=place(answer),
            )
        if not rows and not archived:
            await _confirm_end(api, stream, after, answer)
        ids = tuple(str(row.get("id")) if isinstance(row, Mapping) else "" for row in rows)
        if wide and rows:
            asked = [id_of(row, answer) for row in rows]
            rows = list((await batch_read(api, stream, asked, properties, archived=archived)).values())
        yield Listed(ids, rows, following)
        if following is None:
            return
        after = following


async def _confirm_end(api: Api, stream: str, after: str | None, answer: Answer) -> None:
    """An empty page is believed only when the search index knows of no record there either."""
    filters = [{"propertyName": "hs_object_id", "operator": "GTE", "value": after}] if after else []
    body = {
        "filterGroups": [{"filters": filters}] if filters else [],
        "limit": 1,
        "properties": ["hs_object_id"],
    }
    total, _ = search_result(await api.post(f"{api.paths.objects(stream)}/search", body, policy="search"))
    if total:
        raise RetryLater(
            f"HubSpot's list of {stream} came back empty although {total} records should follow.",
            next_step="The next run goes on from the last page that was kept.",
            where=place(answer),
        )


def census_of(
    object_: str, listed: Listed, above: str | None, state: RecordState = RecordState.LIVE
) -> Census | None:
    """The ids of a page as all there is between it and the page before; None where they do not ascend, and from
    there on. `object_`: as `Census.object` has it; `above`: the last id of the page before, "0" before the first.
    """
    numbers = [int(id_) for id_ in (above or "", *listed.ids) if id_.isdigit()]
    if above is None or len(numbers) != len(listed.ids) + 1 or any(a >= b for a, b in pairwise(numbers)):
        return None
    up_to = None if listed.following is None else listed.ids[-1]
    return Census(object_, frozenset(listed.ids), above, up_to, state)
