"""The search endpoint's arithmetic: filters, order, pages, ceilings. Reads the trailing index, changes
nothing.

Limits as of developers.hubspot.com, "CRM search": 200 a page, 10,000 results a query, 5 groups of at most 6
filters, 18 in all, one sort.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.hubspot.sandbox.schema import Property
from adapters.hubspot.sandbox.table import Row, Table
from adapters.hubspot.sandbox.wire import Refused, invalid, read_ms

MOST_RESULTS = 10_000
MOST_ON_PAGE = 200
OPERATORS = frozenset(
    {
        "LT", "LTE", "GT", "GTE", "EQ", "NEQ", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN",
    }
)  # fmt: skip
KEPT_QUERIES = 8
FOREVER = 1 << 60

Linked = Callable[[str, int, str], Sequence[int]]
Group = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of hits. `after` is the offset of the next one."""

    total: int
    rows: list[Row]
    after: int | None


class Search:
    """Searches one account's tables.

    Remembers the ids of the last queries, so that paging through one is cheap.
    """

    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._kept: OrderedDict[tuple[str, int, bytes], list[int]] = OrderedDict()

    def find(self, table: Table, body: Mapping[str, Any], size: int, now: int) -> Found:
        """Answer a search body of `size` bytes. Raises Refused."""
        table.settle(now)
        limit, after, groups, sort = _checked(table, body, size)
        groups, above = _keyset(groups, sort)
        ids = self._ids(table, groups, sort, str(body.get("query") or ""))
        if above is not None:
            ids = ids[bisect_right(ids, above) :]
        page = [table.rows[id] for id in ids[after : after + limit]]
        following = after + limit if after + limit < len(ids) else None
        return Found(len(ids), page, following)

    def _ids(self, table: Table, groups: Sequence[Group], sort: tuple[str, bool], query: str) -> list[int]:
        key = (table.name, table.version, orjson.dumps([groups, sort, query]))
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        ids: set[int] = set()
        for group in groups or [[]]:
            ids |= self._group(table, group)
        if query:
            ids = {id for id in ids if _mentions(table.indexed(id), query)}
        ordered = _ordered(table, ids, sort)
        self._kept[key] = ordered
        while len(self._kept) > KEPT_QUERIES:
            self._kept.popitem(last=False)
        return ordered

    def _group(self, table: Table, filters: Group) -> set[int]:
        """Begin with the narrowest index there is, then test the rest one by one."""
        chosen, ids = None, None
        for place, asked in enumerate(filters):
            name, operator = asked["propertyName"], asked["operator"]
            if name == table.updated_property and operator in ("BETWEEN", "GT", "GTE", "LT", "LTE", "EQ"):
                chosen, ids = place, table.ids_between(*_span(asked))
            elif name == "hs_object_id" and operator in ("EQ", "IN"):
                wanted = asked.get("values") or [asked.get("value")]
                numbers = [int(str(value)) for value in wanted if str(value).isdigit()]
                chosen, ids = place, [id for id in numbers if table.is_indexed(id)]
                break
        if ids is None:
            ids = table.all_indexed()
        rest = [self._test(table, asked) for place, asked in enumerate(filters) if place != chosen]
        if not rest:
            return set(ids)
        return {id for id in ids if all(test(id) for test in rest)}

    def _test(self, table: Table, asked: Mapping[str, Any]) -> Callable[[int], bool]:
        name, operator = asked["propertyName"], asked["operator"]
        if name.startswith("associations."):
            kind = {"company": "companies"}.get(name.partition(".")[2], name.partition(".")[2] + "s")
            wanted = {int(str(value)) for value in asked.get("values") or [asked.get("value")]}
            return lambda id: bool(wanted.intersection(self._linked(table.name, id, kind)))
        holds = _comparison(table.properties[name], operator, asked)
        return lambda id: holds(table.indexed(id).get(name, ""))


def _checked(
    table: Table, body: Mapping[str, Any], size: int
) -> tuple[int, int, list[Group], tuple[str, bool]]:
    if size > 3_000:
        raise invalid("The request body is too long: at most 3000 characters are allowed.")
    limit = _integer(body.get("limit", 10), "limit")
    after = _integer(body.get("after") or 0, "after")
    if not 0 <= limit <= MOST_ON_PAGE:
        raise invalid(f"limit must be at most {MOST_ON_PAGE}, was {limit}")
    if after + limit > MOST_RESULTS:
        raise invalid(f"The search endpoint reaches {MOST_RESULTS} results at most; narrow the filters.")
    groups: list[Group] = [list(group.get("filters") or []) for group in body.get("filterGroups") or []]
    if body.get("filters"):
        groups.append(list(body["filters"]))
    if len(groups) > 5 or any(len(group) > 6 for group in groups) or sum(map(len, groups)) > 18:
        raise invalid("At most 5 filterGroups, 6 filters in each and 18 filters in all are allowed.")
    for group in groups:
        for asked in group:
            _check_filter(table, asked)
    sorts = body.get("sorts") or []
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed.")
    return limit, after, groups, _sort(table, sorts[0] if sorts else "hs_object_id")


