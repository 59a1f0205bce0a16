"""A field that is left alone, as JSON."""

from __future__ import annotations

from connector.ports import Hold


def hold_document(hold: Hold) -> dict[str, object]:
    """A hold as JSON."""
    return {
        "record": str(hold.ref), "field": hold.field, "kind": hold.kind, "value": hold.value, "other": hold.other,
        "times": hold.times, "holds": hold.holds, "run": hold.run, "at": hold.at, "why": hold.why,
    }  # fmt: skip
