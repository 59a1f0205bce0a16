"""`connector try`: score an exported list on the spot, say why, and how well scores separate who bought.

Reads two YAML files and one CSV, writes at most the scores; no CRM, no ledger, no network.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.app.commands.score import instant
from connector.app.definition import CRITERIA
from connector.app.exits import LOOK, OK
from connector.app.files import load_criteria, load_mapping
from connector.app.output import out as console
from connector.app.output import print_json
from connector.app.settings import load_settings
from connector.core.criteria import Criteria
from connector.core.known import Known, known_as, score_all
from connector.core.model import Score
from connector.core.privacy_rules import DO_NOT_SCORE, in_words
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.errors import FixConfig
from connector.insight.trial import Separation, TrialLead, read_leads, separation

COLUMNS = ("id", "fit", "engagement", "score", "band", "stage")
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Tried:
    """One lead of the list with what the criteria make of it."""

    lead: TrialLead
    score: Score
    stage: str
    because: str
    audience: str = ""
    privacy: str = ""

    @property
    def scored(self) -> bool:
        """Whether `score` says anything."""
        return self.privacy != DO_NOT_SCORE


def trial(
    file: Path,
    *,
    mapping: Path,
    criteria: Path | None,
    as_of: str | None,
    out: Path | None,
    json: bool,
) -> int:
    """Score every row in the file's order. 3 when rows had to be left out."""
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise FixConfig("The list would be overwritten.", where=str(out), next_step="Name another file.")
    shape = load_mapping(mapping)
    definition_path = criteria or _beside(mapping)
    definition = load_criteria(definition_path)
    moment = instant(as_of) if as_of else datetime.now(UTC)
    rows, cut = _rows(file)
    leads = list(read_leads(rows, shape, moment))
    if not leads:
        raise FixConfig(
            "The list has no rows.", where=str(file), next_step="Export it again, with its header line."
        )
    tried = _decide(leads, definition, moment)
    measured = _measured(tried, definition)
    if out is not None:
        _write(out, tried, definition)
    if json:
        print_json(_document(file, definition_path, moment, tried, measured, cut, out))
    else:
        _tell(file, definition, definition_path, moment, tried, measured, cut, out)
    return LOOK if cut else OK


def _beside(mapping: Path) -> Path:
    """The criteria that belong to a mapping: `X-criteria.yaml` beside `X-leads.yaml`, else `criteria.yaml` there,
    else the ones in force."""
    stem = mapping.stem.removesuffix("-leads").removesuffix("-mapping")
    for path in (
        mapping.with_name(f"{stem}-criteria.yaml"),
        mapping.with_name(CRITERIA),
        load_settings().mappings_dir / CRITERIA,
    ):
        if path.is_file() and path != mapping:
            return path
    raise FixConfig("No criteria were found beside the mapping.", next_step="Name a file with --criteria.")


