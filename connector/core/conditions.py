"""Conditions on fields, as admins write them: reads them, says whether one holds. Knows no rule, no points.

The meaning is written down in docs/reference/criteria.md ("Conditions"); `connector/core/score/plan.py` says
the same for whole tables, and the tests hold the two to each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import TypeGuard

from connector.core.model import Value
from connector.core.names import nearest
from connector.errors import Problem

BLANKS = "\t\n\x0b\x0c\r \u00a0"  # what is trimmed: U+0009 to U+000D, space, no-break space

COMPARING = ("gt", "gte", "lt", "lte", "between")
ON_TEXT = ("contains", "starts_with", "ends_with", "matches")
OPERATORS = (
    "is",
    "is_not",
    "in",
    "not_in",
    "in_list",
    *ON_TEXT,
    *COMPARING,
    "is_set",
    "is_blank",
)
JOINERS = ("all", "any", "not")

Path = tuple[str | int, ...]
Lists = Callable[[str], frozenset[str]]
Get = Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Instant:
    """A date (its midnight) or a time on a rule's side, in UTC microseconds since 1970."""

    us: int


Operand = str | float | Instant
"""What a rule compares with. Text is trimmed and lower-cased, booleans are `true` and `false`."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One test of one field.

    `value` by operator: `in`, `not_in` and `between` hold a tuple of operands, `in_list` a frozenset of texts
    (`listed` is the list's name), `is_set` and `is_blank` None, all others one operand.
    """

    field: str
    op: str
    value: Operand | tuple[Operand, ...] | frozenset[str] | None = None
    listed: str = ""


@dataclass(frozen=True, slots=True)
class All:
    """Holds when each part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Holds when at least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Plain negation of the two-valued result: it also holds where the part fails on a missing value."""

    part: Condition


Condition = Leaf | All | Any | Not
NEVER = Any(())
"""Stands in for a condition that could not be read; only ever seen beside a Problem."""


# ------------------------------------------------------------ how a value of a record reads

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?"
    r"(?:(Z)|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def is_missing(value: object) -> bool:
    """Whether there is nothing: None, NaN, or text that is empty after trimming."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip(BLANKS)
    return isinstance(value, float) and math.isnan(value)


def fold(text: str) -> str:
    """Text as conditions see it: trimmed and lower-cased by Unicode's rules (`str.lower`)."""
    return text.strip(BLANKS).lower()


def text_of(value: object) -> str | None:
    """How a value reads as text; None where it is missing or has no one spelling.

    Whole numbers have no fraction (`3.0` reads `3`); others read as Python writes them, as long as that needs
    no exponent and fewer than eight digits before the point. A time at midnight UTC reads as its date, others
    as `2026-11-22t10:00:00z` (with six digits of a fraction, if any).
    """
    match value:
        case str():
            return fold(value) or None
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if value.is_integer() and abs(value) < 2**63:
                return str(int(value))
            return repr(value) if 1e-3 <= abs(value) < 1e7 else None
        case date():
            when = _utc(value)
            if when.time() == datetime.min.time():
                return when.date().isoformat()
            return when.replace(tzinfo=None).isoformat().lower() + "z"
    return None


def number_of(value: object) -> float | None:
    """A value as number: numbers, and text like `[+-]?\\d+(\\.\\d+)?` in ASCII digits; booleans are not."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if value != value else as_double(value)
    if isinstance(value, str):
        trimmed = value.strip(BLANKS)
        return float(trimmed) if _NUMBER.fullmatch(trimmed) else None
    return None


def instant_of(value: object) -> int | None:
    """How a value reads as an instant, in UTC microseconds since 1970; None where it is none.

    Dates are their midnight, naive times are UTC, text may be ISO: `2026-11-22` or `2026-11-22T10:00+01:00`.
    """
    if isinstance(value, date):
        return (_utc(value) - _EPOCH) // _MICROSECOND
    if isinstance(value, str):
        return _instant_of_text(value.strip(BLANKS))
    return None


def as_double(value: float) -> float:
    """The nearest double; beyond all doubles it is infinite, as in a column of a table."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _utc(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _instant_of_text(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, off_h, off_m = found.groups()
    try:
        wall = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        return None
    offset = (int(off_h or 0) * 60 + int(off_m or 0)) * 60_000_000 * (-1 if sign == "-" else 1)
    return (wall - _EPOCH) // _MICROSECOND + int((fraction or "0")[:6].ljust(6, "0")) - offset


