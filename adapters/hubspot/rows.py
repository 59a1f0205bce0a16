"""Is this answer the page that was asked for? Takes answers apart, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.hubspot.errors import place
from adapters.hubspot.payload import UnreadableError, row_id
from connector.errors import StopRun
from connector.transport import Answer


def results_of(answer: Answer) -> list[Any]:
    """The rows of a page or batch. Raises StopRun when there is no list of them."""
    rows = answer.json.get("results") if isinstance(answer.json, Mapping) else None
    if not isinstance(rows, list):
        raise not_a_page(answer)
    return rows


def search_result(answer: Answer) -> tuple[int, list[Any]]:
    rows = results_of(answer)
    total = answer.json.get("total")
    if isinstance(total, bool) or not isinstance(total, int):
        raise not_a_page(answer)
    return total, rows


def next_after(answer: Answer) -> str | None:
    paging = answer.json.get("paging") if isinstance(answer.json, Mapping) else None
    following = paging.get("next") if isinstance(paging, Mapping) else None
    after = following.get("after") if isinstance(following, Mapping) else None
    return str(after) if after is not None and after != "" else None


def id_of(row: Any, answer: Answer) -> str:
    """The id of a row that was found or asked for by id. Raises StopRun: without it nothing can be kept."""
    try:
        return row_id(row)
    except UnreadableError as error:
        raise StopRun(
            f"HubSpot sent a row that is no record: {error}.",
            next_step="The watermark stays; the next run asks again.",
            where=place(answer),
        ) from None


def number_id(hit: Any, answer: Answer) -> int:
    id_ = id_of(hit, answer)
    if not id_.isdigit():
        raise not_a_page(answer)
    return int(id_)


def not_a_page(answer: Answer) -> StopRun:
    return StopRun(
        f"HubSpot answered {answer.status} with something that is not the page that was asked for.",
        next_step="The watermark stays. Check HUBSPOT_BASE_URL; the next run asks again.",
        where=place(answer),
    )
