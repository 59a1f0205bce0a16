"""Answers a parsed query from the tables: checks names and types, finds rows, by index if it can, and shapes them.

Reads only. Text compares without case, ids by their 18-character form, times and dates in their fixed-width
wire forms; `!=` and NOT IN hold for null, `<` and its kin never do.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.salesforce.sandbox import grouping
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.schema import NAME_OBJECT, Field, ObjectType, Schema
from adapters.salesforce.sandbox.soql import (
    Aggregate,
    And,
    Comparison,
    Condition,
    FieldsOf,
    Literal,
    Not,
    Or,
    Order,
    Path,
    Query,
    SoqlError,
    excerpt,
    parse,
)
from adapters.salesforce.sandbox.tables import Row, Table

Json = Any
Test = Callable[[Row], bool]
Getter = Callable[[Row], Json]

_TEXT = frozenset(("string", "picklist", "textarea", "phone", "url", "email", "combobox"))
_IDS = frozenset(("id", "reference"))
_NUMBERS = frozenset(("int", "double", "currency", "percent"))
_MAX_OFFSET = 2000
NOT_SHARED = "(not shared)"  # no field: marks a row that this user does not see
_ALWAYS_DEEP = 5  # parents of parents, at most


@dataclass(frozen=True, slots=True)
class World:
    """What one API user can query: the visible schema, and the rows behind it."""

    schema: Schema
    tables: Mapping[str, Table]
    prefixes: Mapping[str, str]  # key prefix -> object

    @property
    def whole(self) -> World:
        """The same with every field in sight."""
        return World({name: table.kind for name, table in self.tables.items()}, self.tables, self.prefixes)

    def find(self, id: str | None) -> tuple[str, Row] | None:
        """A row by its id, whatever its object."""
        name = self.prefixes.get(id[:3]) if id else None
        row = self.tables[name].rows.get(id) if name and id else None
        return (name, row) if name and row is not None else None


@dataclass(slots=True)
class Shape:
    """How a record looks in the answer: plain fields with their defaults, and what else is to be looked up."""

    kind: ObjectType
    plain: list[tuple[str, Json]] = field(default_factory=list)
    looked_up: list[tuple[str, Getter]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found. `ids` in answer order, shaped by `shape`; or `aggregates`; or only a count."""

    object: str
    total: int
    ids: Sequence[str] = ()
    shape: Shape | None = None
    aggregates: Sequence[Mapping[str, Json]] | None = None


def run(text: str, world: World, version: str, *, everything: bool = False) -> Found:
    """Answer a query. `everything` is queryAll: deleted and archived rows too. Raises SoqlError."""
    try:
        return _Run(world, version, everything).find(parse(text))
    except _PathError as wrong:
        place = f"{excerpt(text, wrong.path.column - 1)}\nERROR at Row:1:Column:{wrong.path.column}\n"
        raise SoqlError(wrong.code, place + wrong.message) from None


def shape_rows(ids: Iterable[str], found_in: str, shape: Shape, world: World, version: str) -> list[Json]:
    """The records of an answer, from the rows as they stand now; rows purged meanwhile are left out."""
    rows = world.tables[found_in].rows
    return [_shaped(shape, rows[id], version) for id in ids if id in rows]


def shape_fields(kind: ObjectType, names: Sequence[str], world: World, version: str) -> Shape:
    """The shape that selects these fields. Raises SoqlError INVALID_FIELD."""
    runner = _Run(world, version, True)
    try:
        return runner.shape(kind, [Path(tuple(name.split("."))) for name in names])
    except _PathError as wrong:
        raise SoqlError(wrong.code, wrong.message) from None


class _PathError(SoqlError):
    """A fault of one field path; the place in the text is added where the text is known."""

    def __init__(self, code: str, message: str, path: Path) -> None:
        super().__init__(code, message)
        self.path = path