# ------------------------------------------------------------ whether one holds


def holds(condition: Condition, get: Get) -> bool:
    """Whether the condition holds for the fields that `get` tells (None for a field nobody has)."""
    match condition:
        case Leaf():
            return leaf_holds(condition, get(condition.field))
        case All():
            return all(holds(part, get) for part in condition.parts)
        case Any():
            return any(holds(part, get) for part in condition.parts)
        case Not():
            return not holds(condition.part, get)


def compiled(condition: Condition) -> Callable[[Get], bool]:
    """The same as `holds`, as a function that has looked at the condition already: for asking often."""
    match condition:
        case Leaf():
            field, test = condition.field, _compiled_leaf(condition)
            return lambda get: test(get(field))
        case All():
            every = [compiled(part) for part in condition.parts]
            return lambda get: all(test(get) for test in every)
        case Any():
            some = [compiled(part) for part in condition.parts]
            return lambda get: any(test(get) for test in some)
        case Not():
            inner = compiled(condition.part)
            return lambda get: not inner(get)


def _compiled_leaf(leaf: Leaf) -> Callable[[object], bool]:
    texts = [operand for operand in operands(leaf) if isinstance(operand, str)]
    if leaf.op in ("is", "in") and len(texts) == len(operands(leaf)):
        wanted: frozenset[str | None] = frozenset(texts)
        return lambda value: text_of(value) in wanted
    if leaf.op == "contains":
        part = str(leaf.value)
        return lambda value: (text := text_of(value)) is not None and part in text
    return partial(leaf_holds, leaf)


def leaf_holds(leaf: Leaf, value: object) -> bool:
    """Whether one test holds. On a missing value only `is_blank`, `is_not` and `not_in` do."""
    match leaf.op:
        case "is_set":
            return not is_missing(value)
        case "is_blank":
            return is_missing(value)
        case "is":
            return _equals(leaf.value, value)
        case "is_not":
            return not _equals(leaf.value, value)
        case "in":
            return any(_equals(operand, value) for operand in operands(leaf))
        case "not_in":
            return not any(_equals(operand, value) for operand in operands(leaf))
        case "between":
            low, high = operands(leaf)
            return _compares("gte", low, value) and _compares("lte", high, value)
        case "gt" | "gte" | "lt" | "lte":
            return _compares(leaf.op, leaf.value, value)
    text = text_of(value)
    if text is None:
        return False
    if isinstance(leaf.value, frozenset):
        return text in leaf.value
    wanted = str(leaf.value)
    match leaf.op:
        case "contains":
            return wanted in text
        case "starts_with":
            return text.startswith(wanted)
        case "ends_with":
            return text.endswith(wanted)
        case "matches":
            return _pattern(wanted).fullmatch(text) is not None
    raise ValueError(f"No such operator: {leaf.op}")


def operands(leaf: Leaf) -> tuple[Operand, ...]:
    """The operands of a leaf that has several (`in`, `not_in`, `between`), else its one."""
    if isinstance(leaf.value, tuple):
        return leaf.value
    return (leaf.value,) if isinstance(leaf.value, str | float | Instant) else ()


def _equals(operand: object, value: object) -> bool:
    if isinstance(operand, float):
        return number_of(value) == operand
    if isinstance(operand, Instant):
        return instant_of(value) == operand.us
    text = text_of(value)
    return text is not None and text == operand


def _compares(op: str, operand: object, value: object) -> bool:
    have: float | None
    want: float
    if isinstance(operand, Instant):
        have, want = instant_of(value), operand.us
    elif isinstance(operand, float):
        have, want = number_of(value), operand
    else:
        raise ValueError(f"{op} cannot compare with {operand!r}")
    if have is None:
        return False
    match op:
        case "gt":
            return have > want
        case "gte":
            return have >= want
        case "lt":
            return have < want
    return have <= want


