"""Words for stories about a real process of `connector serve`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import IO


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def serving(
    environment: Mapping[str, str], port: int, errors: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """The sidecar on this port, with this environment alone. Whoever starts it ends it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "connector", "serve"],
        env={**kept, **environment, "CONNECTOR_BIND": f"127.0.0.1:{port}"},
        stderr=errors,
        text=True,
    )
