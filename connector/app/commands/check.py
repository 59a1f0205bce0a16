"""`connector check`: everything that is wrong or will be, at once, each with the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connector.app import exits
from connector.app.checking import CrmReport, Report, examine, settings_anyway, sorted_findings
from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.app.leases import held
from connector.app.log import configure
from connector.app.output import out, print_json, when
from connector.app.running import run
from connector.app.settings import Settings, load_settings, variables_of
from connector.app.wiring import SystemClock, chosen, connect, holder, token_store, unconnected
from connector.core.mapping import CrmMapping, wanted_fields
from connector.core.model import Ref
from connector.core.names import nearest
from connector.errors import FixConfig
from connector.ledger import open_ledger
from connector.ports import Access, Finding, Plugin, ProbeAnswer


def check(
    crms: list[str],
    *,
    deep: bool,
    record: str | None,
    access: bool,
    mappings: Path | None,
    json: bool,
) -> int:
    """Exit 2 when there are problems, 0 with warnings and notes only."""
    if deep != (record is not None):
        raise FixConfig(
            "A deep check writes to one record, and that record is yours to choose.",
            next_step="Make a test record in the CRM, then `connector check CRM --deep --record ID`.",
        )
    common: list[Finding] = []
    settings = settings_anyway(common)
    configure(settings)
    folder = mappings or settings.mappings_dir
    asked = chosen(crms)
    if access:
        return _access(asked, folder, json=json)
    answers: Sequence[ProbeAnswer] = ()
    if deep and record is not None:
        if len(asked) != 1:
            raise FixConfig(
                "A deep check looks at one CRM.", next_step="Name it: `connector check CRM --deep ...`."
            )
        answers = run(_probe(asked[0], settings, folder, record))
    report = run(examine(asked, settings, folder, named=bool(crms)))
    report.common[:0] = common
    if json:
        print_json(_document(report, folder, asked, answers))
    else:
        _tell(report, folder, asked, answers)
    return exits.WRONG_CONFIG if report.count("problem") else exits.OK


# ------------------------------------------------------------------------------------------------------- printing


def _document(
    report: Report, folder: Path, asked: Sequence[Plugin], answers: Sequence[ProbeAnswer]
) -> dict[str, Any]:
    plugins = {plugin.crm: plugin for plugin in asked}
    return {
        "folder": str(folder),
        "problems": report.count("problem"),
        "warnings": report.count("warning"),
        "notes": report.count("note"),
        "findings": [asdict(finding) for finding in sorted_findings(report.common)],
        "crms": {
            crm: {
                "connected": each.connected,
                "account": asdict(each.account) if each.account else None,
                "findings": [asdict(finding) for finding in sorted_findings(each.findings)],
                "switches": _switches(plugins[crm], each),
                "values": [
                    {**asdict(one.value), "kind": one.kind, "counts_as": one.counts_as} for one in each.values
                ],
                "learned": [{**asdict(answer), "at": at} for answer, at in each.learned],
            }
            for crm, each in report.crms.items()
        },
        **({"probed": [asdict(answer) for answer in answers]} if answers else {}),
    }


def _switches(plugin: Plugin, report: CrmReport) -> list[dict[str, Any]]:
    """What is assumed of this account, and whether a probe said so."""
    told = {answer.switch: (answer.value, at) for answer, at in report.learned if answer.switch}
    return [
        {
            "switch": switch.name,
            "what": switch.what,
            "value": told[switch.name][0] if switch.name in told else switch.default,
            "learned_at": told[switch.name][1] if switch.name in told else None,
        }
        for switch in plugin.switches
    ]


def _tell(report: Report, folder: Path, asked: Sequence[Plugin], answers: Sequence[ProbeAnswer]) -> None:
    for answer in answers:
        out.print(f"probed: {answer.probe}: {answer.what}", markup=False)
    _lines(f"Settings, files in {folder} and ledger", report.common)
    plugins = {plugin.crm: plugin for plugin in asked}
    for crm, each in report.crms.items():
        name = f" ({each.account.name or each.account.id})" if each.account else ""
        _lines(f"{each.title}{name}", each.findings)
        for one in each.values:
            value = one.value
            kind = f" ({value.record_type})" if value.record_type else ""
            name = "(other)" if value.value is None else value.value
            out.print(
                f"  in use   {value.object}.{value.field}{kind} {name}: {value.records:,} -> {one.counts_as}",
                markup=False,
            )
        for switch in _switches(plugins[crm], each) if each.connected else ():
            learned = (
                f"learned {when(switch['learned_at'])} UTC" if switch["learned_at"] else "not probed yet"
            )
            out.print(f"  assumed  {switch['switch']} = {switch['value']} ({learned})", markup=False)


def _lines(title: str, findings: Sequence[Finding]) -> None:
    said = ", ".join(
        f"{count} {level}{'' if count == 1 else 's'}"
        for level in ("problem", "warning", "note")
        if (count := sum(finding.level == level for finding in findings))
    )
    out.print(f"{title}: {said or 'all well'}", markup=False)
    for finding in sorted_findings(findings):
        out.print(f"  {finding.level:<8} {finding.where}: {finding.what}", markup=False)
        if finding.next_step:
            out.print(f"           -> {finding.next_step}", markup=False)


# --------------------------------------------------------------------------------------------------------- access


def _access(asked: Sequence[Plugin], folder: Path, *, json: bool) -> int:
    """The request for a security team: by feature what is read and written, and what stops without. No call is sent."""
    requests = {plugin: _requested(plugin, folder) for plugin in asked}
    if json:
        print_json(
            {
                "crms": {
                    plugin.crm: {
                        "title": plugin.title,
                        "rights": sorted({right for each in access for right in each.rights}),
                        "features": [asdict(each) for each in access],
                    }
                    for plugin, access in requests.items()
                }
            }
        )
        return exits.OK
    for plugin, access in requests.items():
        out.print(f"Access to {plugin.title} for the MQL connector\n", markup=False)
        for each in access:
            out.print(f"  {each.feature}", markup=False)
            _list("needs", each.rights)
            _list("reads", each.reads)
            _list("writes", each.writes)
            if each.without:
                _list("without it", (each.without,))
        out.print("", markup=False)
    return exits.OK


def _list(title: str, items: Sequence[str]) -> None:
    if items:
        out.print(f"    {title:<11} {', '.join(items)}", markup=False)


def _requested(plugin: Plugin, folder: Path) -> Sequence[Access]:
    return plugin.access(mapping_of(plugin, folder, or_shipped=True))


def mapping_of(plugin: Plugin, folder: Path, *, or_shipped: bool = False) -> CrmMapping:
    """The mapping file of a CRM, or the one that comes with the product. Raises FixConfig."""
    path = folder / f"{plugin.crm}.yaml"
    if not path.is_file() and or_shipped:
        path = shipped() / path.name
    if not path.is_file():
        raise FixConfig(
            f"There is no {path.name} in {folder}.", next_step="`connector init` writes a starter."
        )
    return load_mapping(path)


# ----------------------------------------------------------------------------------------------------------- deep


async def _probe(plugin: Plugin, settings: Settings, folder: Path, record: str) -> Sequence[ProbeAnswer]:
    """Try on this one record what documents leave open; the answers set the switches from now on."""
    mapping = mapping_of(plugin, folder)
    ref = _test_record(plugin.crm, mapping, record)
    variables = variables_of(plugin.variables)
    if not plugin.connected(variables):
        raise unconnected(plugin)
    clock = SystemClock()
    ledger = open_ledger(settings.database_url)
    try:
        adapter = await connect(plugin, variables, clock, ledger, token_store(settings, ledger, clock))
        try:
            account = await adapter.account()
            await ledger.bind(plugin.crm, account.id, clock.now())
            if ref not in await adapter.read([ref], wanted_fields(mapping)):
                raise FixConfig(
                    f"There is no {ref.object} {ref.id} in {plugin.title}.",
                    next_step="Name the id of a test record that exists.",
                )
            # Nothing else writes to this CRM meanwhile: a probe compares what stood there before and after.
            async with held(ledger, f"push:{plugin.crm}", holder(), clock):
                answers = await adapter.probe(ref)
            await ledger.learn(plugin.crm, answers, clock.now())
            return answers
        finally:
            await adapter.close()
    finally:
        await ledger.close()


def _test_record(crm: str, mapping: CrmMapping, text: str) -> Ref:
    """`ID`, `OBJECT:ID` or `crm:OBJECT:ID`."""
    objects = [each.object for each in mapping.of_kind("person")]
    parts = text.strip().removeprefix(f"{crm}:").rsplit(":", 1)
    if len(parts) == 2:
        if parts[0] not in objects:
            raise FixConfig(
                f"`{parts[0]}` is no object of people in {crm}.yaml.",
                next_step=f"Did you mean `{nearest(parts[0], objects) or objects[0]}:{parts[1]}`?",
            )
        return Ref(crm, parts[0], parts[1])
    if len(objects) != 1:
        raise FixConfig(
            f"`{text}` may be the id of several objects.",
            next_step=f"Say which: {' or '.join(f'{name}:{text}' for name in objects)}.",
        )
    return Ref(crm, objects[0], parts[0])


# --------------------------------------------------------------------------------------------------- mapping check


def mapping_check(crms: list[str], *, mappings: Path | None, json: bool) -> int:
    """The files and the live fields alone; `check` says more. Exit 2 when there are problems."""
    settings = load_settings()
    configure(settings)
    folder = mappings or settings.mappings_dir
    report = run(examine(chosen(crms), settings, folder, named=bool(crms), thorough=False))
    if json:
        print_json(
            {
                "folder": str(folder),
                "checked_live": [crm for crm, each in report.crms.items() if each.live],
                "files": [asdict(problem) for problem in report.files],
                "problems": {crm: _said(each.findings, "problem") for crm, each in report.crms.items()},
                "warnings": {crm: _said(each.findings, "warning") for crm, each in report.crms.items()},
            }
        )
    else:
        _lines(f"Files in {folder}", report.common)
        for each in report.crms.values():
            live = "and live fields" if each.connected else "(not connected: the file alone)"
            _lines(f"{each.title} {live}", each.findings)
    return exits.WRONG_CONFIG if report.count("problem") else exits.OK


def _said(findings: Sequence[Finding], level: str) -> list[str]:
    return [f"{finding.where} {finding.what}" for finding in findings if finding.level == level]
