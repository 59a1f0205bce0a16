"""Injected faults: which request is hit, how often, and what goes wrong. Decides only; the server acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Which: `method` and `path` are globs (the path may include `?query`), `body` a piece of the request's
    body; the first `skip` matches pass, then `times` are hit (None: all).

    What: `status` with `headers` and `json` or `text` answers in the vendor's place. `delay` waits that many
    seconds first. `drop` closes the connection unhandled; `drop_after` handles the request and closes without
    an answer. `empty` answers 200 with an empty `page` or an empty `body` (True: page), unhandled. `half`
    cuts the answer's body in half. `lose` leaves that many rows out of a page, the first ones, and says nothing: its
    total is lower by as many.
    """

    method: str = "*"
    path: str = "*"
    body: str | None = None
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    text: str | None = None
    delay: float = 0.0
    drop: bool = False
    drop_after: bool = False
    empty: bool | str = False
    half: bool = False
    lose: int = 0


_NAMES = frozenset(item.name for item in fields(Fault))


@dataclass(slots=True)
class _Armed:
    id: int
    fault: Fault
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults of one sandbox. The first armed one that matches is applied. Safe to use from any thread."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._next = 1
        self._lock = Lock()

    def add(self, fault: Fault | None = None, /, **what: Any) -> int:
        """Arm a fault, given whole or by its fields.

        Returns its id. Raises ValueError on an unknown field.
        """
        unknown = sorted(set(what) - _NAMES)
        if unknown:
            raise ValueError(f"A fault has no {', '.join(unknown)}; it has {', '.join(sorted(_NAMES))}.")
        with self._lock:
            armed = _Armed(self._next, fault or Fault(**what))
            self._next += 1
            self._armed.append(armed)
        return armed.id

    def give_back(self, fault_id: int) -> None:
        """This one found nothing to spoil: it was not used."""
        with self._lock:
            for armed in self._armed:
                armed.hits -= armed.id == fault_id

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def take(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Fault] | None:
        """The fault for this request, counted as used, with its id; None when all is well."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if fault.times is not None and armed.hits >= fault.times:
                    continue
                if not _matches(fault, method, path, query, body):
                    continue
                armed.seen += 1
                if armed.seen <= fault.skip:
                    continue
                armed.hits += 1
                return armed.id, fault
        return None

    def state(self) -> list[dict[str, Any]]:
        """Per armed fault its id, where it applies and how often it was hit."""
        with self._lock:
            return [
                {
                    "id": armed.id,
                    "method": armed.fault.method,
                    "path": armed.fault.path,
                    "times": armed.fault.times,
                    "hits": armed.hits,
                }
                for armed in self._armed
            ]


ROWS = ("results", "records")
TOTALS = ("total", "totalSize")


def without_rows(body: bytes, lost: int) -> bytes | None:
    """A page as it is told where its first rows were lost on the way, whatever the vendor calls them; None where it has
    no rows."""
    page = orjson.loads(body)
    name = next((each for each in ROWS if isinstance(page, dict) and page.get(each)), None)
    if name is None:
        return None
    gone = min(lost, len(page[name]))
    page[name] = page[name][gone:]
    return orjson.dumps(page | {total: page[total] - gone for total in TOTALS if total in page})


def _matches(fault: Fault, method: str, path: str, query: str, body: bytes) -> bool:
    if not fnmatchcase(method, fault.method.upper()):
        return False
    if not (fnmatchcase(path, fault.path) or (query and fnmatchcase(f"{path}?{query}", fault.path))):
        return False
    return fault.body is None or fault.body.encode() in body
