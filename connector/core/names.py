"""Finds the nearest right name for a wrong one, for error messages. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(wrong: object, right: Iterable[object]) -> str | None:
    """The right name that looks most like the wrong one, None when nothing comes close. Case is no matter."""
    by_lower = {str(name).lower(): str(name) for name in right}
    found = get_close_matches(str(wrong).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
