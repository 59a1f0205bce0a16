"""Search by windows of time, by ids ascending: finds and counts records, and reads none of them.

A search reaches 10,000 results and its order by time shifts under edits; ids above the last one inside a fixed window
do not, however many records share a time stamp (developers.hubspot.com, "CRM search").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.cursors import FLOOR, millis
from adapters.hubspot.errors import place
from adapters.hubspot.payload import lenient_moment
from adapters.hubspot.rows import number_id, search_result
from connector.errors import RetryLater, StopRun

SEARCH_PAGE = 200
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Times of one property from `lo` to `hi`, both included, to the millisecond."""

    name: str
    lo: datetime = FLOOR
    hi: datetime = FOREVER

    def filter(self) -> dict[str, str]:
        """As the search takes it."""
        return {
            "propertyName": self.name,
            "operator": "BETWEEN",
            "value": str(millis(self.lo)),
            "highValue": str(millis(self.hi)),
        }


async def count(api: Api, stream: str, window: Window | None) -> int:
    """How many live records the index knows, all of them or those in a window. One call."""
    filters = [window.filter()] if window else []
    body = {
        "filterGroups": [{"filters": filters}] if filters else [],
        "properties": ["hs_object_id"],
        "limit": 1,
    }
    total, _ = search_result(await api.post(f"{api.paths.objects(stream)}/search", body, policy="search"))
    return total


async def hits_above(api: Api, stream: str, windows: Sequence[Window], last: str) -> list[Any]:
    """One page of hits in any of the windows with ids above `last`, ids ascending. Less than SEARCH_PAGE: the end."""
    body = {
        "filterGroups": [
            {
                "filters": [
                    window.filter(),
                    {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                ]
            }
            for window in windows
        ],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["hs_object_id", *(window.name for window in windows)],
        "limit": SEARCH_PAGE,
    }
    answer = await api.post(f"{api.paths.objects(stream)}/search", body, policy="search")
    total, hits = search_result(answer)
    if len(hits) < min(total, SEARCH_PAGE):
        raise RetryLater(
            f"HubSpot's search found {total} {stream} and sent only {len(hits)} of them.",
            next_step="The watermark stays; the next run searches the same window again.",
            where=place(answer),
        )
    if any(number_id(hit, answer) <= int(last) for hit in hits):
        raise StopRun(
            f"HubSpot's search of {stream} sent records that were not asked for.",
            next_step="The watermark stays. If it happens again, tell HubSpot's support the correlation id.",
            where=place(answer),
        )
    return hits


def inside(hit: Mapping[str, Any], windows: Sequence[Window]) -> bool:
    """Whether the times that came with a hit lie in the windows that were asked for.

    The index filters on a value that may be older than the one it returns; a later window has that one. A hit that
    does not say when it was changed is taken: reading it once too often costs nothing.
    """
    properties = hit.get("properties")
    values = properties if isinstance(properties, Mapping) else {}
    told = [(window, lenient_moment(values.get(window.name))) for window in windows]
    said = [(window, time) for window, time in told if time is not None]
    return not said or any(window.lo - SECOND <= time <= window.hi + SECOND for window, time in said)
