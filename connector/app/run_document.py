"""A run as JSON: in one line, and whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from connector.ledger.store_pages import Trouble
from connector.ports import Notice, RunInfo

NOTICES = 10_000  # of a run: a first load may find many whom a guard keeps


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


def whole_run(run: RunInfo, notices: Sequence[Notice], troubles: Sequence[Trouble]) -> dict[str, Any]:
    """A run with what it printed, what somebody is to be told of it, and what went wrong with how many records."""
    return {
        **run_document(run),
        **run.document,
        "errors": [asdict(each) for each in troubles],
        "notices": [asdict(notice) for notice in notices],
    }
