"""What a mapping file says, as JSON."""

from __future__ import annotations

from typing import Any

from connector.core.mapping import CrmMapping, OverrideMap


def mapping_document(mapping: CrmMapping) -> dict[str, Any]:
    """What is read from where, and what is written where under which rule."""
    return {
        "crm": mapping.crm,
        "version": mapping.version,
        "objects": {
            name: {
                "kind": each.kind,
                "emails": list(each.emails),
                "stage": each.stage.source if each.stage else None,
                "status": each.status.source if each.status else None,
                "override": _override(each.override),
                "reads": {field.field: list(field.sources) for field in each.fields},
                "writes": [
                    {"result": w.result, "to": w.to, "rule": w.rule, "clear": w.clear} for w in each.write
                ],
            }
            for name, each in mapping.objects.items()
        },
        "engagement": {name: [rule.type for rule in each.types] for name, each in mapping.engagement.items()},
        "calls_per_person": {
            name: {"only_bands": list(each.only_bands), "at_most": each.at_most}
            for name, each in mapping.engagement.items()
            if each.only_bands
        },
    }


def _override(said: OverrideMap | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {
        "from": said.source or None,
        "values": {kind: list(theirs) for kind, theirs in said.values.items()},
        "until": said.until,
        "reason": said.reason,
        "segments": {kind: list(lists) for kind, lists in said.segments.items()},
    }
