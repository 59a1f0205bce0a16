"""A run as JSON."""

from __future__ import annotations

from connector.ports import RunInfo


def run_document(run: RunInfo) -> dict[str, object]:
    """A run in one line; what it printed when it ended is beside it (`RunInfo.document`)."""
    return {
        "run": run.id,
        "kind": run.kind,
        "status": run.status,
        "crms_asked": list(run.crms),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }
