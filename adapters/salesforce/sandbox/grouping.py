"""GROUP BY of the sandbox: counts and other aggregates of rows that share values. Knows no object.

As Salesforce does: every plain field of the SELECT must be grouped by, a field must be groupable, aliases or `expr0`
name the aggregates, and there is no second page ("SOQL and SOSL Reference", GROUP BY).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapters.salesforce.sandbox.soql import Aggregate, Path, Query, SoqlError

Getter = Callable[[Mapping[str, Any]], Any]
NOT_GROUPABLE = frozenset({"double", "currency", "percent", "datetime", "textarea"})
MOST = 2_000


def check(query: Query) -> None:
    """Refuse what Salesforce refuses, whatever the fields are."""
    for each in query.select:
        if isinstance(each, Path) and str(each) not in {str(path) for path in query.group}:
            raise SoqlError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {each}")
        if not isinstance(each, Path | Aggregate):
            raise SoqlError(
                "MALFORMED_QUERY", "Grouped query cannot use child relationships in the SELECT list"
            )


def grouped(
    query: Query,
    rows: Iterable[Mapping[str, Any]],
    getters: Mapping[str, Getter],
    fold: Mapping[str, Callable[[list[Any]], Any]],
) -> list[dict[str, Any]]:
    """One row per group, ordered by what they are grouped by. `getters` by path, `fold` by aggregate."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(getters[str(path)](row) for path in query.group)
        groups.setdefault(key, []).append(row)
    if query.limit is None and len(groups) > MOST:
        raise SoqlError(
            "EXCEEDED_ID_LIMIT", "Aggregate query does not support queryMore(), use LIMIT to restrict"
        )
    found = []
    for key in sorted(groups, key=lambda each: tuple((value is not None, str(value)) for value in each)):
        named = {str(path): value for path, value in zip(query.group, key, strict=True)}
        answer: dict[str, Any] = {}
        for index, each in enumerate(each for each in query.select if isinstance(each, Aggregate)):
            members = groups[key]
            name = each.alias or f"expr{index}"
            if each.path is None:
                answer[name] = len(members)
                continue
            getter = getters[str(each.path)]
            answer[name] = fold[each.function](
                [value for row in members if (value := getter(row)) is not None]
            )
        plain = {
            str(each).rpartition(".")[2]: named[str(each)] for each in query.select if isinstance(each, Path)
        }
        found.append({**plain, **answer})
    return found[query.offset :][: query.limit]