class _Run:
    def __init__(self, world: World, version: str, everything: bool) -> None:
        self._world = world
        self._version = version
        self._everything = everything

    def find(self, query: Query) -> Found:
        kind = self._world.schema.get(query.object) or _find_object(self._world.schema, query.object)
        table = self._world.tables[kind.name]
        if query.offset > _MAX_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {_MAX_OFFSET}")
        aggregates = [each for each in query.select if isinstance(each, Aggregate)]
        if query.group:
            return self._grouped(query, kind, table)
        if aggregates:
            if len(aggregates) != len(query.select):
                raise SoqlError(
                    "MALFORMED_QUERY", "Aggregates and plain fields cannot be mixed without GROUP BY."
                )
            return self._aggregate(query, kind, table, aggregates)
        shape = self.shape(kind, query.select, query.limit)
        ids = self._ids(query, kind, table)
        return Found(kind.name, len(ids), ids, shape)

    # ------------------------------------------------------------ which rows

    def _ids(self, query: Query, kind: ObjectType, table: Table) -> list[str]:
        test = self._visible(self._test(kind, query.where) if query.where else None)
        orders = [(order, *self._getter(kind, order.path)) for order in query.order]
        for order, each, _ in orders:
            if not each.filterable:
                raise _PathError(
                    "INVALID_FIELD", f"field '{each.name}' can not be sorted in a query call", order.path
                )
        candidates, sorted_already = _candidates(query, table)
        wanted = None if query.limit is None else query.offset + query.limit
        rows = table.rows
        if sorted_already and wanted is not None:
            ids: list[str] = []
            if wanted:
                for id in candidates:
                    if test(rows[id]):
                        ids.append(id)
                        if len(ids) == wanted:
                            break
        else:
            ids = [id for id in candidates if test(rows[id])]
            if not sorted_already:
                for order, each, getter in reversed(orders):
                    _sort(ids, rows, order, each, getter)
        return ids[query.offset : wanted]

    def _visible(self, test: Test | None) -> Test:
        """What the user may see of it: rows that are not shared are not there."""
        if self._everything:
            return lambda row: NOT_SHARED not in row and (test is None or test(row))
        return lambda row: (
            not (row.get("IsDeleted") or row.get("IsArchived") or NOT_SHARED in row)
            and (test is None or test(row))
        )

    def _aggregate(self, query: Query, kind: ObjectType, table: Table, asked: list[Aggregate]) -> Found:
        ids = self._ids(query, kind, table)
        if len(asked) == 1 and asked[0].path is None:
            return Found(kind.name, len(ids))
        values: dict[str, Json] = {}
        for index, each in enumerate(asked):
            name = each.alias or f"expr{index}"
            if each.path is None:
                values[name] = len(ids)
                continue
            _, getter = self._getter(kind, each.path)
            present = [value for id in ids if (value := getter(table.rows[id])) is not None]
            values[name] = _AGGREGATES[each.function](present)
        return Found(kind.name, 1, aggregates=[values])

    def _grouped(self, query: Query, kind: ObjectType, table: Table) -> Found:
        grouping.check(query)
        asked = [each.path for each in query.select if isinstance(each, Aggregate) and each.path]
        getters: dict[str, Getter] = {}
        for path in (*query.group, *asked):
            each, getters[str(path)] = self._getter(kind, path)
            if path in query.group and each.type in grouping.NOT_GROUPABLE:
                raise _PathError(
                    "INVALID_FIELD", f"field '{each.name}' can not be grouped in a query call", path
                )
        plain = replace(query, group=(), order=(), limit=None, offset=0)
        rows = (table.rows[id] for id in self._ids(plain, kind, table))
        found = grouping.grouped(query, rows, getters, _AGGREGATES)
        return Found(kind.name, len(found), aggregates=found)

    # ------------------------------------------------------------ conditions

    def _test(self, kind: ObjectType, condition: Condition) -> Test:
        if isinstance(condition, And):
            terms = [self._test(kind, each) for each in condition.terms]
            return lambda row: all(term(row) for term in terms)
        if isinstance(condition, Or):
            terms = [self._test(kind, each) for each in condition.terms]
            return lambda row: any(term(row) for term in terms)
        if isinstance(condition, Not):
            inner = self._test(kind, condition.term)
            return lambda row: not inner(row)
        return self._comparison(kind, condition)

    def _comparison(self, kind: ObjectType, condition: Comparison) -> Test:
        each, getter = self._getter(kind, condition.path)
        if not each.filterable:
            message = f"field '{each.name}' can not be filtered in a query call"
            raise _PathError("INVALID_FIELD", message, condition.path)
        fold = _fold(each)
        op = condition.op
        if condition.query is not None:
            chosen = self._semi_join(condition.query)
        else:
            checked = [_value(each, literal, condition) for literal in condition.values]
            chosen = frozenset(fold(value) for value in checked)
        if op in ("=", "in"):
            return lambda row: fold(getter(row)) in chosen
        if op in ("!=", "not in"):
            return lambda row: fold(getter(row)) not in chosen
        (wanted,) = chosen
        if op == "like":
            pattern = _like_pattern(wanted)
            return lambda row: (value := getter(row)) is not None and bool(pattern.fullmatch(fold(value)))
        if each.type == "boolean" or wanted is None:
            raise _PathError(
                "INVALID_FIELD", f"operator '{op}' is not valid on field '{each.name}'", condition.path
            )
        holds = _ORDERINGS[op]
        return lambda row: (value := getter(row)) is not None and holds(fold(value), wanted)

    def _semi_join(self, query: Query) -> frozenset[Json]:
        if len(query.select) != 1 or not isinstance(query.select[0], Path):
            raise SoqlError("MALFORMED_QUERY", "A semi-join selects exactly one field.")
        kind = _find_object(self._world.schema, query.object)
        _, getter = self._getter(kind, query.select[0])
        table = self._world.tables[kind.name]
        return frozenset(getter(table.rows[id]) for id in self._ids(query, kind, table)) - {None}

    def _getter(self, kind: ObjectType, path: Path, depth: int = 0) -> tuple[Field, Getter]:
        name = path.parts[depth]
        if depth == len(path.parts) - 1:
            each = kind.find(name)
            if each is None:
                raise _PathError("INVALID_FIELD", _no_column(name, kind.name), path)
            if (
                each.follows
            ):  # computed anew at each reading, whatever the user may see of where it comes from
                return each, _Run(self._world.whole, self._version, True)._getter(kind, Path(each.follows))[1]
            return each, _reader(each)
        link = kind.by_relationship.get(name.lower())
        if link is None or depth >= _ALWAYS_DEEP:
            raise _PathError("INVALID_FIELD", f"Didn't understand relationship '{name}' in field path.", path)
        each, inner = self._getter(_target(self._world.schema, link), path, depth + 1)
        parent = self._parent(link)
        return each, lambda row: None if (above := parent(row)) is None else inner(above)

    def _parent(self, link: Field) -> Callable[[Row], Row | None]:
        world = self._world

        def parent(row: Row) -> Row | None:
            found = world.find(row.get(link.name))
            if found is None:
                return None
            object, above = found
            return {**above, "Type": object} if len(link.refers) > 1 else above

        return parent

    # ------------------------------------------------------------ the answer

    def shape(self, kind: ObjectType, select: Sequence[Any], limit: int | None = None) -> Shape:
        shape = Shape(kind)
        seen: set[str] = set()
        grouped: dict[str, list[Path]] = {}
        for item in select:
            if isinstance(item, FieldsOf):
                if item.kind != "STANDARD" and (limit is None or limit > 200):
                    raise SoqlError(
                        "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"
                    )
                for each in kind.fields.values():
                    if item.kind == "ALL" or each.custom == (item.kind == "CUSTOM"):
                        self._leaf(shape, each, seen, self._getter(kind, Path((each.name,)))[1])
            elif isinstance(item, Query):
                shape.looked_up.append(self._children(kind, item))
            elif len(item.parts) == 1:
                each, getter = self._getter(kind, item)
                self._leaf(shape, each, seen, getter)
            else:
                self._getter(kind, item)  # so that a wrong path is reported with its place in the text
                key = item.parts[0].lower()
                if key not in grouped:
                    link = kind.by_relationship[key]
                    grouped[key] = []
                    shape.looked_up.append((link.relationship or "", self._nested(link, grouped[key])))
                grouped[key].append(Path(item.parts[1:], item.column))
        return shape

    def _leaf(self, shape: Shape, each: Field, seen: set[str], getter: Getter) -> None:
        if each.name in seen:
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {each.name}")
        seen.add(each.name)
        if each.parts or each.follows:
            shape.looked_up.append((each.name, getter))
        else:
            shape.plain.append((each.name, each.default))

    def _nested(self, link: Field, paths: list[Path]) -> Getter:
        parent = self._parent(link)
        version = self._version
        built: list[Shape] = []

        def nested(row: Row) -> Json:
            if not built:  # all paths of this parent are known by the time the first row is shaped
                built.append(self.shape(_target(self._world.schema, link), paths))
            above = parent(row)
            return None if above is None else _shaped(built[0], above, version)

        return nested

    def _children(self, kind: ObjectType, query: Query) -> tuple[str, Getter]:
        known = {name.lower(): name for name in kind.children}
        name = known.get(query.object.lower())
        if name is None:
            message = f"Didn't understand relationship '{query.object}' in FROM part of query call."
            raise SoqlError("INVALID_TYPE", message)
        child, key = kind.children[name]
        inner = self._world.schema[child]
        table = self._world.tables[child]
        shape = self.shape(inner, query.select)
        test = self._visible(self._test(inner, query.where) if query.where else None)
        orders = [(order, *self._getter(inner, order.path)) for order in query.order]

        def children(row: Row) -> Json:
            ids = [id for id in table.children(key).get(row["Id"], ()) if test(table.rows[id])]
            for order, each, getter in reversed(orders):
                _sort(ids, table.rows, order, each, getter)
            ids = ids[: query.limit]
            if not ids:
                return None
            records = [_shaped(shape, table.rows[id], self._version) for id in ids]
            return {"totalSize": len(records), "done": True, "records": records}

        return name, children


