"""Look at settings, files, ledger and every connected CRM, and gather all that is wrong at once. Prints nothing.

One thing that fails hides no other: each is asked on its own. Writes to no CRM and changes nothing in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from connector.app.definition import CRITERIA, Files, read_files, refuse_red
from connector.app.files import load_document
from connector.app.in_force import in_force
from connector.app.settings import Settings, documented_settings, load_settings, misspelt, variables_of
from connector.app.token_ends import ending
from connector.app.wiring import (
    SystemClock,
    connect,
    has_refresh_token,
    nothing_connected,
    plugins,
    read_version,
    token_store,
    unconnected,
)
from connector.core.approval import REVIEW_IT, review, review_in_words
from connector.core.criteria import Criteria
from connector.core.limits import next_freeze
from connector.core.mapping import COUNTERS, CrmMapping
from connector.core.names import nearest
from connector.errors import ConnectorError, FixConfig, Problem
from connector.insight import in_use
from connector.insight.automations import findings_of, written_fields
from connector.insight.portable import unresolved
from connector.insight.schema import hold_against, left_standing, unfilled
from connector.ledger import SqlLedger, open_ledger
from connector.phases.standstill import told
from connector.ports import Account, Adapter, Allowance, FieldInfo, Finding, Plugin, ProbeAnswer, TokenStore

LEVELS = ("problem", "warning", "note")
SKEW = timedelta(seconds=60)  # watermarks and signed logins are by the clock


@dataclass(slots=True)
class CrmReport:
    """What was found about one CRM."""

    crm: str
    title: str
    connected: bool = False
    live: bool = False  # it answered, and its fields were compared
    account: Account | None = None
    findings: list[Finding] = field(default_factory=list)
    learned: list[tuple[ProbeAnswer, datetime]] = field(default_factory=list)
    values: list[in_use.Counted] = field(default_factory=list)  # statuses, reasons and unknown stages in use


@dataclass(slots=True)
class Report:
    """Everything that was found. `common`: settings, files and ledger."""

    common: list[Finding] = field(default_factory=list)
    crms: dict[str, CrmReport] = field(default_factory=dict)
    files: Sequence[Problem] = ()  # with line and column; each is a finding of `common` too

    def count(self, level: str) -> int:
        """How many findings of a level."""
        every = [*self.common, *(each for crm in self.crms.values() for each in crm.findings)]
        return sum(finding.level == level for finding in every)


def sorted_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Problems first, then in the order found."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def settings_anyway(found: list[Finding]) -> Settings:
    """The settings; what is wrong in them is told, and its default taken, so that the rest is looked at too."""
    try:
        return load_settings()
    except FixConfig as error:
        if not error.problems:
            raise
        found += as_findings(error, "settings")
        wrong = [str(problem.path[0]).removeprefix("CONNECTOR_").lower() for problem in error.problems]
        return load_settings(**{name: Settings.model_fields[name].default for name in wrong})


async def examine(
    asked: Sequence[Plugin],
    settings: Settings,
    folder: Path,
    *,
    named: bool = False,
    thorough: bool = True,
) -> Report:
    """`named`: these CRMs were asked for by name, so that a missing credential is a problem. `thorough=False`: the
    files and the live fields alone, no ledger and no rights."""
    report = Report()
    if thorough:
        report.common += _misspelt()
    files = read_files(folder, plugins())
    report.files = files.problems
    report.common += [
        _of_problem(problem, "files", "Correct the file; the last good version stays in force.")
        for problem in files.problems
    ]
    if thorough and files.criteria is not None:
        report.common += [*_judged(files), *_review(files.criteria)]
    needed = thorough or settings.secret_key is not None
    async with _opened(settings, report.common, needed) as ledger:
        if thorough and ledger is not None:
            report.common += [
                Finding("warning", crm, f"{told(brake)}", "Nothing is written to it until then.")
                for crm, brake in (await ledger.brakes()).items()
            ]
            report.common += ending(await ledger.tokens(), SystemClock().now())
        if thorough:
            report.common += _freezes(files, settings)
        if thorough and ledger is not None and not files.problems:
            report.common += await _in_force(ledger, files.texts, settings)
            report.common += await _audiences(ledger, files)
        tokens = token_store(settings, ledger, SystemClock()) if ledger is not None else None
        looks = [
            _look(plugin, files.mappings.get(plugin.crm), folder, ledger, tokens, named, thorough)
            for plugin in asked
        ]
        for found in await asyncio.gather(*looks):
            report.crms[found.crm] = found
    if thorough and not named and not any(each.connected for each in report.crms.values()):
        error = nothing_connected()
        report.common.append(Finding("problem", "credentials", error.message, error.next_step))
    return report


def _misspelt() -> list[Finding]:
    known = [setting.name for setting in documented_settings()]
    for plugin in plugins().values():
        known += [each.name for each in (*plugin.variables, *plugin.admin_variables)]
        known.append(f"CONNECTOR_SYNC_INTERVAL_{plugin.crm.upper()}")
    return [
        Finding(
            "warning",
            "settings",
            f"{name} is set, but nobody reads it; nearest: {right}",
            f"Rename it to {right}.",
        )
        for name, right in misspelt(known).items()
    ]


@asynccontextmanager
async def _opened(settings: Settings, found: list[Finding], needed: bool) -> AsyncIterator[SqlLedger | None]:
    """The ledger, or None when it cannot be opened: the CRMs are looked at all the same."""
    ledger = None
    try:
        ledger = open_ledger(settings.database_url) if needed else None
    except ConnectorError as error:
        found += as_findings(error, "ledger")
    try:
        yield ledger
    finally:
        if ledger is not None:
            await ledger.close()


def _judged(files: Files) -> list[Finding]:
    assert files.criteria is not None
    found = [
        _of_problem(each, CRITERIA, "Correct it, unless it is meant so.", "warning")
        for each in files.criteria.warnings
    ]
    if not files.problems:  # else what is filled is not known
        found += unfilled(files.criteria, files.mappings.values())
        found += left_standing(files.criteria, files.mappings.values())
    try:
        refuse_red(files.criteria)
    except FixConfig as error:
        found += as_findings(error, CRITERIA)
    return found


def _freezes(files: Files, settings: Settings) -> list[Finding]:
    """The freeze of each mapping that holds or comes next."""
    today = SystemClock().now().astimezone(ZoneInfo(settings.timezone)).date()
    found = []
    for crm, mapping in files.mappings.items():
        freeze = next_freeze(mapping.freeze, today)
        if freeze is not None:
            now = freeze.since <= today
            said = "holds" if now else "comes next"
            after = "Plans wait until it is over, or for `connector plan apply --during-freeze`."
            found.append(Finding("warning" if now else "note", crm, f"the freeze {freeze} {said}", after))
    return found


async def _in_force(ledger: SqlLedger, texts: Mapping[str, str], settings: Settings) -> list[Finding]:
    """Whether the files differ from the version that the last run decided by."""
    kept = await ledger.files()
    differ = sorted(name for name in {*kept, *texts} if kept.get(name) != texts.get(name))
    if not kept or not differ:
        return []
    what = f"{', '.join(differ)} differ{'s' if len(differ) == 1 else ''} from the version in force"
    ours = read_version(texts, settings)
    if ours is not None:
        found = await in_force(
            lambda: ours, lambda kept: read_version(kept, settings), ledger, SystemClock(),
            owner=settings.config_owner, looks_only=True,
        )  # fmt: skip
        if found.told:
            return [Finding("warning", "files", what, found.told)]
    return [Finding("note", "files", what, "The next sync puts the files in force.")]


async def _audiences(ledger: SqlLedger, files: Files) -> list[Finding]:
    """Limits for audiences that the criteria lack, and audiences that nobody is in."""
    assert files.criteria is not None
    named = [each.id for each in files.criteria.audiences]
    found = []
    for crm, mapping in files.mappings.items():
        for name in mapping.limits.audiences:
            if name not in named:
                hint = nearest(name, named)
                like = f"; nearest: {hint}" if hint else ""
                found.append(
                    Finding(
                        "warning",
                        f"{crm}.yaml",
                        f"`limits.audiences` names `{name}`, an audience that the criteria do not have{like}",
                        "Correct the name; until then this limit holds nobody back.",
                    )
                )
    sizes = await ledger.audience_sizes()
    found += [
        Finding(
            "warning",
            CRITERIA,
            f"nobody is in the audience `{name}` by the last decision; `--audience {name}` finds none",
            "Look at its `when`; an audience that is new is filled by the next sync.",
        )
        for name in named
        if sizes and name not in sizes
    ]
    return found


def _review(criteria: Criteria) -> list[Finding]:
    """Whether the agreement is to be looked at again."""
    state = review(criteria, SystemClock().now().date())
    if not state:
        return []
    return [
        Finding(
            "warning" if state == "overdue" else "note",
            "criteria",
            review_in_words(criteria, state),
            REVIEW_IT,
        )
    ]


async def _look(
    plugin: Plugin,
    mapping: CrmMapping | None,
    folder: Path,
    ledger: SqlLedger | None,
    tokens: TokenStore | None,
    named: bool,
    thorough: bool,
) -> CrmReport:
    report = CrmReport(plugin.crm, plugin.title)
    try:
        variables = variables_of(plugin.variables)
        report.connected = plugin.connected(variables)
        if mapping is None and (named or report.connected):
            report.findings.append(_unmapped(folder / f"{plugin.crm}.yaml"))
        if not report.connected:
            if thorough:
                error = unconnected(plugin)
                report.findings.append(
                    Finding("problem" if named else "note", "credentials", error.message, error.next_step)
                )
            return report
        if mapping is not None:
            report.findings += _names_left(folder / f"{plugin.crm}.yaml")
        adapter = await connect(plugin, variables, SystemClock(), ledger, tokens)
    except ConnectorError as error:
        report.findings += as_findings(error, "credentials")
        return report
    if thorough and tokens is None and has_refresh_token(variables):
        report.findings.append(
            Finding(
                "warning",
                "credentials",
                "a refresh token that the vendor renews cannot be kept",
                "Set CONNECTOR_SECRET_KEY (`openssl rand -base64 32`).",
            )
        )
    try:
        await _ask(adapter, mapping, ledger, report, thorough)
    finally:
        await adapter.close()
    return report


def _unmapped(path: Path) -> Finding:
    if path.is_file():
        return Finding(
            "warning",
            path.name,
            "cannot be read as it stands, so rights, fields and options were not looked at",
            "Correct it, then check again.",
        )
    return Finding(
        "problem", "files", f"there is no {path.name} in {path.parent}", "`connector init` writes a starter."
    )


def _names_left(path: Path) -> list[Finding]:
    """Names that `config import --partial` could not turn into ids: nothing will ever match them."""
    return [
        Finding(
            "problem",
            path.name,
            f"{place} still stands for something that this account lacks",
            "Make it in the account and import again, or take it out.",
        )
        for place in unresolved(load_document(path).data)
    ]


async def _ask(
    adapter: Adapter,
    mapping: CrmMapping | None,
    ledger: SqlLedger | None,
    report: CrmReport,
    thorough: bool,
) -> None:
    """The account first: where that fails, every other answer would be the same error again."""
    before = SystemClock().now()
    try:
        account = report.account = await adapter.account()
    except ConnectorError as error:
        report.findings += as_findings(error, "credentials")
        return
    if thorough:
        report.findings += _clock(account, before, SystemClock().now())
        report.findings += await _binding(ledger, report, account)
    if mapping is None:
        return
    schemas, failed = await live_schemas(adapter, mapping)
    report.findings += failed
    report.findings += hold_against(mapping, schemas)
    report.live = True
    if not thorough:
        return
    report.findings += _streams(adapter, mapping)
    try:
        told = await adapter.inspect(mapping)
        places = {finding.where for finding in told}  # the vendor's own word on the clock is the better one
        report.findings = [each for each in report.findings if each.where != "clock" or "clock" not in places]
        report.findings += told
    except ConnectorError as error:
        report.findings += as_findings(error, "account")
    try:
        report.findings += findings_of(await adapter.automations(written_fields(mapping)))
    except ConnectorError as error:
        report.findings += as_findings(error, "automations")
    await _values(adapter, mapping, report)
    if not any(finding.where == "allowance" for finding in report.findings):
        report.findings += _allowance(adapter.allowance())
    if ledger is not None:
        report.learned = await ledger.learned(adapter.crm)


async def _values(adapter: Adapter, mapping: CrmMapping, report: CrmReport) -> None:
    """What is counted, is counted by the CRM; where it cannot tell, the rest of the check goes on."""
    for asked in in_use.to_ask(mapping):
        try:
            found = await adapter.values_in_use(asked.object, asked.field, besides=asked.besides)
        except ConnectorError as error:
            where = f"{asked.object}.{asked.field}"
            report.findings.append(
                Finding(
                    "warning", where, f"its values could not be counted: {error.message}", error.next_step
                )
            )
            continue
        report.values += in_use.counted(mapping, asked, found)
    report.findings += in_use.findings(report.values)


async def live_schemas(
    adapter: Adapter, mapping: CrmMapping
) -> tuple[dict[str, Mapping[str, FieldInfo]], list[Finding]]:
    """The live fields of every object that the mapping names, and of every stream that has a schema."""
    schemas: dict[str, Mapping[str, FieldInfo]] = {}
    failed: list[Finding] = []
    for name in (*mapping.objects, *mapping.engagement):
        if name == COUNTERS or name in schemas:
            continue
        try:
            if seen := await adapter.schema(name):
                schemas[name] = seen
        except ConnectorError as error:
            # Not every stream is an object with a schema; every object is.
            if name in mapping.objects:
                failed += as_findings(error, name)
    return schemas, failed


def _streams(adapter: Adapter, mapping: CrmMapping) -> list[Finding]:
    known = [stream.name for stream in adapter.streams() if stream.kind == "engagement"]
    return [
        Finding(
            "problem",
            f"engagement.{name}",
            f"there is no such stream; nearest: {nearest(name, known) or ', '.join(known)}",
            "Correct the name in the mapping.",
        )
        for name in mapping.engagement
        if name not in known and name != COUNTERS
    ]


def _clock(account: Account, before: datetime, after: datetime) -> list[Finding]:
    if account.now is None or before - SKEW <= account.now <= after + SKEW:
        return []
    skew = abs((account.now - after).total_seconds())
    return [
        Finding(
            "warning",
            "clock",
            f"this machine and the CRM are {skew:,.0f} s apart",
            "Let the machine keep its time by NTP; logins are signed and watermarks kept by the clock.",
        )
    ]


async def _binding(ledger: SqlLedger | None, report: CrmReport, account: Account) -> list[Finding]:
    bound = await ledger.bound(report.crm) if ledger is not None else None
    if bound is None or bound == account.id:
        return []
    return [
        Finding(
            "problem",
            "account",
            f"this ledger belongs to account {bound}, but the credentials lead to {account.id}",
            "Use the credentials of that account, or another CONNECTOR_DATABASE_URL.",
        )
    ]


def _allowance(told: Allowance | None) -> list[Finding]:
    if told is None or not told.allowed:
        return []
    short = told.used >= told.share * told.allowed
    return [
        Finding(
            "warning" if short else "note",
            "allowance",
            f"{told.used:,} of {told.allowed:,} calls of the day are used; ours stop at {told.share:.0%}",
            "Optional work waits until others use less, or raise the daily share." if short else "",
        )
    ]


def as_findings(error: ConnectorError, where: str) -> list[Finding]:
    """An error as problems, each of its own where it carries several."""
    if isinstance(error, FixConfig) and error.problems:
        return [_of_problem(problem, where, error.next_step) for problem in error.problems]
    return [Finding("problem", error.where or where, error.message, error.next_step)]


def _of_problem(problem: Problem, where: str, next_step: str, level: str = "problem") -> Finding:
    return Finding(level, problem.place or where, problem.said, next_step)
