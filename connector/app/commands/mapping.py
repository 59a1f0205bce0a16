"""`connector mapping`: what the files say, and whether the live schema knows every name in them."""

from __future__ import annotations

from pathlib import Path

from connector.app import exits
from connector.app.definition import load_definition, load_mapping
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.running import run
from connector.app.settings import load_settings, variables_of
from connector.app.wiring import SystemClock, chosen, plugins
from connector.core.mapping import CrmMapping, optional_fields, wanted_fields
from connector.core.names import nearest
from connector.errors import ConnectorError, FixConfig
from connector.ports import Adapter, FieldInfo


def mapping_check(crms: list[str], *, mappings: Path | None, json: bool) -> int:
    """All problems of the files, then those against each connected CRM. Exit 2 when there are any."""
    settings = load_settings()
    configure(settings)
    folder = mappings or settings.mappings_dir
    definition = load_definition(folder, plugins())
    found: dict[str, list[str]] = {}
    asked: list[str] = []

    async def go() -> None:
        for plugin in chosen(crms):
            mapping = definition.mappings.get(plugin.crm)
            if mapping is None:
                found[plugin.crm] = [f"there is no {plugin.crm}.yaml in {folder}"] if crms else []
                continue
            found[plugin.crm] = []
            variables = variables_of(plugin.variables)
            if not plugin.connected(variables):
                continue
            adapter = plugin.connect(variables, SystemClock(), None)
            try:
                found[plugin.crm] = await _against(adapter, mapping)
                asked.append(plugin.crm)
            except ConnectorError as error:
                found[plugin.crm] = [str(error)]
            finally:
                await adapter.close()

    run(go())
    problems = sum(len(lines) for lines in found.values())
    if json:
        print_json({"folder": str(folder), "checked_live": asked, "problems": found})
    else:
        for crm, lines in found.items():
            live = "and against the live schema" if crm in asked else "(not connected: the file alone)"
            out.print(f"{crm}: {len(lines) or 'no'} problem{'' if len(lines) == 1 else 's'} {live}")
            for line in lines:
                out.print(f"  {line}")
    return exits.WRONG_CONFIG if problems else exits.OK


async def _against(adapter: Adapter, mapping: CrmMapping) -> list[str]:
    """Every field the mapping reads or writes, held against the live schema."""
    await adapter.account()
    wanted, optional = wanted_fields(mapping), optional_fields(mapping)
    problems: list[str] = []
    for name, target in mapping.objects.items():
        schema = await adapter.schema(name)
        written = {line.to for line in target.write if line.rule != "never"}
        for field in sorted(f for f in wanted.get(name, frozenset()) if "." not in f):
            info = schema.get(field)
            if info is None and field in optional[name]:
                continue
            if info is None:
                problems.append(_missing(name, field, schema, written=field in written))
            elif field in written and not info.writable:
                problems.append(f"{name}.{field} may not be written: grant edit on it, or map another field")
        stage = target.stage
        info = schema.get(stage.source) if stage else None
        if stage and info and info.options:
            problems += [
                f"{name}.{stage.source} has no option `{value}` (our {ours}); "
                f"nearest: {nearest(value, info.options) or '-'}"
                for ours, value in stage.theirs().items()
                if value not in info.options
            ]
    return problems


def _missing(name: str, field: str, schema: dict[str, FieldInfo] | object, *, written: bool) -> str:
    names = list(schema) if isinstance(schema, dict) else []
    hint = nearest(field, names)
    what = (
        "would be written, but is not there or not visible to this user"
        if written
        else "is not there or not visible"
    )
    return f"{name}.{field} {what}" + (f"; nearest: {hint}" if hint else "")


def mapping_show(crm: str, *, mappings: Path | None, json: bool) -> int:
    """What is read from where, and what is written where under which rule."""
    plugin = chosen([crm])[0]
    folder = mappings or load_settings().mappings_dir
    path = folder / f"{plugin.crm}.yaml"
    if not path.is_file():
        raise FixConfig(
            f"There is no {path.name} in {folder}.", next_step="`connector init` writes a starter."
        )
    mapping = load_mapping(path)
    if json:
        print_json(
            {
                "crm": mapping.crm,
                "version": mapping.version,
                "objects": {
                    name: {
                        "kind": each.kind,
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
            }
        )
        return exits.OK
    from rich.table import Table

    for name, each in mapping.objects.items():
        table = Table("ours", "", "theirs", "how", title=f"{plugin.title} {name} ({each.kind})")
        for field in each.fields:
            table.add_row(field.field, "<-", ", ".join(field.sources), field.transform)
        for line in each.write:
            table.add_row(line.result, "->", line.to, line.rule + (", may clear" if line.clear else ""))
        out.print(table)
    for name, stream in mapping.engagement.items():
        out.print(f"{name}: {', '.join(dict.fromkeys(rule.type for rule in stream.types))}")
    return exits.OK
