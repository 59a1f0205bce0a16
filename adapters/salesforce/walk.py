"""Read an object in an order that resumes: query after query until one is not full. Knows no cursor's form.

Page sizes are the server's; a dead locator, a hidden field and a query that is too slow cost no row.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.salesforce import soql
from adapters.salesforce.errors import CursorLost, FieldLost, FieldRefused, QueryTooSlow
from adapters.salesforce.payload import SYSTEM_FIELDS
from adapters.salesforce.rest import Rest, Rows
from connector.errors import StopRun
from connector.ports import Fields

QUERY_ROWS = 50_000  # of one query; the server pages it
SMALLEST_QUERY = 200  # a query that is too slow for this many rows is too slow

P = TypeVar("P")
Columns = Sequence[str]


@dataclass(frozen=True, slots=True)
class Way(Generic[P]):
    """An order of reading. `query`: the text for these columns behind a place, for so many rows. `behind`: the place
    once this page is kept; the flag says that its query was full, so that another one follows."""

    source: str
    query: Callable[[Columns, P, int], str]
    behind: Callable[[P, Rows, bool], P]
    deleted_too: bool


async def walk(
    rest: Rest, way: Way[P], place: P, wanted: Columns, *, hidden: frozenset[str] | None = None
) -> AsyncGenerator[tuple[P, Rows, bool], None]:
    """Pages, each with the place behind it and whether it is the last.

    `hidden`: the wanted fields that were not visible so far; None: whatever the first query finds. Raises FieldLost
    when another one vanishes, StopRun where a full query leads no further, RetryLater for one that is too slow however
    small.
    """
    size = QUERY_ROWS
    while True:
        came, full, begun = 0, False, place
        hidden_now = rest.hidden(way.source, wanted)
        if hidden is not None and hidden_now - hidden:
            raise lost(way.source, hidden_now - hidden)
        query = way.query(rest.seen(way.source, wanted), place, size)
        try:
            async with aclosing(rest.query(query, deleted_too=way.deleted_too)) as pages:
                async for page in pages:
                    came += len(page.rows)
                    full = page.done and came >= size
                    hidden = hidden_now if hidden is None else hidden
                    place = way.behind(place, page, full)
                    yield place, page, page.done and not full
        except FieldRefused as refused:
            await rest.find_hidden(way.source, wanted, refused)
            continue
        except CursorLost:
            if place == begun:
                raise
            continue  # the same walk, behind the last row that came
        except QueryTooSlow:
            size //= 4
            if size < SMALLEST_QUERY:
                raise
            continue
        if not full:
            return
        if place == begun:
            raise astray(f"{came} rows that lead no further")


def by_id(source: str, where: Callable[[Columns], Sequence[str]], *, deleted_too: bool) -> Way[str]:
    """In the order of ids, which no edit can disturb. The place is the last id; `where` may look at which columns are
    visible."""

    def query(columns: Columns, after: str, size: int) -> str:
        conditions = [soql.after_id(after), *where(columns)]
        return soql.select(columns, source, conditions, order=soql.BY_ID, limit=size)

    def behind(after: str, page: Rows, full: bool) -> str:
        if not page.rows and page.done and not full:
            return after
        last = last_id(page)
        if last == after:
            raise astray("the row that was read last")
        return last

    return Way(source, query, behind, deleted_too)


def last_id(page: Rows) -> str:
    """The id of a page's last row. Raises StopRun."""
    record = page.rows[-1].get("Id") if page.rows else None
    if not isinstance(record, str) or not soql.is_id(record):
        raise astray("no row, or one without its Id")
    return record


def wanted_columns(source: str, fields: Fields) -> list[str]:
    """The system's fields and the mapped ones, each once however spelled."""
    system = SYSTEM_FIELDS[source]
    known = {name.lower() for name in system}
    return [*system, *sorted(name for name in fields.get(source, ()) if name.lower() not in known)]


def value_names(source: str, fields: Fields) -> list[str]:
    """The names under which values are told: ours, and the mapping's spelling of it."""
    return list(dict.fromkeys((*SYSTEM_FIELDS[source], *sorted(fields.get(source, ())))))


def lost(source: str, fields: frozenset[str]) -> FieldLost:
    """Raised for fields that were read until now: blank is not what they hold."""
    names = ", ".join(f"{source}.{name}" for name in sorted(fields))
    return FieldLost(
        f"{names} could be read until now and cannot any more: deleted, or hidden by field-level security.",
        next_step="Nothing was overwritten by blanks and the watermark stays. Give the integration user read access to "
        "it again, or take it out of the mapping.",
    )


def astray(what: str) -> StopRun:
    """Raised for an answer in no order."""
    return StopRun(
        f"Salesforce answered a query in order with {what}.",
        next_step="The watermark stays. Check whether a proxy answers instead.",
    )
