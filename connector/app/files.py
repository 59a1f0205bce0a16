"""Opens the YAML and CSV files that admins edit, and knows where in them each value stands. Judges none."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from connector.core.conditions import BLANKS
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.mapping import CrmMapping
from connector.core.mapping_file import parse_mapping
from connector.errors import FixConfig, Problem

LARGEST = 100_000  # values of a file: a few lines of anchors can stand for billions

Place = tuple[int, int]  # line and column, both from 1


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded YAML file: plain values (dict, list, scalars, date, aware datetime) and their places."""

    file: str
    data: Any
    places: Mapping[tuple[str | int, ...], Place]

    def locate(self, path: tuple[str | int, ...]) -> Place:
        """Line and column of the value at `path`; of the nearest thing around it where it does not exist."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return (1, 1)


def load_document(path: Path | str) -> Document:
    """Read one YAML 1.2 file. Raises FixConfig with the place where it is no YAML or repeats a key."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _unreadable(path, "This file does not exist.") from None
    except OSError as error:
        raise _unreadable(path, f"This file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "This file is not UTF-8.") from error
    return read_document(text, str(path))


def read_document(text: str, file: str) -> Document:
    """The same for a text that is already here; `file` is what problems call it."""
    try:
        data, places = _read(text)
    except MarkedYAMLError as error:
        raise _broken(error, file) from error
    except (YAMLError, ValueError, RecursionError) as error:
        what = "it refers to itself" if isinstance(error, RecursionError) else str(error)
        raise FixConfig("This is no YAML.", problems=[Problem((), f"{what}.", file=file)]) from error
    return Document(file, deepcopy(data), places)


@lru_cache(maxsize=8)
def _read(text: str) -> tuple[Any, Mapping[tuple[str | int, ...], Place]]:
    """Kept, since it takes most of the time: of the files of a definition one is edited, the others are as before."""
    places: dict[tuple[str | int, ...], Place] = {(): (1, 1)}
    return _plain(YAML(typ="rt").load(text), (), places), places


@contextmanager
def in_document(document: Document) -> Iterator[None]:
    """Inside, a FixConfig whose problems know only their paths leaves with file, line and column in them."""
    try:
        yield
    except FixConfig as error:
        raise FixConfig(
            error.message,
            next_step=error.next_step,
            where=error.where or document.file,
            problems=[placed(problem, document) for problem in error.problems],
        ) from error


def placed(problem: Problem, document: Document) -> Problem:
    """The problem with file, line and column, unless it names a file already."""
    if problem.file:
        return problem
    line, column = document.locate(problem.path)
    return replace(problem, file=document.file, line=line, column=column)


class Beside:
    """The files that those of a folder name: lists, titles. What was read of them is kept in `texts`, by name.

    A name that leads out of the folder or to no text is a ValueError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        """The file, without a byte order mark."""
        file = (self._folder / name).resolve()
        if not file.is_relative_to(self._folder):
            raise ValueError(f"{name} lies outside of the folder {self._folder.name}.")
        if not file.is_file():
            there = ", ".join(
                sorted(str(one.relative_to(self._folder)) for one in self._folder.glob("**/*.csv"))[:5]
            )
            raise ValueError(f"There is no {name} in {self._folder.name}; there is: {there or 'none'}.")
        try:
            text = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not UTF-8.") from error
        self.texts[posixpath.normpath(name)] = text
        return text

    def entries(self, name: str) -> frozenset[str]:
        """A CSV as a list: the first cell of each row, blank ones left out."""
        try:
            rows = csv.reader(io.StringIO(self.text(name), newline=""))
            return frozenset(row[0] for row in rows if row and row[0].strip(BLANKS))
        except csv.Error as error:
            raise ValueError(f"The list {name} is no CSV: {error}.") from error


def load_criteria(path: Path | str, beside: Beside | None = None) -> Criteria:
    """The criteria in a file, its lists taken from beside it. Raises FixConfig with all problems."""
    path = Path(path)
    document = load_document(path)
    with in_document(document):
        criteria = parse_criteria(document.data, lists=(beside or Beside(path.parent)).entries)
    return replace(criteria, warnings=tuple(placed(warning, document) for warning in criteria.warnings))


def load_mapping(path: Path, beside: Beside | None = None) -> CrmMapping:
    """One mapping file, its lists and titles taken from beside it. Raises FixConfig with all problems."""
    beside = beside or Beside(path.parent)
    document = load_document(path)
    with in_document(document):
        return parse_mapping(document.data, lists=beside.entries, read_text=beside.text)


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files below a folder, by relative name. Raises FixConfig for a name that leads out of it, and where it
    cannot be written.
    """
    for name in texts:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise FixConfig(f"{name} would lie outside of {folder}.", next_step="Nothing was written.")
    try:
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FixConfig(
            f"{folder} cannot be written: {error.strerror}.", next_step="Name a folder you may write to."
        ) from error


def _plain(node: Any, path: tuple[str | int, ...], places: dict[tuple[str | int, ...], Place]) -> Any:
    if len(places) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} values, or refers to itself too often")
    if isinstance(node, CommentedMap):
        for key in node:
            where = node.lc.data.get(key) if node.lc.data else None
            if where is not None:
                places[(*path, _key(key))] = (where[0] + 1, where[1] + 1)
        return {_key(key): _plain(value, (*path, _key(key)), places) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for i in range(len(node)):
            where = node.lc.data.get(i) if node.lc.data else None
            if where is not None:
                places[(*path, i)] = (where[0] + 1, where[1] + 1)
        return [_plain(value, (*path, i), places) for i, value in enumerate(node)]
    return _scalar(node)


def _key(key: Any) -> Any:
    plain = _scalar(key)
    return plain if isinstance(plain, str | int | float | bool) or plain is None else str(plain)


def _scalar(node: Any) -> Any:
    match node:
        case None | bool():
            return node
        case str():
            return str(node)
        case int():
            return int(node)
        case float():
            return float(node)
        case datetime():
            offset = node.utcoffset()
            plain = datetime(
                node.year, node.month, node.day, node.hour, node.minute, node.second, node.microsecond, UTC
            )
            return plain if offset is None else plain - offset
        case date():
            return date(node.year, node.month, node.day)
    raise ValueError(f"{type(node).__name__} is no plain value; take the tag away")


def _unreadable(path: Path, what: str) -> FixConfig:
    return FixConfig(
        what, where=str(path), next_step="Check the path.", problems=[Problem((), what, file=str(path))]
    )


def _broken(error: MarkedYAMLError, file: str) -> FixConfig:
    mark = error.problem_mark or error.context_mark
    what = str(error.problem or error.context or "This is no YAML")
    if isinstance(error, DuplicateKeyError):
        what = what.split(" with value")[0]
    problem = Problem(
        (),
        f"{what[0].upper()}{what[1:]}.",
        file=file,
        line=None if mark is None else mark.line + 1,
        column=None if mark is None else mark.column + 1,
    )
    return FixConfig(
        "This file is no valid YAML.",
        where=file,
        next_step="Correct it; nothing was read or written.",
        problems=[problem],
    )
