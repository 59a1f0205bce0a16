"""How long work shows that it goes on: a bar on a terminal, a plain line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connector.backfill import share_done
from connector.pipeline import Watching
from connector.ports import Backfill, BackfillStream

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY = 10.0  # seconds between two plain lines

_bars_up: list[Progress] = []


@contextmanager
def out_of_the_way() -> Iterator[None]:
    """No bar while somebody is asked: it would hold the question back until its line ends, and draw over it."""
    for bars in _bars_up:
        bars.stop()
    try:
        yield
    finally:
        for bars in _bars_up:
            bars.start()


@contextmanager
def _up(bars: Progress) -> Iterator[Progress]:
    with bars:
        _bars_up.append(bars)
        try:
            yield bars
        finally:
            _bars_up.remove(bars)


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watching]:
    """Callbacks for a run. Quiet: none."""
    if quiet:
        yield Watching()
    elif sys.stderr.isatty():
        with _bars() as told:
            yield told
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Watching]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    with _up(Progress(*columns, console=console, transient=True)) as bars:
        tasks: dict[str, object] = {}

        def set_to(name: str, done: int) -> None:
            task = tasks.get(name)
            if task is None:
                task = tasks[name] = bars.add_task(name, total=None)
            bars.update(task, completed=done)  # type: ignore[arg-type]

        yield Watching(
            gathered=lambda crm, stream, rows: set_to(f"{crm}: reading {stream}", rows),
            decided=lambda people: set_to("deciding", people),
            pushed=lambda crm, rows: set_to(f"{crm}: writing", rows),
        )


def _lines() -> Watching:
    return said_to(_now_and_then(at_once=False))


def said_to(say: Callable[[str], None]) -> Watching:
    """How a run gets on, in plain lines."""
    return Watching(
        gathered=lambda crm, stream, rows: say(f"{crm}: {rows:,} rows of {stream} read"),
        decided=lambda people: say(f"{people:,} people decided"),
        pushed=lambda crm, rows: say(f"{crm}: {rows:,} records written"),
    )


def _now_and_then(*, at_once: bool) -> Callable[[str], None]:
    last = [0.0 if at_once else time.monotonic()]

    def say(text: str) -> None:
        if time.monotonic() - last[0] >= EVERY:
            last[0] = time.monotonic()
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    return say


# ---------------------------------------------------------------------------------------------------- backfills


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a backfill gets on since `since` (seconds of any clock), when it was at `rows` and `share`."""

    rows: int
    share: float
    since: float

    def line(self, rows: int, share: float, now: float) -> str:
        """How far, how fast, how long still: `1,200 rows (30%), 150 a second, about 19 s left`."""
        passed, told = now - self.since, f"{rows:,} rows ({share:.0%})"
        if passed <= 0 or rows <= self.rows:
            return told
        told += f", {(rows - self.rows) / passed:,.0f} a second"
        if not self.share < share < 1:
            return told
        return f"{told}, about {_span(passed * (1 - share) / (share - self.share))} left"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


@dataclass(frozen=True, slots=True)
class Shown:
    """Told how a backfill gets on, by whoever runs it or follows it."""

    read: Callable[[Sequence[BackfillStream]], None]
    decided: Callable[[int], None]
    pushed: Callable[[str, int], None]

    def watching(self, begun: Sequence[BackfillStream]) -> Watching:
        """The callbacks of a run that goes on from here. Streams are read in order: when one comes, those before it
        are done."""

        def gathered(crm: str, stream: str, rows: int) -> None:
            place = next((n for n, each in enumerate(begun) if each.name == stream), len(begun))
            self.read(
                [replace(each, done=True) for each in begun[:place]]
                + [replace(each, rows=each.rows + rows) for each in begun[place : place + 1]]
                + list(begun[place + 1 :])
            )

        return Watching(gathered=gathered, decided=self.decided, pushed=self.pushed)


@contextmanager
def backfilling(backfill: Backfill) -> Iterator[Shown]:
    """A bar with rate and time left on a terminal; elsewhere a line at once and then every ten seconds."""
    estimates, crm = backfill.estimates, backfill.crm
    pace = Pace(backfill.rows, share_done(backfill.streams, estimates), time.monotonic())
    counted = {each.name: each.rows for each in backfill.streams}

    def line(streams: Sequence[BackfillStream]) -> tuple[float, str]:
        counted.update({each.name: max(each.rows, counted.get(each.name, 0)) for each in streams})
        share = share_done(streams, estimates)
        return share, pace.line(sum(counted.values()), share, time.monotonic())

    if sys.stderr.isatty():
        with _bar(crm, pace.share, line) as shown:
            yield shown
        return
    say, say_decided, say_pushed = (_now_and_then(at_once=True) for _ in range(3))
    yield Shown(
        read=lambda streams: say(f"{crm}: {line(streams)[1]}"),
        decided=lambda people: say_decided(f"{people:,} people decided"),
        pushed=lambda name, rows: say_pushed(f"{name}: {rows:,} records written"),
    )


@contextmanager
def _bar(
    crm: str, share: float, line: Callable[[Sequence[BackfillStream]], tuple[float, str]]
) -> Iterator[Shown]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with _up(Progress(*columns, console=Console(stderr=True), transient=True)) as bars:
        reading = bars.add_task(f"{crm}: reading", total=1.0, told="")
        bars.update(reading, completed=share)
        more: dict[str, TaskID] = {}

        def read(streams: Sequence[BackfillStream]) -> None:
            done, told = line(streams)
            bars.update(reading, completed=done, told=told, refresh=True)

        def also(name: str, done: int) -> None:
            if name not in more:
                more[name] = bars.add_task(name, total=None, told="")
            bars.update(more[name], completed=done, told=f"{done:,}")

        yield Shown(
            read=read,
            decided=lambda people: also("deciding", people),
            pushed=lambda name, rows: also(f"{name}: writing", rows),
        )
