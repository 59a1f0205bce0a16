"""Reminds of the review of the definition: one notice a version and state, whoever of the replicas comes first."""

from __future__ import annotations

from datetime import datetime

from connector.core.approval import REVIEW_IT, review, review_in_words
from connector.core.criteria import Criteria
from connector.core.notify import REVIEW, REVOPS
from connector.ledger import SqlLedger
from connector.ports import Notice


async def remind_of_review(
    ledger: SqlLedger, criteria: Criteria, at: datetime, *, run: int | None = None
) -> None:
    """Keep a notice for revops where the review is due within two weeks, and another once it is overdue. `at` in UTC,
    `run`: the one that reminds, if one does. Before the first version there is nothing to be looked at again."""
    state = review(criteria, at.date())
    version = await ledger.version() if state else None
    if version is not None:
        said = review_in_words(criteria, state)
        text = f"{said[:1].upper()}{said[1:]}. {REVIEW_IT}"
        await ledger.keep_notice(Notice(REVIEW, REVOPS, text, at, run=run), f"version {version} {state}")