# ------------------------------------------------------------ finding rows


def _candidates(query: Query, table: Table) -> tuple[Iterable[str], bool]:
    """Ids to test, and whether they come in the order asked for."""
    order = [(each.path.parts, each.descending) for each in query.order]
    by_stamp = [((table.stamp_field,), False), (("Id",), False)]
    chosen = _id_set(query.where)
    if chosen is not None:
        return sorted(id for id in chosen if id in table.rows), order in ([], by_stamp[1:])
    low, high = _interval(query.where, "Id")
    old, new = _interval(query.where, table.stamp_field)
    if order and order == by_stamp[: len(order)]:
        return table.by_stamp(old, new), True
    ids = table.by_id(low, high)
    if order in ([], by_stamp[1:]) and old is new is None:
        return ids, True
    if table.count_by_stamp(old, new) < len(ids):
        found = table.by_stamp(old, new)
        return (found, True) if not order else (sorted(found), order == by_stamp[1:])
    return ids, order in ([], by_stamp[1:])


def _interval(condition: Condition | None, name: str) -> tuple[str | None, str | None]:
    """Bounds (both included, None = open) outside which no row can satisfy the condition."""
    if isinstance(condition, And):
        bounds = [_interval(each, name) for each in condition.terms]
        lows = [low for low, _ in bounds if low is not None]
        highs = [high for _, high in bounds if high is not None]
        return max(lows, default=None), min(highs, default=None)
    if isinstance(condition, Or):
        bounds = [_interval(each, name) for each in condition.terms]
        low = None if any(low is None for low, _ in bounds) else min(str(low) for low, _ in bounds)
        high = None if any(high is None for _, high in bounds) else max(str(high) for _, high in bounds)
        return low, high
    if isinstance(condition, Comparison) and len(condition.values) == 1 and _is(condition.path, name):
        value = condition.values[0].value
        if name == "Id" and isinstance(value, str):
            value = full_id(value)
        if isinstance(value, str):
            if condition.op == "=":
                return value, value
            if condition.op in (">", ">="):
                return value, None
            if condition.op in ("<", "<="):
                return None, value
    return None, None


