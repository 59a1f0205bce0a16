"""Whoever wants to know of each request to a vendor. One watcher a process; nobody, unless told.

It sees who is asked, the method and the path: never a query, a body or a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Told = Callable[[int], None]
"""Called with the status once the vendor has answered; with 0 where the request left and no answer came."""

Watcher = Callable[[str, str, str], AbstractContextManager[Told]]
"""(vendor, method, path) of a request that is about to leave; around the whole exchange."""


@contextmanager
def _nobody(vendor: str, method: str, path: str) -> Iterator[Told]:
    yield lambda status: None


_watcher: Watcher = _nobody


def watch_calls(watcher: Watcher | None) -> None:
    """Tell this one from now on; None: nobody."""
    global _watcher
    _watcher = watcher or _nobody


def watched(vendor: str, method: str, path: str) -> AbstractContextManager[Told]:
    """Around one exchange."""
    return _watcher(vendor, method, path)
