"""What a command says: JSON on stdout, or text for people. Progress and logs go to stderr, never here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console

from connector.ports import Notice

WIDE = 160  # columns of a table that goes into a file or a pipe, where no terminal says how wide it is


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=None if stream.isatty() else WIDE)


out = _console()
err = _console(stderr=True)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document, nothing else on stdout."""
    sys.stdout.write(to_json(document) + "\n")
    sys.stdout.flush()


def to_json(document: object) -> str:
    """Indented JSON; dataclasses as objects, times as ISO 8601 UTC."""
    return orjson.dumps(
        document, default=_default, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    ).decode()


def _default(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset | tuple):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    return str(value)


def when(moment: datetime | None) -> str:
    """A moment for people: to the minute, UTC."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "-"


def notice_in_words(notice: Notice, *, name: bool = True) -> str:
    """What somebody is, or was, told, in a line; `name`: of whom, by the number in the ledger."""
    told = f"told {when(notice.told_at)}" if notice.told_at else "not told yet"
    whom = f"person {notice.person}: " if name and notice.person is not None else ""
    return f"notice for {notice.to} of {when(notice.made_at)} ({told}): {whom}{notice.text}"
