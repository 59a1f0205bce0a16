"""How long work shows that it goes on: a bar on a terminal, a plain line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from connector.pipeline import Watching

EVERY = 10.0  # seconds between two plain lines


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
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn(),
        console=console, transient=True,
    ) as bars:  # fmt: skip
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
    last = [time.monotonic()]

    def say(text: str) -> None:
        if time.monotonic() - last[0] >= EVERY:
            last[0] = time.monotonic()
            sys.stderr.write(text + "\n")

    return Watching(
        gathered=lambda crm, stream, rows: say(f"{crm}: {rows:,} rows of {stream} read"),
        decided=lambda people: say(f"{people:,} people decided"),
        pushed=lambda crm, rows: say(f"{crm}: {rows:,} records written"),
    )