def _id_set(condition: Condition | None) -> frozenset[str] | None:
    """The ids to which the condition confines itself, where it names them."""
    if isinstance(condition, And):
        for each in condition.terms:
            found = _id_set(each)
            if found is not None:
                return found
    if (
        not isinstance(condition, Comparison)
        or condition.op not in ("=", "in")
        or condition.query is not None
    ):
        return None
    if not _is(condition.path, "Id"):
        return None
    return frozenset(full_id(str(literal.value)) or "" for literal in condition.values)


def _is(path: Path, name: str) -> bool:
    return len(path.parts) == 1 and path.parts[0].lower() == name.lower()


def _sort(ids: list[str], rows: Mapping[str, Row], order: Order, each: Field, getter: Getter) -> None:
    fold = _fold(each)
    nulls = order.nulls_last != order.descending  # where nulls stand before a descending sort is turned round

    def key(id: str) -> tuple[bool, Json]:
        value = getter(rows[id])
        return (nulls, "") if value is None else (not nulls, fold(value))

    ids.sort(key=key, reverse=order.descending)


# ------------------------------------------------------------ values and types


def _value(each: Field, literal: Literal, condition: Comparison) -> Json:
    """The literal as the field's type stores it. Raises SoqlError as the server does for a wrong type."""
    path = condition.path
    if literal.kind == "null":
        return None
    if condition.op == "like" and each.type not in _TEXT:
        raise _PathError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {each.type} field", path)
    if each.type in _IDS:
        if literal.kind != "string":
            raise _wrong_type(each, "ID", True, path)
        id = full_id(literal.value)
        if id is None:
            raise _PathError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.value}", path)
        return id
    if each.type in _TEXT:
        if literal.kind != "string":
            raise _wrong_type(each, "string", True, path)
        return literal.value
    if each.type in _NUMBERS:
        if literal.kind != "number":
            raise _wrong_type(each, each.type, False, path)
        return literal.value
    expected = {"datetime": "dateTime"}.get(each.type, each.type)
    if literal.kind != each.type:
        raise _wrong_type(each, expected, False, path)
    return literal.value


