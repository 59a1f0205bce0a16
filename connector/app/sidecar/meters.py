"""The sidecar's numbers, as Prometheus reads them. Counts; decides nothing."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from connector.pipeline import RunResult


class Meters:
    """Prometheus metrics of the sidecar."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter("connector_runs_total", "Finished syncs", ["status"], registry=registry)
        self.records = Counter(
            "connector_records_total", "Target records by outcome", ["crm", "outcome"], registry=registry
        )
        self.stopped = Gauge(
            "connector_stopped", "1 while nothing is pushed (connector stop)", ["crm"], registry=registry
        )
        self.overdue = Gauge(
            "connector_definition_review_overdue", "1 after the definition's `review_by`", registry=registry
        )
        self.differs = Gauge(
            "connector_definition_differs",
            "1 while the folder says something else than is in force",
            registry=registry,
        )
        self.last = Gauge(
            "connector_last_sync_timestamp_seconds", "When the last sync ended", registry=registry
        )

    def count(self, result: RunResult, at: datetime) -> None:
        """Add a finished run."""
        self.runs.labels(result.status).inc()
        self.last.set(at.timestamp())
        for crm, counts in result.crms.items():
            for outcome in (
                "written",
                "unchanged",
                "held_back",
                "quarantined",
                "rejected",
                "unknown",
                "set_aside",
                "waiting",
            ):
                self.records.labels(crm, outcome).inc(getattr(counts, outcome))
