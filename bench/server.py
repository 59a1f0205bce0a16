"""The sandboxes of a benchmark, in a process of their own: what is measured is our code, not theirs.

`python -m bench.server '{"people": 1000}'` prints the environment as one line of JSON and serves until stopped. Used
through `serving`; the control surface under `/_sandbox` of each URL tells what was called.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

WIDE = tuple(f"wide_{number:02}" for number in range(14))
"""Text properties that a wide account's contacts carry beside the usual ones: 60 asked for in all."""


@contextmanager
def serving(**options: Any) -> Iterator[dict[str, str]]:
    """The environment of sandboxes with these options: people, seed, wide, crms, strict_limits, latency."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server", json.dumps(options)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        environment: dict[str, str] = json.loads(process.stdout.readline())
        yield environment
    finally:
        process.terminate()
        process.wait()


def _widen(store: Any) -> None:
    """Fill what an account of some age has filled, and fourteen properties of its own."""
    from adapters.hubspot.sandbox.schema import Property

    table = store.table("contacts")
    for name in WIDE:
        table.properties[name] = Property(name, name, "string", "text", "contactinformation")
    usual = {"mobilephone": "+49 30 1234567", "hs_language": "de", "industry": "COMPUTER_SOFTWARE"}
    for row in list(table.rows.values()):
        values = {name: value for name, value in usual.items() if not row.values.get(name)}
        values |= {name: f"value {place} of contact {row.id}" for place, name in enumerate(WIDE)}
        table.set_quietly(row, values)


def _main(options: Mapping[str, Any]) -> None:
    from connector.app.commands.sandbox import started, until_stopped
    from connector.app.wiring import chosen

    asked = {"people": 1000, "seed": 3, "strict_limits": False, **options}
    wide, crms = asked.pop("wide", False), asked.pop("crms", [])
    with started(chosen(crms), **asked) as running:
        if wide:
            _widen(running["hubspot"].sandbox.store)
        print(json.dumps(running.environment()), flush=True)
        until_stopped()


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
