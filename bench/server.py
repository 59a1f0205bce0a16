"""The sandboxes of a benchmark, in a process of their own and without rate limits: `python -m bench.server PEOPLE`.

Prints the environment as one line of JSON, then serves until stopped.
"""

from __future__ import annotations

import json
import sys

from connector.app.commands.sandbox import started, until_stopped
from connector.app.wiring import chosen

if __name__ == "__main__":
    with started(chosen([]), people=int(sys.argv[1]), seed=3, strict_limits=False) as running:
        print(json.dumps(running.environment()), flush=True)
        until_stopped()
