"""What a sandbox was asked and what became of its records.

Keeps no bodies, so no personal data beyond field values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

KEPT = 500_000  # entries per log: a long benchmark must not fill the memory


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    `policy` names the rate window that counted it; `status` 0 means the connection was dropped.
    """

    method: str
    path: str
    query: str
    status: int
    at: datetime
    policy: str = ""
    request_id: str = ""
    fault: int | None = None  # id of the injected fault that was applied


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """One write to one record, even when it changed nothing.

    `by` is `api` or `user`; `fields`: name -> (before, after).
    """

    object: str
    id: str
    fields: Mapping[str, tuple[Any, Any]]
    by: str
    at: datetime

    @property
    def changed(self) -> bool:
        """Whether any value differs now."""
        return any(before != after for before, after in self.fields.values())


class SandboxLog:
    """Both logs of one sandbox, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._writes: deque[RecordWrite] = deque(maxlen=KEPT)

    def add_call(self, call: Call) -> None:
        """Called by the server for every request outside `/_sandbox`."""
        self._calls.append(call)

    def add_write(
        self, object: str, id: str, fields: Mapping[str, tuple[Any, Any]], *, by: str, at: datetime
    ) -> None:
        """Called by a vendor's store for every accepted write of a record."""
        self._writes.append(RecordWrite(object, id, dict(fields), by, at))

    def calls(self, path: str = "") -> list[Call]:
        """All requests whose path contains `path`."""
        return [call for call in list(self._calls) if path in call.path]

    def writes(self, object: str = "", id: str = "", by: str = "") -> list[RecordWrite]:
        """Writes, narrowed by what is given."""
        return [
            write
            for write in list(self._writes)
            if (not object or write.object == object)
            and (not id or write.id == id)
            and (not by or write.by == by)
        ]

    def clear(self) -> None:
        """Forget everything logged so far."""
        self._calls.clear()
        self._writes.clear()
