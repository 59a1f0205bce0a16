"""The arithmetic of `connector try`: read the rows of an exported list as leads, and measure how well a
score tells those who converted from those who did not. Pure: opens no file, scores nobody, and never lets
the outcome near a field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.mapping import COUNTERS, CrmMapping, wanted_fields
from connector.core.model import Engagement, JsonValue, Ref, Value, VendorEvent, VendorRecord
from connector.core.names import nearest
from connector.core.normalize import growth, normalize_event, normalize_person
from connector.core.normalize.engagement import moment_of
from connector.errors import FixConfig, Problem

TOLERANCE = 1e-9  # a score reaches a cut point when it is at most this far below it


@dataclass(frozen=True, slots=True)
class TrialLead:
    """One row of the list: our fields, engagement (all at or before `as_of`), and whether it converted, if
    known."""

    id: str
    fields: Mapping[str, Value]
    engagement: tuple[Engagement, ...]
    outcome: bool | None = None


@dataclass(frozen=True, slots=True)
class BandRate:
    """How many people stand in a band, and how many of them converted. `rate` is None for an empty band."""

    band: int
    people: int
    converted: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Separation:
    """How well scores tell converted from other leads.

    `auc`: the chance that a converted lead scores higher than another, ties as half (Mann and Whitney); 0.5
    is no better than chance; None when only one kind is there. `top_decile_lift`: the conversion rate among
    the best tenth over `base_rate`; None when nobody converted.
    """

    people: int
    converted: int
    base_rate: float
    auc: float | None
    bands: tuple[BandRate, ...]
    top_decile_rate: float
    top_decile_lift: float | None


def read_leads(
    rows: Iterable[Mapping[str, str | None]], mapping: CrmMapping, as_of: datetime
) -> Iterator[TrialLead]:
    """The rows as leads, one by one, in order; rows without an id are called by their number.

    `as_of` (aware, UTC) is the moment of what has no date of its own. Raises FixConfig when the mapping does
    not describe a file, or names columns that the first row does not have.
    """
    shape, people = mapping.file, mapping.of_kind("person")
    if shape is None or len(people) != 1:
        raise FixConfig(
            "This mapping does not describe an exported list.",
            next_step="Give it `crm: csv`, `file` with the id's column, and one object of kind person.",
        )
    blanks = frozenset(each.strip().casefold() for each in shape.blank)
    yes = frozenset(each.strip().casefold() for each in shape.positive)
    for position, row in enumerate(rows, start=1):
        if position == 1:
            _check_columns(row, mapping)
        said = row.get(shape.outcome) if shape.outcome else None
        outcome = None if said is None or not said.strip() else said.strip().casefold() in yes
        values: dict[str, JsonValue] = {
            name: None if text is None or text.strip().casefold() in blanks else text
            for name, text in row.items()
            if name != shape.outcome
        }
        id = str(values.get(shape.id) or f"row {position}").strip()
        record = VendorRecord(
            ref=Ref(mapping.crm, people[0].object, id), kind="person", values=values, changed_at=as_of
        )
        engagement, _ = growth(record, mapping, {}, as_of)
        yield TrialLead(
            id=id,
            fields=normalize_person(record, mapping).fields,
            engagement=(*engagement, *_events(record, mapping, as_of)),
            outcome=outcome,
        )


def separation(
    scores: Sequence[float], outcomes: Sequence[bool], cuts: Sequence[float] = (20, 40, 60, 80)
) -> Separation:
    """Measure scores against outcomes, position by position. `cuts` are the criteria's bands.

    Raises ValueError for lists of different lengths, empty lists, or a score that is no number.
    """
    if len(scores) != len(outcomes) or not scores:
        raise ValueError(f"needs as many outcomes as scores, at least one: {len(scores)} and {len(outcomes)}")
    if any(math.isnan(score) for score in scores):
        raise ValueError("a score is not a number")
    converted = sum(outcomes)
    base = converted / len(scores)
    top = _top_rate(scores, outcomes, max(1, math.ceil(len(scores) / 10)))
    return Separation(
        people=len(scores),
        converted=converted,
        base_rate=base,
        auc=_auc(scores, outcomes),
        bands=_bands(scores, outcomes, cuts),
        top_decile_rate=top,
        top_decile_lift=top / base if converted else None,
    )


def _check_columns(row: Mapping[str, str | None], mapping: CrmMapping) -> None:
    assert mapping.file is not None
    wanted = set().union(*wanted_fields(mapping).values(), {mapping.file.id})
    if mapping.file.outcome and mapping.file.outcome not in row:
        wanted.add(mapping.file.outcome)
    missing = sorted(wanted - set(row))
    if missing:
        raise FixConfig(
            "The list does not have every column that the mapping names.",
            next_step="Correct the mapping, or export the list with these columns.",
            problems=[
                Problem((name,), f"there is no column `{name}`.", nearest(name, row)) for name in missing
            ],
        )


def _events(record: VendorRecord, mapping: CrmMapping, as_of: datetime) -> Iterator[Engagement]:
    for stream in mapping.engagement.values():
        if stream.stream != COUNTERS:
            yield from normalize_event(
                VendorEvent(
                    crm=mapping.crm,
                    stream=stream.stream,
                    key=record.ref.id,
                    values=record.values,
                    occurred_at=moment_of(record.values, stream.occurred_at, as_of),
                    about=(record.ref,),
                ),
                mapping,
            )


def _auc(scores: Sequence[float], outcomes: Sequence[bool]) -> float | None:
    """By the sum of ranks, equal scores sharing their mean rank."""
    yes = sum(outcomes)
    no = len(outcomes) - yes
    if not yes or not no:
        return None
    ranks = 0.0
    below = 0
    for tied in _by_score(scores, outcomes):
        ranks += sum(tied) * (below + (len(tied) + 1) / 2)
        below += len(tied)
    return (ranks - yes * (yes + 1) / 2) / (yes * no)


def _by_score(scores: Sequence[float], outcomes: Sequence[bool]) -> list[list[bool]]:
    """The outcomes, those of equal scores together, lowest score first."""
    groups: dict[float, list[bool]] = {}
    for score, outcome in zip(scores, outcomes, strict=True):
        groups.setdefault(score, []).append(outcome)
    return [groups[score] for score in sorted(groups)]


def _top_rate(scores: Sequence[float], outcomes: Sequence[bool], many: int) -> float:
    """The conversion rate of the best `many`. Where equal scores straddle the border, each counts in part,
    so that the order of the list does not matter."""
    left = float(many)
    converted = 0.0
    for tied in reversed(_by_score(scores, outcomes)):
        taken = min(left, len(tied))
        converted += sum(tied) * taken / len(tied)
        left -= taken
        if left <= 0:
            break
    return converted / many


def _bands(scores: Sequence[float], outcomes: Sequence[bool], cuts: Sequence[float]) -> tuple[BandRate, ...]:
    people = [0] * (len(cuts) + 1)
    converted = [0] * (len(cuts) + 1)
    for score, outcome in zip(scores, outcomes, strict=True):
        place = sum(score >= cut - TOLERANCE for cut in cuts)
        people[place] += 1
        converted[place] += outcome
    return tuple(
        BandRate(place + 1, many, yes, yes / many if many else None)
        for place, (many, yes) in enumerate(zip(people, converted, strict=True))
    )
