"""Load the files that admins edit into one typed definition. Reports the problems of all files at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from connector.app.files import Beside, load_criteria, load_mapping, write_texts
from connector.app.settings import Settings, load_settings
from connector.core.criteria import Criteria
from connector.core.definition import Definition
from connector.core.examples import run_examples
from connector.core.mapping import BOTH, CrmMapping
from connector.errors import FixConfig, Problem
from connector.ports import Plugin

CRITERIA = "criteria.yaml"


@dataclass(frozen=True, slots=True)
class Files:
    """What could be read of a folder, and everything that is wrong in the rest."""

    criteria: Criteria | None
    mappings: Mapping[str, CrmMapping]
    problems: tuple[Problem, ...]
    texts: Mapping[
        str, str
    ]  # by name, with the lists and titles that they name: what the ledger keeps as a version


def read_files(folder: Path, known: Iterable[str]) -> Files:
    """`criteria.yaml` and one `<crm>.yaml` for each known CRM that has one; a bad file hides no other."""
    problems: list[Problem] = []
    mappings: dict[str, CrmMapping] = {}
    beside = Beside(folder)
    criteria = None
    try:
        criteria = load_criteria(folder / CRITERIA, beside)
    except FixConfig as error:
        problems.extend(error.problems or [Problem((), str(error))])
    for crm in known:
        path = folder / f"{crm}.yaml"
        if not path.is_file():
            continue
        try:
            mappings[crm] = load_mapping(path, beside)
        except FixConfig as error:
            problems.extend(error.problems or [Problem((), str(error))])
    names = [CRITERIA, *(f"{crm}.yaml" for crm in mappings)] if not problems else []
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in names}
    return Files(criteria, mappings, tuple(problems), {**texts, **beside.texts})


_LAST: dict[Path, Definition] = {}  # by folder: reading YAML with its places takes half a second


def load_definition(folder: Path, known: Mapping[str, Plugin]) -> Definition:
    """The files of a folder as one definition. Raises FixConfig, all problems of all files in it. Files that are as
    they were at the last call are not read into values again."""
    last = _LAST.get(folder.resolve())
    if last is not None and _as_before(folder, known, last.texts):
        return last
    found = _load(folder, known)
    _LAST[folder.resolve()] = found
    return found


def _as_before(folder: Path, known: Iterable[str], texts: Mapping[str, str]) -> bool:
    """Whether the folder still holds exactly these texts; lists are compared as they are read, without their mark."""
    maps = {f"{crm}.yaml" for crm in known if (folder / f"{crm}.yaml").is_file()}
    if maps != {name for name in texts if name.removesuffix(".yaml") in {*known}}:
        return False
    try:
        return all(
            (folder / name).read_text(encoding="utf-8" if name.endswith(".yaml") else "utf-8-sig") == text
            for name, text in texts.items()
        )
    except (OSError, UnicodeDecodeError):
        return False


def _load(folder: Path, known: Iterable[str]) -> Definition:
    if not (folder / CRITERIA).is_file():
        raise FixConfig(
            f"There is no {CRITERIA} in the mappings folder.",
            where=str(folder),
            next_step="Point CONNECTOR_MAPPINGS_DIR at your files, or write a starter with `connector init`.",
        )
    files = read_files(folder, known)
    if files.problems or files.criteria is None:
        raise FixConfig(
            f"{len(files.problems)} problem(s) in the files of {folder}.",
            next_step="Correct them; nothing was read or written, and the last good version stays in force.",
            problems=files.problems,
        )
    mappings = with_one_master(files.mappings)
    return Definition(files.criteria, mappings, files.texts, lambda texts: read_texts(texts, known))


def read_texts(texts: Mapping[str, str], known: Iterable[str]) -> Definition | None:
    """The definition in the files of an earlier version, by name. None where they are not right by today's rules."""
    for last in _LAST.values():
        if dict(last.texts) == dict(texts):
            return last
    return _of_texts(tuple(sorted(texts.items())), tuple(known))


@lru_cache(maxsize=4)
def _of_texts(texts: tuple[tuple[str, str], ...], crms: tuple[str, ...]) -> Definition | None:
    with tempfile.TemporaryDirectory(prefix="connector-definition-") as folder:
        try:
            write_texts(Path(folder), dict(texts))
            return _load(Path(folder), crms)
        except FixConfig:
            return None


def definition_of(texts: Mapping[str, str], known: Iterable[str]) -> Definition:
    """The definition in these files, by name. Raises FixConfig with all problems, each with file, line and column."""
    with tempfile.TemporaryDirectory(prefix="connector-") as place:
        folder = Path(place) / "mappings"
        write_texts(folder, texts)
        files = read_files(folder, known)

        def named(problem: Problem) -> Problem:
            return replace(problem, file=problem.file.removeprefix(f"{folder}/"))

    if files.problems or files.criteria is None:
        raise FixConfig(
            f"{len(files.problems)} problem(s) in the files.",
            next_step="Correct them; the version in force stays.",
            problems=[named(each) for each in files.problems],
        )
    criteria = replace(files.criteria, warnings=tuple(named(each) for each in files.criteria.warnings))
    return Definition(
        criteria, with_one_master(files.mappings), files.texts, lambda texts: read_texts(texts, known)
    )


def with_one_master(mappings: Mapping[str, CrmMapping]) -> dict[str, CrmMapping]:
    """Every mapping with the master of the lifecycle stage that one of them declares. Raises FixConfig where they name
    different ones, or one that has no mapping."""
    said = {crm: each.master for crm, each in mappings.items() if each.master}
    told = ", ".join(f"{crm}.yaml says `{master}`" for crm, master in said.items())
    if len(set(said.values())) > 1:
        raise FixConfig(
            f"The lifecycle stage has one master, but {told}.",
            next_step="Say the same in both files, or leave it out of one.",
            where="master",
        )
    for master in said.values():
        if master != BOTH and master not in mappings:
            raise FixConfig(
                f"{told}, which has no mapping file.",
                next_step=f"Known: {', '.join([*mappings, BOTH])}.",
                where="master",
            )
    return {crm: replace(each, master=next(iter(said.values()), None)) for crm, each in mappings.items()}


def in_zone(definition: Definition, settings: Settings) -> Definition:
    """The definition with the days of its freezes, its working hours and digests in the zone of the settings."""
    return by_the_clock_of(definition, ZoneInfo(settings.timezone))


def by_the_clock_of(definition: Definition, zone: tzinfo) -> Definition:
    """The same in this zone."""
    mappings = {crm: replace(each, zone=zone) for crm, each in definition.mappings.items()}
    return replace(definition, mappings=mappings, criteria=definition.criteria.in_zone(zone))


def refuse_red(criteria: Criteria) -> None:
    """A definition that breaks its own examples is not put in force. Raises FixConfig that names the red ones."""
    red = [result for result in run_examples(criteria) if not result.ok]
    if red:
        raise FixConfig(
            f"{len(red)} example(s) of the criteria do not hold: {'; '.join(result.name for result in red)}.",
            where=CRITERIA,
            next_step="`connector criteria test` shows the differences. Correct the rules or the agreement.",
        )


def readable_criteria() -> Criteria | None:
    """The criteria of the mappings folder, for names only: a file that does not load now must not hide what was decided
    then."""
    try:
        return load_criteria(load_settings().mappings_dir / CRITERIA)
    except FixConfig:
        return None
