"""Reads SOQL text into a tree, refusing what Salesforce refuses. Knows no object and no row.

Grammar after Salesforce's "SOQL and SOSL Reference": SELECT with dotted parents, child sub-queries, FIELDS()
and aggregates, GROUP BY; WHERE with AND, OR, NOT, comparisons, LIKE, IN and semi-joins; ORDER BY, LIMIT, OFFSET. As
there, AND and OR may not be mixed without parentheses. HAVING, TYPEOF and date words are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

MAX_LENGTH = 100_000


class SoqlError(Exception):
    """A query that Salesforce would answer with 400: its `errorCode`, and a message in its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps of a parent: `("Account", "Name")`; `column`: where it starts in the text, from 1."""

    parts: tuple[str, ...]
    column: int = 1

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Literal:
    """`kind`: string, number, boolean, null, date, datetime. Times are in wire form, UTC."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`op`: = != < <= > >= like in `not in`. With `query`, the values are what that query selects."""

    path: Path
    op: str
    values: tuple[Literal, ...] = ()
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    term: Condition


Condition = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """`FIELDS(ALL | STANDARD | CUSTOM)`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`COUNT()` has no path; `MAX(SystemModstamp) newest` has an alias."""

    function: str
    path: Path | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    path: Path
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query. `object` is a relationship name in a child sub-query."""

    select: tuple[Path | FieldsOf | Aggregate | Query, ...]
    object: str
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    group: tuple[Path, ...] = ()


_GRAMMAR = r"""
query: _SELECT item ("," item)* _FROM NAME where? group? order? limit? offset?
?item: path | fields | aggregate | "(" query ")"
fields: _FIELDS "(" NAME ")"
aggregate: AGGREGATE "(" path? ")" NAME?
path: NAME

where: _WHERE condition
?condition: term
    | term (_AND term)+ -> all_of
    | term (_OR term)+ -> any_of
?term: "(" condition ")"
    | _NOT term -> negated
    | comparison
comparison: path OPERATOR literal -> compare
    | path LIKE literal -> compare
    | path _IN list -> within
    | path _NOT _IN list -> without
?list: "(" literal ("," literal)* ")" -> values
    | "(" query ")"

group: _GROUP _BY path ("," path)*
order: _ORDER _BY ordering ("," ordering)*
ordering: path (ASC | DESC)? (_NULLS (FIRST | LAST))?
limit: _LIMIT NUMBER
offset: _OFFSET NUMBER

literal: STRING -> string
    | DATETIME -> datetime
    | DATE -> date
    | NUMBER -> number
    | TRUE -> yes
    | FALSE -> no
    | NULL -> null

_SELECT.5: /SELECT\b/i
_FROM.5: /FROM\b/i
_WHERE.5: /WHERE\b/i
_AND.5: /AND\b/i
_OR.5: /OR\b/i
_NOT.5: /NOT\b/i
_IN.5: /IN\b/i
LIKE.5: /LIKE\b/i
_GROUP.5: /GROUP\b/i
_ORDER.5: /ORDER\b/i
_BY.5: /BY\b/i
ASC.5: /ASC\b/i
DESC.5: /DESC\b/i
_NULLS.5: /NULLS\b/i
FIRST.5: /FIRST\b/i
LAST.5: /LAST\b/i
_LIMIT.5: /LIMIT\b/i
_OFFSET.5: /OFFSET\b/i
_FIELDS.6: /FIELDS(?=\s*\()/i
AGGREGATE.6: /(COUNT_DISTINCT|COUNT|MIN|MAX|SUM|AVG)(?=\s*\()/i
TRUE.5: /TRUE\b/i
FALSE.5: /FALSE\b/i
NULL.5: /NULL\b/i

OPERATOR: "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
NAME.1: /[A-Za-z]\w*(\.[A-Za-z]\w*)*/
STRING: /'(?:[^'\\]|\\.)*'/s
DATETIME.4: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)/i
DATE.3: /\d{4}-\d\d-\d\d/
NUMBER.2: /[+-]?\d+(\.\d+)?/
%ignore /[ \t\r\n]+/
"""

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


def wire_time(moment: datetime) -> str:
    """`2026-05-01T07:25:37.000+0000`, as REST spells an aware time. Rows hold and compare times so."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "+0000"


def unescape(quoted: str, *, like: bool = False) -> str:
    r"""The text of a quoted literal. In LIKE, `\_` and `\%` stay escaped for the pattern.

    Raises SoqlError MALFORMED_QUERY for any backslash pair the reference does not list.
    """
    out: list[str] = []
    text = quoted[1:-1]
    at = 0
    while at < len(text):
        char = text[at]
        if char != "\\":
            out.append(char)
            at += 1
            continue
        after = text[at + 1]
        if after == "u":
            digits = text[at + 2 : at + 6]
            if len(digits) < 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
                raise SoqlError("MALFORMED_QUERY", f"Illegal unicode sequence: \\u{digits}")
            out.append(chr(int(digits, 16)))
            at += 6
            continue
        if after in "_%" and like:
            out.append("\\" + after)
        elif after in _ESCAPES:
            # A backslash that a LIKE pattern is to match stays told apart from one that escapes a wild card.
            out.append("\\\\" if like and after == "\\" else _ESCAPES[after])
        else:
            raise SoqlError("MALFORMED_QUERY", f"Invalid string literal: illegal escape '\\{after}'")
        at += 2
    return "".join(out)


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise SoqlError("MALFORMED_QUERY", f"Invalid datetime: {text}") from None
    if not 1700 <= moment.year <= 4000:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid date: {text}")
    return wire_time(moment)


