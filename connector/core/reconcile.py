"""A CRM that lives already, held against the definition: where both agree, where not, and at which bar how many would
qualify. Pure; counts record by record, so that memory does not grow with the CRM.

Asked is what the rules alone say today: a stage that was found and adopted proves nothing about the definition.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.core.criteria import Criteria, StageAll, StageAny, StageEntry, StageRule
from connector.core.model import JsonValue, MqlStatus, PersonRecord, Ref, Score, Value
from connector.core.stage_rules import Measured, stage_holds

EXAMPLES = 5  # each way
SHARES = (0.02, 0.05)  # so many of the people are what sales can usually work on
_RESTING = (MqlStatus.REJECTED, MqlStatus.RECYCLED)  # sales said no: only newer engagement qualifies again
_QUALIFIED = ("mql", "sql", "opportunity", "customer", "evangelist")
_BLANK = "(blank)"
_NEVER = StageAny(())


@dataclass(frozen=True, slots=True)
class Standing:
    """A live record that is in scope, as its CRM has it, and of its person score, MQL status, fields, audience."""

    record: PersonRecord
    person: int
    score: Score
    status: MqlStatus = MqlStatus.NONE
    fields: Mapping[str, Value] = field(default_factory=dict)
    audience: str = ""
    by_override: bool = False  # a human's word is in force


@dataclass(frozen=True, slots=True)
class _Example:
    """A record on which both disagree, worth opening. `weight`: how much they do."""

    weight: float
    ref: Ref
    person: int
    stage: str
    score: Score


@dataclass(slots=True)
class _Part:
    """One stage of the CRM, in one source or record type."""

    said: int = 0
    agreed: int = 0


@dataclass(slots=True)
class Reconciliation:
    """What is counted so far."""

    criteria: Criteria
    records: int = 0
    qualified: int = 0  # by the rules
    beyond: int = 0  # by the rules, and the CRM has them below MQL
    resting: int = 0  # by their score, and sales has said no
    disqualified: int = 0
    by_override: int = (
        0  # where a human's word stands above the rules; in none of the other counts but `records`
    )
    stages: dict[str, _Part] = field(default_factory=dict)
    by: dict[str, dict[tuple[str, str], _Part]] = field(
        default_factory=dict
    )  # source | record type | audience
    at_any_bar: int = 0  # qualify whatever their score
    at_bar: Counter[int] = field(default_factory=Counter)  # whole score -> those whom a bar of it lets in
    only_they: list[tuple[float, str, _Example]] = field(default_factory=list)
    only_we: list[tuple[float, str, _Example]] = field(default_factory=list)
    _bars: dict[str, tuple[StageRule, StageRule]] = field(default_factory=dict)  # by audience

    def _without_bars(self, audience: str) -> tuple[StageRule, StageRule]:
        """The rule of this audience, passed whatever the score, and but for the score."""
        if audience not in self._bars:
            enter = self.criteria.of(audience).stages.mql.enter
            self._bars[audience] = (_without_bar(enter, passed=False), _without_bar(enter, passed=True))
        return self._bars[audience]

    def add(self, standing: Standing) -> None:
        """Count one more record."""
        record, score = standing.record, standing.score
        self.records += 1
        if standing.by_override:
            self.by_override += 1
            return
        stage = record.stage or "lead"
        ours = qualifies(self.criteria.of(standing.audience), score, standing.fields)
        self.qualified += ours
        self.disqualified += score.disqualified is not None
        self._count_bar(Measured(score, standing.fields), standing.audience)
        theirs = stage in _QUALIFIED
        if theirs:
            _add(self.stages.setdefault(stage, _Part()), ours)
        groups = _groups(record)
        if self.criteria.audiences:
            groups["audience"] = standing.audience or "(none)"
        for name, value in groups.items():
            parts = self.by.setdefault(name, {})
            if theirs:
                _add(parts.setdefault((value, stage), _Part()), ours)
            elif ours:
                _add(parts.setdefault((value, "below mql"), _Part()), ours)
        if ours and not theirs and standing.status in _RESTING:
            self.resting += 1
        elif ours and not theirs and record.stage != "other":
            self.beyond += 1
            self._keep(self.only_we, score.score, standing, stage)
        elif stage == "mql" and not ours:
            self._keep(self.only_they, -score.score, standing, stage)

    def _count_bar(self, person: Measured, audience: str) -> None:
        whatever, but_for_it = self._without_bars(audience)
        if person.score.disqualified is not None:
            return
        if stage_holds(whatever, person):
            self.at_any_bar += 1
        elif stage_holds(but_for_it, person):
            self.at_bar[int(person.score.score + 1e-9)] += 1

    def _keep(
        self, examples: list[tuple[float, str, _Example]], weight: float, standing: Standing, stage: str
    ) -> None:
        ref = standing.record.ref
        entry = (weight, str(ref), _Example(weight, ref, standing.person, stage, standing.score))
        if len(examples) < EXAMPLES:
            heapq.heappush(examples, entry)
        else:
            heapq.heappushpop(examples, entry)

    def bar(self, share: float) -> int | None:
        """The lowest whole score as bar at which at most this share would qualify, the other conditions kept. None:
        more than that qualify at the highest bar, by a hand raised, by fit alone or with a score of 100."""
        let_in, found = self.at_any_bar, None
        for bar in range(100, -1, -1):
            let_in += self.at_bar[bar]
            if let_in > share * self.records:
                return found
            found = bar
        return found


def qualifies(criteria: Criteria, score: Score, fields: Mapping[str, Value]) -> bool:
    """Whether the enter rule alone holds for somebody today; a dwell counts as served, and nobody is kept back."""
    return score.disqualified is None and stage_holds(criteria.stages.mql.enter, Measured(score, fields))


def _without_bar(rule: StageRule, *, passed: bool) -> StageRule:
    """The rule with every test of score, and of the band made of it, passed or failed."""
    match rule:
        case StageAll():
            return StageAll(tuple(_without_bar(part, passed=passed) for part in rule.parts))
        case StageAny():
            return StageAny(tuple(_without_bar(part, passed=passed) for part in rule.parts))
        case StageEntry():
            others = tuple(test for test in rule.tests if test.measure not in ("score", "band"))
            if len(others) == len(rule.tests):
                return rule
            return replace(rule, tests=others) if passed else _NEVER


def _groups(record: PersonRecord) -> dict[str, str]:
    kind = record.fields.get("record_type")
    return {
        "source": str(record.fields.get("source") or _BLANK),
        "record type": f"{record.ref.object} {kind}" if kind else record.ref.object,
    }


def _add(part: _Part, agreed: bool) -> None:
    part.said += 1
    part.agreed += agreed


# ----------------------------------------------------------------------------------------------------- what is told


def told(found: Reconciliation, crm: str) -> dict[str, JsonValue]:
    """As a plan's `summary` keeps it: in lines for people, and in numbers. No name and no address: examples are told as
    records, and people by number."""
    mql = found.stages.get("mql", _Part())
    bars: dict[str, JsonValue] = {f"{share:.0%}": found.bar(share) for share in SHARES}
    lines: list[str] = [
        f"{found.records:,} records are in scope; {found.disqualified:,} of them are disqualified."
    ]
    if not found.stages:
        lines.append(f"{crm} calls nobody MQL or higher yet, so there is nothing to agree with.")
    for stage in (each for each in _QUALIFIED if each in found.stages):
        part = found.stages[stage]
        what = (
            "are MQL by the definition too"
            if stage == "mql"
            else "would have qualified today by the definition"
        )
        lines.append(
            f"{crm} calls {part.said:,} {_title(stage)}: {part.agreed:,} ({_share(part.agreed, part.said)}) {what}."
        )
    lines.append(
        f"The definition calls {found.qualified:,} ({_share(found.qualified, found.records)}) qualified; "
        f"{found.beyond:,} of them stand below MQL in {crm}. {crm} calls {_share(mql.said, found.records)} MQL."
    )
    if found.by_override:
        lines.append(f"{found.by_override:,} more stand under a human's override and are counted apart.")
    if found.resting:
        lines.append(
            f"{found.resting:,} more have the score and stay below MQL, since sales rejected them or gave them back: "
            "only newer engagement qualifies them again."
        )
    for name, parts in sorted(found.by.items()):
        lines += _lines_by(name, parts)
    lines += [_bar_line(found, share) for share in SHARES]
    return {
        "title": f"How {crm} and the definition agree",
        "lines": list[JsonValue](lines),
        "records": found.records,
        "qualified": found.qualified,
        "below_mql": found.beyond,
        "resting": found.resting,
        "disqualified": found.disqualified,
        "by_override": found.by_override,
        "stages": {name: _numbers(part) for name, part in found.stages.items()},
        "by": {
            name.replace(" ", "_"): [
                {"value": value, "stage": stage, **_numbers(part)}
                for (value, stage), part in sorted(parts.items())
            ]
            for name, parts in found.by.items()
        },
        "bars": bars,
        "examples": {
            "mql_only_in_the_crm": _examples(found.only_they),
            "mql_only_by_the_definition": _examples(found.only_we),
        },
    }


def _lines_by(name: str, parts: dict[tuple[str, str], _Part]) -> Sequence[str]:
    """The greatest few; with one value only there is nothing to split."""
    values = Counter[str]()
    for (value, _), part in parts.items():
        values[value] += part.said
    if len(values) < 2:
        return []
    lines = []
    for value, _ in values.most_common(8):
        mql = parts.get((value, "mql"), _Part())
        below = parts.get((value, "below mql"), _Part())
        lines.append(
            f"By {name}, {value}: {mql.agreed:,} of {mql.said:,} MQLs agree; {below.said:,} more by the definition."
        )
    return lines


def _bar_line(found: Reconciliation, share: float) -> str:
    bar = found.bar(share)
    if bar is None:
        return (
            f"No bar lets in only {share:.0%}: {found.at_any_bar:,} qualify whatever their score (hands raised, or "
            f"conditions without a score), and {found.at_bar[100]:,} have a score of 100."
        )
    return f"At most {share:.0%} would qualify with a score of {bar} as the bar, everything else as it is."


def _examples(kept: Sequence[tuple[float, str, _Example]]) -> list[JsonValue]:
    ordered = sorted(kept, key=lambda entry: (-entry[0], entry[1]))
    return [
        {
            "record": str(each.ref),
            "person": each.person,
            "stage": each.stage,
            "score": round(each.score.score, 1),
            "band": each.score.band,
            "why": each.score.disqualified or each.score.hand_raised or _drivers(each.score),
        }
        for _, _, each in ordered
    ]


def _drivers(score: Score) -> str:
    strongest = sorted(score.contributions, key=lambda each: -abs(each.points))[:3]
    return ", ".join(f"{each.rule} {each.points:+.0f}" for each in strongest) or "nothing counts so far"


def _numbers(part: _Part) -> dict[str, JsonValue]:
    return {"records": part.said, "agree": part.agreed}


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


def _title(stage: str) -> str:
    return {"mql": "MQL", "sql": "SQL"}.get(stage, stage)
