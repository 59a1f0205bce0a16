"""What was asked about records, remembered while the values that it is about stand. Pure; one process, no disk."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 100_000  # records; the longest known goes first


@dataclass(slots=True)
class Asked(Generic[T]):
    """Answers by record id. A value that has gone and come back between two reads keeps its older answer.

    Without it every write of ours would have the histories of its records asked for once more.
    """

    _known: dict[str, tuple[Hashable, T]] = field(default_factory=dict)

    def of(self, id_: str, values: Hashable) -> T | None:
        """The answer, if it was given for these very values."""
        stood, answer = self._known.get(id_, (None, None))
        return answer if stood == values else None

    def keep(self, id_: str, values: Hashable, answer: T) -> None:
        """An answer, in place of an earlier one."""
        self._known.pop(id_, None)
        self._known[id_] = (values, answer)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
