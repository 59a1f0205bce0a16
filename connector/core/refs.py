"""Very many records, each once, in some ten bytes each: a run over a million counts every one of them exactly.

Knows no CRM: an id is taken as text, whatever it looks like.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from heapq import merge

from connector.core.model import Ref

_TAIL = 8  # bytes of an id that are kept as one number; what comes before them, many records share
_Family = tuple[str, str, bytes, int]  # CRM, object, the id's beginning, its length


class RefSet:
    """A set of records that only grows. Never a near miss: equal means the same CRM, object and id."""

    __slots__ = ("_families", "_size")

    def __init__(self, refs: Iterable[Ref] = ()) -> None:
        self._families: dict[_Family, _Numbers] = {}
        self._size = 0
        self.update(refs)

    def add(self, ref: Ref) -> bool:
        """Whether it is new."""
        family, number = _split(ref)
        numbers = self._families.get(family)
        if numbers is None:
            numbers = self._families[family] = _Numbers()
        new = numbers.add(number)
        self._size += new
        return new

    def update(self, refs: Iterable[Ref]) -> None:
        """Add each of these."""
        for ref in refs:
            self.add(ref)

    def __contains__(self, ref: Ref) -> bool:
        family, number = _split(ref)
        numbers = self._families.get(family)
        return numbers is not None and number in numbers

    def __len__(self) -> int:
        return self._size

    def beside(self, *others: RefSet, crm: str = "") -> int:
        """How many are in none of the others; of this CRM alone, where one is named."""
        count = 0
        for family, numbers in self._families.items():
            if crm and family[0] != crm:
                continue
            theirs = [found for other in others if (found := other._families.get(family)) is not None]
            count += sum(not any(number in found for found in theirs) for number in numbers)
        return count


class _Numbers:
    """Whole numbers below 2 ** 64, each once: most in order, a few that came out of it apart until they are merged."""

    __slots__ = ("_apart", "_ordered")

    def __init__(self) -> None:
        self._ordered = array("Q")
        self._apart: set[int] | None = None

    def add(self, number: int) -> bool:
        """Whether it is new."""
        ordered = self._ordered
        if not ordered or number > ordered[-1]:
            if self._apart is not None and number in self._apart:
                return False
            ordered.append(number)  # ids mostly come as they were given out
            return True
        if number in self:
            return False
        apart = self._apart = self._apart or set()
        apart.add(number)
        if len(apart) > max(64, len(ordered) // 4):
            self._ordered, self._apart = array("Q", merge(ordered, sorted(apart))), None
        return True

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self._ordered, number)
        if place < len(self._ordered) and self._ordered[place] == number:
            return True
        return self._apart is not None and number in self._apart

    def __iter__(self) -> Iterator[int]:
        yield from self._ordered
        yield from self._apart or ()


def _split(ref: Ref) -> tuple[_Family, int]:
    text = ref.id.encode("utf-8", "surrogatepass")
    return (ref.crm, ref.object, text[:-_TAIL], len(text)), int.from_bytes(text[-_TAIL:])