@v_args(inline=True)
class _Tree(Transformer[Token, Any]):
    def query(self, *parts: Any) -> Query:
        at = next(index for index, part in enumerate(parts) if isinstance(part, Token))
        clauses = dict(parts[at + 1 :])
        return Query(tuple(parts[:at]), str(parts[at]), **clauses)

    def path(self, name: Token) -> Path:
        return Path(tuple(str(name).split(".")), name.column or 1)

    def fields(self, kind: Token) -> FieldsOf:
        if kind.upper() not in ("ALL", "STANDARD", "CUSTOM"):
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{kind}'")
        return FieldsOf(kind.upper())

    def aggregate(self, function: Token, *rest: Any) -> Aggregate:
        path = next((each for each in rest if isinstance(each, Path)), None)
        alias = next((str(each) for each in rest if isinstance(each, Token)), None)
        if path is None and function.upper() != "COUNT":
            raise SoqlError("MALFORMED_QUERY", "unexpected token: ')'")
        return Aggregate(function.upper(), path, alias)

    def where(self, condition: Condition) -> tuple[str, Condition]:
        return "where", condition

    def all_of(self, *terms: Condition) -> And:
        return And(terms)

    def any_of(self, *terms: Condition) -> Or:
        return Or(terms)

    def negated(self, term: Condition) -> Not:
        return Not(term)

    def compare(self, path: Path, op: Token, value: Any) -> Comparison:
        name = "!=" if op == "<>" else op.lower()
        return Comparison(path, name, (_literal(value, like=name == "like"),))

    def within(self, path: Path, found: Any) -> Comparison:
        return _membership(path, "in", found)

    def without(self, path: Path, found: Any) -> Comparison:
        return _membership(path, "not in", found)

    def values(self, *each: Any) -> tuple[Any, ...]:
        return each

    def group(self, *each: Path) -> tuple[str, tuple[Path, ...]]:
        return "group", each

    def order(self, *each: Order) -> tuple[str, tuple[Order, ...]]:
        return "order", each

    def ordering(self, path: Path, *words: Token) -> Order:
        kinds = {word.type for word in words}
        return Order(path, "DESC" in kinds, "LAST" in kinds)

    def limit(self, number: Token) -> tuple[str, int]:
        return "limit", _count(number)

    def offset(self, number: Token) -> tuple[str, int]:
        return "offset", _count(number)

    def string(self, text: Token) -> Token:
        return text  # how it is unescaped depends on the operator beside it

    def datetime(self, text: Token) -> Literal:
        return Literal("datetime", _moment(text))

    def date(self, text: Token) -> Literal:
        _moment(f"{text}T00:00:00Z")
        return Literal("date", str(text))

    def number(self, text: Token) -> Literal:
        return Literal("number", float(text))

    def yes(self, _: Token) -> Literal:
        return Literal("boolean", True)

    def no(self, _: Token) -> Literal:
        return Literal("boolean", False)

    def null(self, _: Token) -> Literal:
        return Literal("null", None)


def _literal(value: Token | Literal, *, like: bool = False) -> Literal:
    return value if isinstance(value, Literal) else Literal("string", unescape(value, like=like))


def _membership(path: Path, op: str, found: Any) -> Comparison:
    if isinstance(found, Query):
        return Comparison(path, op, query=found)
    return Comparison(path, op, tuple(_literal(each) for each in found))


def _count(number: Token) -> int:
    if not number.isdigit():
        raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{number}'")
    return int(number)


_PARSER = Lark(_GRAMMAR, start="query", parser="lalr", transformer=_Tree(), propagate_positions=False)


@lru_cache(maxsize=64)
def parse(text: str) -> Query:
    """The tree of one query. Raises SoqlError in Salesforce's words."""
    if len(text) > MAX_LENGTH:
        raise SoqlError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    try:
        query = _PARSER.parse(text)
    except VisitError as wrong:
        if isinstance(wrong.orig_exc, SoqlError):
            raise wrong.orig_exc from None
        raise
    except UnexpectedInput as wrong:
        raise SoqlError("MALFORMED_QUERY", _where(text, wrong)) from None
    assert isinstance(query, Query)
    return query


def _where(text: str, wrong: UnexpectedInput) -> str:
    token = getattr(wrong, "token", None)
    at = wrong.pos_in_stream if wrong.pos_in_stream is not None else len(text)
    if token is not None and token.type == "$END":
        at, found = len(text), "<EOF>"
    else:
        found = str(token) if token is not None else text[at : at + 1]
    return f"{excerpt(text, at)}\nERROR at Row:1:Column:{at + 1}\nunexpected token: '{found}'"


def excerpt(text: str, at: int) -> str:
    """The neighbourhood of a fault with a caret under it, as Salesforce prints it."""
    start = max(at - 40, 0)
    return f"\n{text[start : at + 40]}\n{' ' * (at - start)}^"
