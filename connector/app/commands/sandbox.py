"""`connector sandbox`: serve the made-up CRMs to anyone's client."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from connector.app.exits import OK
from connector.app.output import print_json
from connector.app.wiring import chosen
from connector.errors import FixConfig
from connector.ports import Plugin
from connector.sandbox.clock import SandboxClock
from connector.sandbox.memory import filling
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, SandboxApp, serve


def started(
    plugins: Sequence[Plugin], *, people: int, seed: int, port: int = 0, tls: bool = False, **options: Any
) -> RunningSandboxes:
    """One sandbox per plugin, all showing the same population."""
    now = datetime.now(UTC)
    clock = SandboxClock(now)
    with filling():
        population = make_population(people, seed, now)
        apps = [cast("SandboxApp", plugin.build_sandbox(population, clock, **options)) for plugin in plugins]
    try:
        return serve(apps, port=port, tls=tls)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise FixConfig(
            f"Port {port} or one after it cannot be used: {why}.", next_step="Choose another with --port."
        ) from error


def sandbox(crms: list[str], *, port: int, people: int, seed: int, tls: bool, json: bool) -> int:
    """Serve until interrupted; say first how to reach it."""
    with started(chosen(crms), people=people, seed=seed, port=port, tls=tls) as running:
        if json:
            print_json(
                {
                    "environment": running.environment(),
                    "urls": {crm: running.url(crm) for crm in running.crms},
                    "control": {crm: f"{running.url(crm)}/_sandbox" for crm in running.crms},
                }
            )
        else:
            for name, value in running.environment().items():
                sys.stdout.write(f"export {name}={value}\n")
            sys.stdout.flush()
        sys.stderr.write("Serving. Control surface under /_sandbox of each URL. Stop with Ctrl-C.\n")
        until_stopped()
    return OK


def until_stopped() -> None:
    """Wait for Ctrl-C or a container's stop."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stop.set())
    while not stop.wait(0.5):
        pass
