"""For how long the ledger keeps what grows and is no fact. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)
SHORTEST = DAY  # of a CRM's own values; a fresh record is compared with them
SHORTEST_UNDO = 2 * DAY  # a plan lives for one, and an undo of it for another
SHORTEST_RUN = 7 * DAY  # what is usual is told from the latest runs


@dataclass(frozen=True, slots=True)
class Retention:
    """What the criteria say under `retention`; None: kept for good. Facts, stages and the audit trail always are.

    `run_details`: what a run printed, the rows of its plans, work left to the sidecar, bars, deliveries.
    `raw_payloads`: a CRM's own values of a record as they were read, beside our reading of them. `before_images`: what
    stood in the CRM before a planned write, without which it cannot be taken back. `unknown_visitors`: first-party
    events that are still nobody's.
    """

    run_details: timedelta | None = 400 * DAY
    raw_payloads: timedelta | None = 14 * DAY
    before_images: timedelta | None = 90 * DAY
    unknown_visitors: timedelta | None = 400 * DAY


@dataclass(frozen=True, slots=True)
class Cuts:
    """What is older than these moments goes; None: nothing does."""

    run_details: datetime | None
    raw_payloads: datetime | None
    before_images: datetime | None
    unknown_visitors: datetime | None

    @classmethod
    def of(cls, retention: Retention, at: datetime) -> Cuts:
        """At this moment."""
        spans = (
            retention.run_details, retention.raw_payloads, retention.before_images, retention.unknown_visitors
        )  # fmt: skip
        return cls(*(at - span if span is not None else None for span in spans))
