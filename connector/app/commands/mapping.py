"""`connector mapping show`: what a mapping file says, as a table."""

from __future__ import annotations

from pathlib import Path

from connector.app import exits
from connector.app.commands.check import mapping_of
from connector.app.mapping_document import mapping_document
from connector.app.output import out, print_json
from connector.app.overriding import WORDS
from connector.app.settings import load_settings
from connector.app.wiring import chosen
from connector.core.mapping import COUNTERS


def mapping_show(crm: str, *, mappings: Path | None, json: bool) -> int:
    """What is read from where, and what is written where under which rule."""
    plugin = chosen([crm])[0]
    mapping = mapping_of(plugin, mappings or load_settings().mappings_dir)
    if json:
        print_json(mapping_document(mapping))
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
