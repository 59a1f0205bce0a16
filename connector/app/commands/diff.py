"""`connector criteria diff`: where two definitions of an MQL differ, in words and in people. Writes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger
from connector.app.commands.definition import NEEDS, kept_version
from connector.app.commands.init import preset_file, presets, shipped
from connector.app.definition import CRITERIA, in_zone, load_definition
from connector.app.exits import OK
from connector.app.files import Beside, load_criteria
from connector.app.output import out, print_json
from connector.app.settings import Settings, load_settings
from connector.app.wiring import SystemClock, plugins
from connector.core.account import Around, account_fields_read
from connector.core.changed import differences
from connector.core.criteria import Criteria
from connector.core.definition import Definition
from connector.core.wording import changes_in_words
from connector.errors import FixConfig
from connector.insight.compared import Compared, Shift, Verdict, verdicts
from connector.ledger import SqlLedger

PAGE = 500  # people at a time
FILE = "file"  # the one in the mappings folder


def criteria_diff(before: str, after: str, *, people: bool, json: bool) -> int:
    """Compare two definitions, each a preset, a file, a version of the ledger, or `file`. FixConfig where there is
    no such."""
    settings = load_settings()
    folder = settings.mappings_dir

    async def question(ledger: SqlLedger) -> tuple[Criteria, Criteria, Compared | None]:
        one, other = (await criteria_of(before, settings, ledger), await criteria_of(after, settings, ledger))
        if not people:
            return one, other, None
        definition = load_definition(folder if (folder / CRITERIA).is_file() else shipped(), plugins())
        return one, other, await in_people(definition, one, other, ledger)

    old, new, counted = ask_ledger(question)
    sentences = changes_in_words(old, new)
    if json:
        print_json({"before": before, "after": after, "words": sentences, "people": _document(counted)})
        return OK
    out.print(f"From {_titled(before, old)} to {_titled(after, new)}:", markup=False)
    for sentence in sentences or ["Nothing differs."]:
        out.print(f"  {sentence}", markup=False)
    if counted is not None:
        _print(counted, before, after)
    return OK


def mapping_diff(before: int, after: int | None, *, json: bool) -> int:
    """Compare the mappings of two versions (no `after`: of the folder's files). FixConfig where there is no such."""
    settings = load_settings()

    async def question(ledger: SqlLedger) -> tuple[Definition, Definition]:
        one = await kept_version(ledger, before, settings, listed_by="mapping")
        if after is None:
            return one, in_zone(load_definition(settings.mappings_dir, plugins()), settings)
        return one, await kept_version(ledger, after, settings, listed_by="mapping")

    old, new = ask_ledger(question)
    told = [
        {"what": each.what, "needs": each.needs, "crm": each.crm}
        for each in differences(old.criteria, old.criteria, old.mappings, new.mappings)
    ]
    if json:
        print_json({"before": before, "after": after, "differences": told})
        return OK
    for each in told or [{"what": "Nothing differs", "needs": "nothing"}]:
        out.print(f"{each['what']} ({NEEDS[each['needs']]})", markup=False)
    return OK


async def criteria_of(name: str, settings: Settings, ledger: SqlLedger) -> Criteria:
    """The criteria that somebody names: a preset, `file`, the number of a version, or the path of a file."""
    if name in presets():
        return load_criteria(preset_file(name), Beside(shipped()))
    if name == FILE:
        return load_criteria(settings.mappings_dir / CRITERIA)
    if name.isdecimal():
        return (await kept_version(ledger, int(name), settings, alone=True)).criteria
    return _of_file(Path(name), settings.mappings_dir)


def _of_file(path: Path, folder: Path) -> Criteria:
    """A criteria file; the lists that it names lie beside it, else in the folder of the mappings."""
    if not path.is_file():
        raise FixConfig(
            f"`{path}` is no definition.",
            next_step=f"Name a preset ({', '.join(presets())}), `file`, a version's number, or a file that exists.",
        )
    ours = folder if (folder / CRITERIA).is_file() else shipped()
    return load_criteria(path, Beside(path.parent if (path.parent / "lists").is_dir() else ours))


async def in_people(definition: Definition, old: Criteria, new: Criteria, ledger: SqlLedger) -> Compared:
    """Everybody in the ledger by both, as of now."""
    counted, at, after = Compared(), SystemClock().now(), 0
    one, other = (replace(definition, criteria=criteria) for criteria in (old, new))
    read = account_fields_read(one) | account_fields_read(other)
    around = Around(at, read) if read else None
    while members := await ledger.members(PAGE, after=after):
        after = members[-1][0]
        facts = await ledger.facts([refs for _, refs in members], around)
        for (_, refs), was, now in zip(
            members, verdicts(one, facts, at), verdicts(other, facts, at), strict=True
        ):
            counted.add(refs, was, now)
    return counted


def _titled(name: str, criteria: Criteria) -> str:
    return f"{name} ({criteria.name})" if criteria.name else name


def _print(counted: Compared, before: str, after: str) -> None:
    out.print("")
    if not counted.people:
        out.print(
            "In people: the ledger knows nobody yet; `connector sync --plan-only` reads them, writing nothing."
        )
        return
    out.print(f"In people, each as somebody new: {counted.people:,} in the ledger")
    out.print(
        f"  {counted.before:,} qualify by {before}, {counted.after:,} by {after}, {counted.both:,} by both"
    )
    lower, same, higher = counted.scores
    out.print(f"  score: {higher:,} higher by {after}, {lower:,} lower, {same:,} the same")
    if counted.unscored_before or counted.unscored_after:
        out.print(
            f"  not scored: {counted.unscored_before:,} by {before}, {counted.unscored_after:,} by {after}"
        )
    bands = ", ".join(
        f"band {n}: {counted.bands_before[n]:,} -> {counted.bands_after[n]:,}" for n in range(1, 6)
    )
    out.print(f"  {bands}")
    for name, shifts in ((before, counted.lost), (after, counted.gained)):
        if shifts:
            out.print(f"  by {name} alone, for example:")
        for shift in shifts:
            verdict = shift.before if name == before else shift.after
            out.print(f"    {', '.join(str(ref) for ref in shift.refs)}: {verdict.because}", markup=False)


def _document(counted: Compared | None) -> dict[str, Any] | None:
    if counted is None:
        return None
    lower, same, higher = counted.scores
    return {
        "people": counted.people,
        "before": counted.before,
        "after": counted.after,
        "both": counted.both,
        "bands": {"before": dict(counted.bands_before), "after": dict(counted.bands_after)},
        "scores": {"lower": lower, "same": same, "higher": higher},
        "not_scored": {"before": counted.unscored_before, "after": counted.unscored_after},
        "lost": [_shift(each) for each in counted.lost],
        "gained": [_shift(each) for each in counted.gained],
    }


def _shift(shift: Shift) -> dict[str, Any]:
    return {
        "records": [str(ref) for ref in shift.refs],
        "before": _verdict(shift.before),
        "after": _verdict(shift.after),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    score = verdict.score.score if verdict.scored else None
    return {"stage": verdict.stage, "score": score, "because": verdict.because}
