"""`connector setup`: make the fields that the mapping writes to, or write them as files. Twice is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from connector.app import exits
from connector.app.commands.check import mapping_of
from connector.app.files import write_texts
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.running import run
from connector.app.settings import load_settings, mounted, variables_of
from connector.app.wiring import SystemClock, chosen, unconnected
from connector.core.mapping import CrmMapping
from connector.core.targets import TargetField, reject_reasons, targets_of
from connector.errors import FixConfig
from connector.ports import Plugin, Step

LEFT = ("missing", "by_hand")  # a dry run's, and what only a human can do


def setup(
    crm: str,
    *,
    dry_run: bool,
    as_source: Path | None,
    reject_reason: bool = False,
    mappings: Path | None,
    json: bool,
) -> int:
    """Exit 0: nothing is left to do. 3: steps remain. 2: a field is there with another type; nothing made."""
    settings = load_settings()
    configure(settings)
    plugin = chosen([crm])[0]
    mapping = mapping_of(plugin, mappings or settings.mappings_dir)
    asked = reject_reasons(mapping, plugin.reject_reason) if reject_reason else ()
    targets = (*targets_of(mapping), *asked)
    unread = sorted({f"{each.object}.{each.name}" for each in asked if not _read(mapping, each)})
    if not targets:
        raise FixConfig(
            f"The mapping of {plugin.title} writes to no field.", next_step="There is nothing to set up."
        )
    if as_source is not None:
        return _source(plugin, targets, as_source, json=json)
    steps = run(_steps(plugin, targets, make=not dry_run))
    if json:
        print_json({"crm": plugin.crm, "dry_run": dry_run, "steps": [asdict(step) for step in steps]})
    else:
        _tell(plugin, steps, dry_run)
        for name in unread:
            out.print(
                f"\nNot read yet: name `{name.partition('.')[2]}` as `status.reason` in {plugin.crm}.yaml."
            )
    if any(step.state == "differs" for step in steps):
        return exits.WRONG_CONFIG
    return exits.LOOK if any(step.state in LEFT for step in steps) else exits.OK


def _read(mapping: CrmMapping, target: TargetField) -> bool:
    status = mapping.objects[target.object].status
    return status is not None and status.reason == target.name


async def _steps(plugin: Plugin, targets: Sequence[TargetField], *, make: bool) -> Sequence[Step]:
    """With the administrator's own credential where one is set; it lives as long as this command."""
    run_time = variables_of(plugin.variables)
    own = mounted([variable.name for variable in plugin.admin_variables])
    if not own and not plugin.connected(run_time):
        raise unconnected(plugin)
    admin = plugin.admin({**run_time, **variables_of(plugin.admin_variables)}, SystemClock())
    try:
        return await admin.steps(targets, make=make)
    finally:
        await admin.close()


def _tell(plugin: Plugin, steps: Sequence[Step], dry_run: bool) -> None:
    words = {
        "there": "there",
        "missing": "would be made",
        "made": "made",
        "differs": "DIFFERS",
        "by_hand": "by hand",
    }
    for step in steps:
        if step.state != "by_hand":
            out.print(f"  {words.get(step.state, step.state):<14}{step.what}", markup=False)
            if step.detail:
                out.print(f"                {step.detail}", markup=False)
    by_hand = [step for step in steps if step.state == "by_hand"]
    if by_hand:
        out.print("\nBy hand, since no API can do it:", markup=False)
        for number, step in enumerate(by_hand, 1):
            out.print(f"  {number}. {step.what}\n     {step.detail}", markup=False)
    if any(step.state == "differs" for step in steps):
        out.print(
            f"\nNothing was made in {plugin.title}: fields of these names are there with another type. Rename them"
            " in the mapping, or have them changed; set-up never changes what it finds.",
            markup=False,
        )
    elif dry_run:
        out.print(f"\nNothing was made. `connector setup {plugin.crm}` does it.", markup=False)
    else:
        out.print(f"\nNext: `connector check {plugin.crm}`.", markup=False)


def _source(plugin: Plugin, targets: Sequence[TargetField], folder: Path, *, json: bool) -> int:
    """The same as files for whoever deploys them. No call is sent, and no file of anybody is replaced."""
    files = plugin.as_source(targets)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FixConfig(
            f"{folder} is not empty.", next_step="Name a new or an empty folder; nothing was written."
        )
    write_texts(folder, files)
    if json:
        print_json({"crm": plugin.crm, "folder": str(folder), "files": sorted(files)})
    else:
        for name in sorted(files):
            out.print(f"wrote {folder / name}", markup=False)
    return exits.OK