def _wrong_type(each: Field, expected: str, quoted: bool, path: Path) -> _PathError:
    quotes = "should be enclosed in quotes" if quoted else "should not be enclosed in quotes"
    message = f"value of filter criterion for field '{each.name}' must be of type {expected} and {quotes}"
    return _PathError("INVALID_FIELD", message, path)


def _fold(each: Field) -> Callable[[Json], Json]:
    if each.type in _TEXT:
        return lambda value: value.lower() if value is not None else None
    return lambda value: value


def _like_pattern(text: str) -> re.Pattern[str]:
    out = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            out.append(re.escape(text[at]))
        else:
            out.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
        at += 1
    return re.compile("".join(out), re.DOTALL)


def _reader(each: Field) -> Getter:
    if each.parts:
        return lambda row: _compound(each, row)
    name, default = each.name, each.default
    return lambda row: row.get(name, default)


def _compound(each: Field, row: Row) -> Json:
    values = {part: row.get(name) for part, name in each.parts}
    if all(value is None for value in values.values()):
        return None
    return {**values, "geocodeAccuracy": None, "latitude": None, "longitude": None}


def _shaped(shape: Shape, row: Row, version: str) -> dict[str, Json]:
    object = row.get("Type") if shape.kind is NAME_OBJECT else shape.kind.name
    url = f"/services/data/v{version}/sobjects/{object}/{row['Id']}"
    out: dict[str, Json] = {"attributes": {"type": shape.kind.name, "url": url}}
    held = row.get
    for name, default in shape.plain:
        out[name] = held(name, default)
    for key, getter in shape.looked_up:
        out[key] = getter(row)
    return out


def _target(schema: Schema, link: Field) -> ObjectType:
    return NAME_OBJECT if len(link.refers) > 1 else schema[link.refers[0]]


def _find_object(schema: Schema, name: str) -> ObjectType:
    for kind in schema.values():
        if kind.name.lower() == name.lower():
            return kind
    raise SoqlError(
        "INVALID_TYPE",
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to "
        "append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
        "appropriate names.",
    )


def _no_column(name: str, object: str) -> str:
    return (
        f"No such column '{name}' on entity '{object}'. If you are attempting to use a custom field, be sure "
        "to append the '__c' after the custom field name. Please reference your WSDL or the describe call for "
        "the appropriate names."
    )


_ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_AGGREGATES: Mapping[str, Callable[[list[Any]], Json]] = {
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len(set(values)),
    "MIN": lambda values: min(values, default=None),
    "MAX": lambda values: max(values, default=None),
    "SUM": lambda values: float(sum(values)) if values else None,
    "AVG": lambda values: sum(values) / len(values) if values else None,
}
