"""How small things of a mapping document are read, or told as a problem with their place. Knows no key of the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from connector.core.conditions import Condition, Path, fields_of, parse_condition
from connector.core.fields import (
    OurField,
)
from connector.core.names import nearest
from connector.errors import Problem


@dataclass(frozen=True, slots=True)
class Known:
    """What the file, and the words that it adds, may name."""

    fields: Mapping[str, OurField]
    types: Mapping[str, str]
    lists: Callable[[str], frozenset[str]] | None


def a_type(value: object, path: Path, problems: list[Problem], known: Known) -> str:
    """An engagement type that is known; empty beside a problem."""
    if isinstance(value, str) and value not in known.types:
        problems.append(
            Problem(
                path,
                f"`{value}` is no engagement type; declare a new one under `extra_types`.",
                nearest(value, known.types),
            )
        )
        return value
    return a_text(value, path, problems, required=True) or "other"


def a_condition(value: object, path: Path, problems: list[Problem], known: Known) -> Condition | None:
    """A condition on the vendor's own fields; None beside a problem."""
    if value is None:
        return None
    return parse_condition(value, path, problems, lists=known.lists)


def of_ours(value: object, path: Path, problems: list[Problem], known: Known) -> Condition | None:
    """A condition on fields of ours alone: it is asked again after the record was read, of the person too."""
    condition = a_condition(value, path, problems, known)
    problems.extend(
        Problem(
            path,
            f"`{name}` is no field of ours; map theirs to one under `fields` (`extra_fields` declares it).",
            nearest(name, known.fields),
        )
        for name in sorted(fields_of(condition) if condition is not None else ())
        if name not in known.fields
    )
    return condition


def known_keys(body: Mapping[Any, Any], keys: Collection[str], path: Path, problems: list[Problem]) -> None:
    """Every other key is a problem, with the nearest right one."""
    problems.extend(
        Problem((*path, str(key)), f"`{key}` is no key here.", nearest(key, keys))
        for key in body
        if key not in keys
    )


def a_choice(
    value: object, choices: Collection[str], what: str, path: Path, problems: list[Problem]
) -> str | None:
    """One of these words; None beside a problem."""
    if value is None:
        problems.append(Problem(path, f"needs a {what}: {', '.join(choices)}."))
        return None
    if isinstance(value, str) and value in choices:
        return value
    hint = nearest(value, choices) if isinstance(value, str) else None
    problems.append(Problem(path, f"`{value}` is no {what}; there are {', '.join(choices)}.", hint))
    return None


def a_text(value: object, path: Path, problems: list[Problem], *, required: bool = False) -> str | None:
    """A text; None where it is absent or no text."""
    if value is None:
        if required:
            problems.append(Problem(path, "is missing."))
        return None
    if not isinstance(value, str) or not value.strip():
        problems.append(Problem(path, f"needs a text, not {_kind_of(value)}."))
        return None
    return value.strip()


def texts(value: object, path: Path, problems: list[Problem], *, required: bool = False) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        value = [value]
    found: list[str] = []
    for position, entry in enumerate(entries(value, path, problems)):
        text = a_text(entry, (*path, position), problems, required=True)
        if text is not None:
            found.append(text)
    if required and value is None:
        problems.append(Problem(path, "is missing."))
    elif required and not found and is_list(value) and not value:
        problems.append(Problem(path, "is an empty list."))
    return tuple(found)


def entries(value: object, path: Path, problems: list[Problem]) -> Sequence[Any]:
    """One entry or a list of them."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Mapping):
        return (value,)
    problems.append(Problem(path, f"needs a list, not {_kind_of(value)}."))
    return ()


def items(
    value: object, path: Path, problems: list[Problem], *, required: bool = False
) -> Iterator[tuple[str, Any]]:
    """A map, item by item."""
    if value is None:
        if required:
            problems.append(Problem(path, "is missing."))
        return
    if not is_map(value, path, problems):
        return
    for key, body in value.items():
        if isinstance(key, str):
            yield key, body
        else:
            problems.append(Problem((*path, str(key)), f"the key `{key}` needs quotes: it is not a text."))


def a_whole(value: object, path: Path, problems: list[Problem], *, low: int) -> int | None:
    """A whole number of at least `low`; None beside a problem."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        problems.append(Problem(path, f"needs a whole number from {low}, not {_kind_of(value)}."))
        return None
    return int(value)


def a_flag(value: object, path: Path, problems: list[Problem]) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        problems.append(Problem(path, f"needs true or false, not {_kind_of(value)}."))
        return False
    return value


def is_list(value: object) -> bool:
    """Whether it is a list."""
    return isinstance(value, list | tuple)


def is_map(
    value: object, path: Path, problems: list[Problem], *, what: str = "a map"
) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is a map; else a problem."""
    if isinstance(value, Mapping):
        return True
    problems.append(Problem(path, f"needs {what}, not {_kind_of(value)}."))
    return False


def _kind_of(value: object) -> str:
    if value is None:
        return "a blank"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "a blank text" if not value.strip() else "a text"
    return "a list" if is_list(value) else "a map" if isinstance(value, Mapping) else "a date"
