"""The reference of the metrics names each of them with its labels, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from connector.app.sidecar import Meters

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_every_metric_stands_in_the_reference_with_its_labels_and_none_beside() -> None:
    meters = Meters(CollectorRegistry())
    there = {}
    for each in vars(meters).values():
        if hasattr(each, "describe"):
            total = "_total" if type(each).__name__ == "Counter" else ""
            there[each._name + total] = set(each._labelnames)
    told = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(connector_\w+)` \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    }
    assert told == there
