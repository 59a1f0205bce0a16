"""`connector mapping show`: what a mapping file says, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.app import exits
from connector.app.commands.check import mapping_of
from connector.app.commands.override import WORDS
from connector.app.output import out, print_json
from connector.app.settings import load_settings
from connector.app.wiring import chosen
from connector.core.mapping import COUNTERS, OverrideMap


def mapping_show(crm: str, *, mappings: Path | None, json: bool) -> int:
    """What is read from where, and what is written where under which rule."""
    plugin = chosen([crm])[0]
    mapping = mapping_of(plugin, mappings or load_settings().mappings_dir)
    if json:
        print_json(
            {
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
                            {"result": w.result, "to": w.to, "rule": w.rule, "clear": w.clear}
                            for w in each.write
                        ],
                    }
                    for name, each in mapping.objects.items()
                },
                "engagement": {
                    name: [rule.type for rule in each.types] for name, each in mapping.engagement.items()
                },
                "calls_per_person": {
                    name: {"only_bands": list(each.only_bands), "at_most": each.at_most}
                    for name, each in mapping.engagement.items()
                    if each.only_bands
                },
            }
        )
        return exits.OK
    from rich.table import Table

    for name, each in mapping.objects.items():
        table = Table("ours", "", "theirs", "how", title=f"{plugin.title} {name} ({each.kind})")
        if each.emails:
            table.add_row("email", "<-", ", ".join(each.emails), "every address")
        if each.stage:
            table.add_row("stage", "<-", each.stage.source, "stage.values")
        if each.status:
            table.add_row("sales' answer", "<-", each.status.source, "status")
        if each.override:
            for kind, theirs in each.override.values.items():
                table.add_row(WORDS[kind], "<-", each.override.source, f"override, as {', '.join(theirs)}")
            for kind, lists in each.override.segments.items():
                table.add_row(WORDS[kind], "<-", ", ".join(lists), "override, who is on the list")
            for what in ("until", "reason"):
                if source := getattr(each.override, what):
                    table.add_row(f"override {what}", "<-", source, "override")
        for field in each.fields:
            table.add_row(field.field, "<-", ", ".join(field.sources), field.transform)
        for line in each.write:
            table.add_row(line.result, "->", line.to, line.rule + (", may clear" if line.clear else ""))
        out.print(table)
    for name, stream in mapping.engagement.items():
        if name == COUNTERS:
            continue
        out.print(f"{name}: {', '.join(dict.fromkeys(rule.type for rule in stream.types))}")
        if stream.only_bands:
            bands = ", ".join(map(str, stream.only_bands))
            out.print(
                f"  costs a call or more per person: at most {stream.at_most:,} a sync, people of band {bands}"
            )
    return exits.OK


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
