"""A backfill as JSON, by its latest run."""

from __future__ import annotations

from typing import Any

from connector.backfill import document
from connector.ports import Backfill


def backfill_of_run(backfill: Backfill) -> dict[str, Any]:
    """Where it stands, what somebody wishes of it, and what was estimated."""
    return {"run": backfill.run, "status": backfill.status, "wish": backfill.wish, **document(backfill)}