def glob_regex(pattern: str) -> str:
    """A `matches` pattern as a regular expression that Python, Rust and Java read alike, without anchors."""
    parts: list[str] = []
    for char in pattern:
        if char == "*":
            if not parts or parts[-1] != ".*":
                parts.append(".*")
        elif char == "?":
            parts.append(".")
        else:
            parts.append("\\" + char if char in r"\.+()[]{}^$|" else char)
    return "(?s)" + "".join(parts)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(glob_regex(pattern))


# ------------------------------------------------------------ which fields it reads


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, in the order written."""
    match condition:
        case Leaf():
            yield condition
        case All() | Any():
            for part in condition.parts:
                yield from leaves_of(part)
        case Not():
            yield from leaves_of(condition.part)


def fields_of(condition: Condition) -> frozenset[str]:
    """The names of the fields that the condition reads."""
    return frozenset(leaf.field for leaf in leaves_of(condition))


# ------------------------------------------------------------ reading the file's form


def parse_condition(
    doc: object,
    path: Path,
    problems: list[Problem],
    *,
    lists: Lists | None = None,
    known_fields: Collection[str] | None = None,
) -> Condition:
    """The condition that `doc` (a part of a loaded YAML document at `path`) means.

    Never raises: everything wrong is appended to `problems`, and what comes back then is only a stand-in.
    `lists` gives the raw entries of a named list, and raises ValueError or OSError when it cannot.
    `known_fields`, where given, are the only fields allowed; one that ends in a dot allows all that begin so.
    """
    if not isinstance(doc, Mapping):
        problems.append(
            Problem(path, "A condition is a map, as in `{field: country, is: DE}` or `{all: [...]}`.")
        )
        return NEVER
    joiners = [key for key in doc if key in JOINERS]
    if not joiners:
        return _parse_leaf(doc, path, problems, lists, known_fields)
    joiner = str(joiners[0])
    if len(doc) > 1:
        others = ", ".join(f"`{key}`" for key in doc if key != joiner)
        problems.append(
            Problem(path, f"`{joiner}` stands alone in its map; put {others} inside it or into an own map.")
        )
        return NEVER
    inner = doc[joiner]
    here = (*path, joiner)
    if joiner == "not":
        return Not(parse_condition(inner, here, problems, lists=lists, known_fields=known_fields))
    if not _is_list(inner) or not inner:
        problems.append(Problem(here, f"`{joiner}` needs a list of at least one condition."))
        return NEVER
    parts = tuple(
        parse_condition(part, (*here, i), problems, lists=lists, known_fields=known_fields)
        for i, part in enumerate(inner)
    )
    return All(parts) if joiner == "all" else Any(parts)


def _parse_leaf(
    doc: Mapping[object, object],
    path: Path,
    problems: list[Problem],
    lists: Lists | None,
    known_fields: Collection[str] | None,
) -> Condition:
    before = len(problems)
    ops = [str(key) for key in doc if key in OPERATORS]
    right = ("field", *OPERATORS, *JOINERS)
    problems.extend(
        Problem((*path, str(key)), f"`{key}` is no operator of a condition.", nearest(key, right))
        for key in doc
        if key not in right
    )
    if "field" not in doc:
        problems.append(Problem(path, "This condition names no `field`."))
    field = doc.get("field")
    if "field" in doc and (not isinstance(field, str) or not field.strip()):
        problems.append(Problem((*path, "field"), "`field` needs the name of a field."))
    elif isinstance(field, str) and known_fields is not None and not _is_known(field, known_fields):
        problems.append(
            Problem((*path, "field"), f"There is no field `{field}` here.", nearest(field, known_fields))
        )
    if not ops and len(problems) == before:
        problems.append(Problem(path, f"This condition needs one operator of: {', '.join(OPERATORS)}."))
    if len(ops) > 1:
        named = ", ".join(f"`{op}`" for op in ops)
        problems.append(Problem(path, f"One condition has one operator, not {named}; join several by `all`."))
    if len(ops) != 1:
        return NEVER
    leaf = _read_operand(str(field), ops[0], doc[ops[0]], (*path, ops[0]), problems, lists)
    return leaf if leaf is not None and len(problems) == before else NEVER


def _read_operand(
    field: str, op: str, raw: object, path: Path, problems: list[Problem], lists: Lists | None
) -> Leaf | None:
    try:
        if op in ("is_set", "is_blank"):
            if not isinstance(raw, bool):
                raise ValueError(f"`{op}` needs true or false.")
            return Leaf(field, op if raw else {"is_set": "is_blank", "is_blank": "is_set"}[op])
        if op == "in_list":
            return _read_list(field, raw, lists)
        if op in ("in", "not_in"):
            if not _is_list(raw) or not raw:
                raise ValueError(f"`{op}` needs a list of values, as in `[a, b]`.")
            return Leaf(field, op, _read_each(raw, path, problems))
        if op == "between":
            return Leaf(field, op, _read_bounds(raw))
        if op in ON_TEXT:
            if isinstance(raw, bool) or not isinstance(raw, str | int | float) or raw != raw:
                raise ValueError(f"`{op}` needs a text; put it in quotes if it is one.")
            return Leaf(field, op, text_of(raw) or "")
        return Leaf(field, op, read_operand(raw) if op in ("is", "is_not") else _read_measure(op, raw))
    except ValueError as wrong:
        problems.append(Problem(path, str(wrong)))
        return None


def read_operand(raw: object) -> Operand:
    """One value on a rule's side. Raises ValueError with a sentence for a Problem."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return fold(raw)
        case int() | float():
            if not math.isfinite(as_double(raw)):
                raise ValueError(f"{raw!r} is no number to compare with.")
            return as_double(raw)
        case date():
            return Instant((_utc(raw) - _EPOCH) // _MICROSECOND)
        case None:
            raise ValueError("A value is missing here; to ask for nothing, say `is_blank: true`.")
    raise ValueError("A single value is needed here: text, number, true, false, date or time.")


def _read_each(raw: Sequence[object], path: Path, problems: list[Problem]) -> tuple[Operand, ...]:
    found: list[Operand] = []
    for i, one in enumerate(raw):
        try:
            found.append(read_operand(one))
        except ValueError as wrong:
            problems.append(Problem((*path, i), str(wrong)))
    return tuple(found)


def _read_measure(op: str, raw: object) -> Operand:
    operand = read_operand(raw)
    if isinstance(operand, str):
        raise ValueError(f"`{op}` needs a number, a date or a time, not {raw!r}.")
    return operand


def _read_bounds(raw: object) -> tuple[Operand, Operand]:
    if not _is_list(raw) or len(raw) != 2:
        raise ValueError("`between` needs the two ends, as in `[10, 50]`; both are included.")
    low, high = (_read_measure("between", end) for end in raw)
    if isinstance(low, Instant) and isinstance(high, Instant):
        ordered = low.us <= high.us
    elif isinstance(low, float) and isinstance(high, float):
        ordered = low <= high
    else:
        raise ValueError("`between` needs two numbers or two dates or times, not one of each.")
    if not ordered:
        raise ValueError("`between` never holds here: its first end lies above the second.")
    return low, high


def _read_list(field: str, raw: object, lists: Lists | None) -> Leaf:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("`in_list` needs the name of a CSV file, as in `lists/competitors.csv`.")
    if lists is None:
        raise ValueError("`in_list` is not possible here: there are no lists beside this file.")
    try:
        entries = lists(raw)
    except OSError as wrong:
        raise ValueError(f"The list {raw} cannot be read: {wrong.strerror or wrong}.") from wrong
    return Leaf(field, "in_list", frozenset(fold(entry) for entry in entries) - {""}, raw)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _is_known(field: str, known: Collection[str]) -> bool:
    if field.endswith("."):
        return False
    return field in known or any(name.endswith(".") and field.startswith(name) for name in known)