def _rows(file: Path) -> tuple[list[dict[str, str | None]], list[int]]:
    """The list's rows, and the lines of those that do not have the header's number of cells."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True, restkey="", restval=None)
            if not reader.fieldnames:
                raise FixConfig(
                    "The list is empty.", where=str(file), next_step="Export it with its header line."
                )
            twice = [name for name, count in Counter(reader.fieldnames).items() if count > 1]
            if twice:
                raise FixConfig(f"The column `{twice[0]}` stands twice in the list.", where=str(file))
            rows: list[dict[str, str | None]] = []
            cut: list[int] = []
            for row in reader:
                if isinstance(row.get(""), list) or None in row.values():
                    cut.append(reader.line_num)
                else:
                    rows.append(row)
            return rows, cut
    except FileNotFoundError:
        raise FixConfig("There is no such file.", where=str(file), next_step="Check the path.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise FixConfig(
            f"The list is no CSV in UTF-8: {error}.", where=str(file), next_step="Export it as CSV, UTF-8."
        ) from error
    except OSError as error:
        raise FixConfig(f"The list cannot be read: {error.strerror}.", where=str(file)) from error


def _decide(leads: Sequence[TrialLead], criteria: Criteria, moment: datetime) -> list[Tried]:
    people = [known_as(lead.fields, lead.engagement, criteria) for lead in leads]
    scores = score_all(people, moment)
    return [_tried(*each, moment) for each in zip(leads, people, scores, strict=True)]


def _tried(lead: TrialLead, known: Known, score: Score, moment: datetime) -> Tried:
    now = Measured(score, known.fields, known.engagement)
    decision = decide_stage(None, at=moment, now=now, then=lambda at: now, criteria=known.criteria)
    return Tried(lead, score, decision.state.stage, decision.because, known.audience, decision.state.privacy)


def _measured(tried: Sequence[Tried], criteria: Criteria) -> Separation | None:
    known = [each for each in tried if each.lead.outcome is not None and each.scored]
    if not known:
        return None
    return separation(
        [each.score.score for each in known], [bool(each.lead.outcome) for each in known], criteria.bands
    )


def _write(out: Path, tried: Sequence[Tried], criteria: Criteria) -> None:
    """With `audience` and `privacy` as last columns, where the criteria have any. Who is not scored has blanks."""
    more = {"audience": bool(criteria.audiences), "privacy": bool(criteria.privacy)}
    columns = (*COLUMNS, *(name for name, there in more.items() if there))
    try:
        with out.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(columns)
            for each in tried:
                s, names = each.score, ("audience", "privacy")
                told = {"id": each.lead.id, "stage": each.stage} | {
                    name: getattr(each, name) for name in names
                }
                if each.scored:
                    told |= {"fit": repr(s.fit), "engagement": repr(s.engagement), "score": repr(s.score)}
                    told["band"] = str(s.band)
                writer.writerow([told.get(name, "") for name in columns])
    except OSError as error:
        raise FixConfig(f"The scores cannot be written: {error.strerror}.", where=str(out)) from error


def _document(
    file: Path,
    criteria: Path,
    moment: datetime,
    tried: Sequence[Tried],
    measured: Separation | None,
    cut: Sequence[int],
    out: Path | None,
) -> dict[str, Any]:
    return {
        "file": str(file),
        "criteria": str(criteria),
        "as_of": moment,
        "people": len(tried),
        "stages": dict(Counter(each.stage for each in tried)),
        "audiences": dict(Counter(each.audience for each in tried if each.audience)),
        "privacy": dict(Counter(each.privacy for each in tried if each.privacy)),
        "bands": {
            str(band): count
            for band, count in sorted(Counter(each.score.band for each in tried if each.scored).items())
        },
        "separation": asdict(measured) if measured else None,
        "examples": [
            {"id": each.lead.id, "score": each.score.score, "stage": each.stage, "because": each.because}
            for each in _examples(tried)
        ],
        "left_out_lines": list(cut),
        "out": str(out) if out else None,
    }


def _examples(tried: Sequence[Tried]) -> list[Tried]:
    """The highest scores, each with another reason."""
    found: dict[str, Tried] = {}
    for each in sorted((one for one in tried if one.scored), key=lambda one: -one.score.score):
        found.setdefault(each.because, each)
        if len(found) == SHOWN:
            break
    return list(found.values())


def _tell(
    file: Path,
    criteria: Criteria,
    path: Path,
    moment: datetime,
    tried: Sequence[Tried],
    measured: Separation | None,
    cut: Sequence[int],
    out: Path | None,
) -> None:
    console.print(
        f"{len(tried):,} leads of {file.name} by {path.name}, version {criteria.version}, "
        f"as of {moment:%Y-%m-%d %H:%M} UTC"
    )
    stages = Counter(each.stage for each in tried)
    console.print("Stages: " + ", ".join(f"{count:,} {stage}" for stage, count in stages.most_common()))
    if criteria.audiences:
        audiences = Counter(each.audience or "no audience" for each in tried)
        console.print(
            "Audiences: " + ", ".join(f"{count:,} {audience}" for audience, count in audiences.most_common())
        )
    if line := in_words(Counter(each.privacy for each in tried)):
        console.print(line)
    console.print("The highest, and why:")
    for each in _examples(tried):
        console.print(f"  {each.score.score:5.1f}  {each.score.grade}  {each.lead.id}  {each.because}")
    given = Counter(c.rule for each in tried for c in each.score.contributions)
    console.print(
        "Rules that gave or took points most often: "
        + ", ".join(f"{rule} {count:,}" for rule, count in given.most_common(6))
    )
    if measured is not None:
        from rich.table import Table

        table = Table("band", "people", "converted", "share", title="How well the score separates who bought")
        for band in measured.bands:
            share = "-" if band.rate is None else f"{band.rate:.1%}"
            table.add_row(str(band.band), f"{band.people:,}", f"{band.converted:,}", share)
        console.print(table)
        auc = "-" if measured.auc is None else f"{measured.auc:.3f}"
        lift = "-" if measured.top_decile_lift is None else f"{measured.top_decile_lift:.1f}x"
        console.print(
            f"AUC {auc} (0.5 is a coin); the best tenth converts {measured.top_decile_rate:.1%}, "
            f"{lift} the average of {measured.base_rate:.1%}"
        )
    if cut:
        shown = ", ".join(str(line) for line in cut[:10])
        console.print(
            f"{len(cut)} rows were left out: they do not have the header's number of cells (lines {shown})."
        )
    if out:
        console.print(f"Scores written to {out}.")
