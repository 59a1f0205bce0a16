"""What every benchmark shares: how it measures, and the row it reports. Knows no vendor and no target."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured ratio. `met` None: told for comparison, no target of its own."""

    target: str
    what: str
    value: str
    wanted: str = ""
    met: bool | None = None


def size(name: str, default: int) -> int:
    """How big a benchmark is: BENCH_<NAME>, else small enough for a laptop."""
    return int(os.environ.get(f"BENCH_{name}", default))


@dataclass(frozen=True)
class Rate:
    """How fast something went: rows a second, and processor seconds of this process."""

    rows: int
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds


def rate(work: Callable[[], int]) -> Rate:
    """Run it once; what it returns is how many rows it did."""
    watch = Watch()
    return watch.rate(work())


class Watch:
    """Started when it is made, so that what had to be prepared is not counted."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, rows: int) -> Rate:
        """So many rows since."""
        return Rate(rows, time.perf_counter() - self._began, time.process_time() - self._cpu)


def interleaved(rounds: int, **works: Callable[[], Rate]) -> dict[str, Rate]:
    """The best of several rounds of each, taken in turn, so that a busy moment of the machine hits all alike."""
    best: dict[str, Rate] = {}
    for _ in range(rounds):
        for name, work in works.items():
            found = work()
            if name not in best or found.per_second > best[name].per_second:
                best[name] = found
    return best