def _check_filter(table: Table, asked: Mapping[str, Any]) -> None:
    name, operator = asked.get("propertyName"), asked.get("operator")
    if operator not in OPERATORS:
        raise invalid(f"Invalid input JSON: {operator!r} is not an operator")
    if not isinstance(name, str) or (name not in table.properties and not name.startswith("associations.")):
        raise invalid(f"There was a problem with the request. Property {name} does not exist.")
    needs = {"BETWEEN": ("value", "highValue"), "IN": ("values",), "NOT_IN": ("values",)}
    unary = operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY")
    for part in () if unary else needs.get(operator, ("value",)):
        if asked.get(part) in (None, "", []):
            raise invalid(f"Filter on {name}: operator {operator} needs {part}.")
    if (
        name == table.updated_property
        and operator in ("GT", "GTE", "BETWEEN")
        and str(asked.get("value")) == "0"
    ):
        raise Refused(500, {"status": "error", "message": "internal error", "correlationId": "sandbox"})


def _integer(value: Any, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdigit():
        return int(value)
    raise invalid(f'Cannot deserialize value of type `int` from String "{value}" ({name})')


def _sort(table: Table, sort: Any) -> tuple[str, bool]:
    if isinstance(sort, str):
        return sort.lstrip("-"), sort.startswith("-")
    name = str(sort.get("propertyName", "hs_object_id"))
    if name not in table.properties:
        raise invalid(f"There was a problem with the request. Cannot sort by {name}.")
    return name, str(sort.get("direction", "ASCENDING")).upper().startswith("DESC")


def _keyset(groups: list[Group], sort: tuple[str, bool]) -> tuple[list[Group], int | None]:
    """Take `hs_object_id GT x` out of a query in id order: all its pages then share one list of ids."""
    if len(groups) != 1 or sort != ("hs_object_id", False):
        return groups, None
    for place, asked in enumerate(groups[0]):
        value = str(asked.get("value"))
        if asked["propertyName"] == "hs_object_id" and asked["operator"] == "GT" and value.isdigit():
            return [[*groups[0][:place], *groups[0][place + 1 :]]], int(value)
    return groups, None


def _span(asked: Mapping[str, Any]) -> tuple[int, int]:
    value = _moment(asked["value"])
    operator = asked["operator"]
    if operator == "BETWEEN":
        return value, _moment(asked["highValue"])
    return {
        "GT": (value + 1, FOREVER),
        "GTE": (value, FOREVER),
        "LT": (0, value - 1),
        "LTE": (0, value),
        "EQ": (value, value),
    }[operator]


def _moment(value: Any) -> int:
    found = read_ms(str(value))
    if found is None:
        raise invalid(f"{value!r} is not a time")
    return found


def _ordered(table: Table, ids: set[int], sort: tuple[str, bool]) -> list[int]:
    name, backward = sort
    ascending = sorted(ids)
    if name == "hs_object_id":
        return ascending[::-1] if backward else ascending
    definition = table.properties[name]
    filled = [id for id in ascending if table.indexed(id).get(name)]
    empty = [id for id in ascending if not table.indexed(id).get(name)]
    filled.sort(key=lambda id: _typed(definition, table.indexed(id)[name]), reverse=backward)
    return filled + empty


def _typed(definition: Property, text: str) -> Any:
    if definition.type == "number":
        try:
            return float(text)
        except ValueError:
            return 0.0
    if definition.type in ("date", "datetime"):
        return read_ms(text) or 0
    return text.lower() if definition.type == "string" else text


def _comparison(definition: Property, operator: str, asked: Mapping[str, Any]) -> Callable[[str], bool]:
    def typed(value: Any) -> Any:
        return _typed(definition, str(value))

    if operator == "HAS_PROPERTY":
        return lambda text: text != ""
    if operator == "NOT_HAS_PROPERTY":
        return lambda text: text == ""
    if operator in ("IN", "NOT_IN"):
        # Text is indexed in lower case and the list is taken as it stands.
        wanted = {str(value) if definition.type == "string" else typed(value) for value in asked["values"]}
        if operator == "IN":
            return lambda text: text != "" and typed(text) in wanted
        return lambda text: text == "" or typed(text) not in wanted
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        pattern = re.compile(re.escape(str(asked["value"]).lower()).replace(r"\*", ".*"))
        contains = operator == "CONTAINS_TOKEN"
        return lambda text: contains == any(pattern.fullmatch(token) for token in _tokens(text))
    value = typed(asked["value"])
    if operator == "BETWEEN":
        high = typed(asked["highValue"])
        return lambda text: text != "" and value <= typed(text) <= high
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda found: bool(found == value),
        "NEQ": lambda found: bool(found != value),
        "GT": lambda found: bool(found > value),
        "GTE": lambda found: bool(found >= value),
        "LT": lambda found: bool(found < value),
        "LTE": lambda found: bool(found <= value),
    }
    holds = compare[operator]
    return lambda text: (text != "" and holds(typed(text))) or (operator == "NEQ" and text == "")


def _tokens(text: str) -> list[str]:
    lower = text.lower()
    return [lower, *re.split(r"[^\w]+", lower)]


def _mentions(values: Mapping[str, str], query: str) -> bool:
    wanted = query.lower()
    names = ("email", "firstname", "lastname", "phone", "company", "name", "domain")
    return any(wanted in values.get(name, "").lower() for name in names)
