"""What only people can do in Salesforce's own pages, click by click: no API sets it safely. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from connector.core.targets import TargetField
from connector.ports import Step


def by_hand(targets: Sequence[TargetField], readers: str, *, assigned: bool) -> list[Step]:
    """Who sees the fields, where, and that they follow a Lead that is converted."""
    steps = [
        Step(
            f"{readers} of sales",
            "there" if assigned else "by_hand",
            ""
            if assigned
            else f"Setup > Permission Sets > {readers} > Manage Assignments > Add Assignment: everybody "
            "who should see the results; or a permission set group that they have.",
        )
    ]
    for object_ in dict.fromkeys(target.object for target in targets):
        ours = [target for target in targets if target.object == object_]
        labels = ", ".join(target.label for target in ours)
        score = next((target for target in ours if target.result == "score"), ours[0])
        columns = ", ".join(t.label for t in ours if t.result in ("score", "status", "reason")) or score.label
        steps += [
            Step(
                f"{object_} page: the results on it",
                "by_hand",
                f"Setup > Object Manager > {object_} > Page Layouts > the layout of sales: drag {labels} onto it; "
                "save.",
            ),
            Step(
                f"{object_} list view sorted by {score.label}",
                "by_hand",
                f"{object_}s tab > list view controls (gear) > New, named MQL, seen by all users; fields to display: "
                f"{columns}; click the column {score.label} to sort from high to low.",
            ),
        ]
    steps += [
        Step(
            f"sales may edit {target.object}.{target.name}",
            "by_hand",
            f"Setup > Object Manager > {target.object} > Fields & Relationships > {target.label} > Set Field-Level "
            "Security: editable for the profiles of sales, read-only for the integration user.",
        )
        for target in targets
        if target.sales
    ]
    pairs = _converted(targets)
    if pairs:
        steps.append(
            Step(
                "fields of a Lead follow it when it is converted",
                "by_hand",
                "Setup > Object Manager > Lead > Fields & Relationships > Map Lead Fields > Contact tab: map each of "
                f"{', '.join(pairs)} to the field of the same name; save. (Without it the connector writes them to the "
                "Contact at its next run.)",
            )
        )
    return steps


def _converted(targets: Sequence[TargetField]) -> list[str]:
    """Custom fields that a Lead and a Contact both have."""
    names = {
        object_: [
            target.name for target in targets if target.object == object_ and target.name.endswith("__c")
        ]
        for object_ in ("Lead", "Contact")
    }
    return [name for name in names["Lead"] if name in names["Contact"]]
