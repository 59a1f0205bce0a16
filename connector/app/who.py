"""Who runs this command, for plans, approvals and the audit trail. Here a name is claimed, not proven."""

from __future__ import annotations

import getpass
import os

SCHEDULE = "schedule"  # asked for by nobody in person


def actor(given: str | None = None) -> str:
    """The name given, else that of the user of this process."""
    if given and given.strip():
        return given.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user need not have a name
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
