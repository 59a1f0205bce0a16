"""How quickly sales touches its MQLs, by owner and by source, and who needs a human. Pure: is given the spells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from connector.core.handoff import NOBODY, Handoff, Users
from connector.core.model import Value
from connector.ports import KeptSpell

NO_SOURCE = "unknown"


@dataclass(frozen=True, slots=True)
class Pace:
    """So many MQLs and what became of them. `hours`: the median of the working time to the first touch; None where none
    was touched. `within` of `judged`: touched by the deadline, of those of whom that can be said already."""

    mqls: int
    touched: int
    hours: float | None
    within: int
    judged: int
    untouched: int
    overdue: int

    @property
    def share(self) -> float | None:
        """Within the deadline, of those of whom that can be said."""
        return self.within / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class NeedsHuman:
    """An untouched MQL that no reminder reaches. `owner`: the CRM's name of who left."""

    person: int
    since: datetime
    why: str  # unowned, inactive owner
    owner: str = ""


@dataclass(frozen=True, slots=True)
class SlaReport:
    """`quiet`: MQLs that were found in bulk; they are in no other number, but for `humans`."""

    total: Pace
    by_owner: Mapping[str, Pace]  # by the name of whom they were handed to
    by_source: Mapping[str, Pace]
    humans: tuple[NeedsHuman, ...]
    quiet: int


def sla_report(
    spells: Sequence[KeptSpell],
    users: Users,
    handoff_of: Callable[[str], Handoff | None],
    at: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> SlaReport:
    """Of the spells that began in `[since, until)`; who needs a human, of all that are open. `handoff_of`: by audience,
    whose working hours count."""
    began = [
        each
        for each in spells
        if (since is None or each.spell.since >= since) and (until is None or each.spell.since < until)
    ]
    timed = [each for each in began if not each.spell.quiet]
    return SlaReport(
        _pace(timed, handoff_of, at),
        _grouped(timed, lambda each: name_of_owner(each.spell.owner, users), handoff_of, at),
        _grouped(timed, lambda each: each.spell.source or NO_SOURCE, handoff_of, at),
        tuple(_humans(spells, users)),
        len(began) - len(timed),
    )


def name_of_owner(owner: str, users: Users) -> str:
    """How people call whom something was handed to; an address of a pool stands for itself."""
    found = users.get(owner)
    return (found.name or owner) if found is not None else owner or "nobody"


def inactive(fields: Mapping[str, Value], users: Users) -> str:
    """The name of the owner that the CRM has of somebody with these fields, where that one is not active."""
    found = users.get(str(fields.get("owner") or ""))
    return found.name or found.id if found is not None and not found.active else ""


def _grouped(
    spells: Sequence[KeptSpell],
    group: Callable[[KeptSpell], str],
    handoff_of: Callable[[str], Handoff | None],
    at: datetime,
) -> dict[str, Pace]:
    found: dict[str, list[KeptSpell]] = {}
    for each in spells:
        found.setdefault(group(each), []).append(each)
    return {
        name: _pace(found[name], handoff_of, at) for name in sorted(found, key=lambda n: (-len(found[n]), n))
    }


def _pace(spells: Sequence[KeptSpell], handoff_of: Callable[[str], Handoff | None], at: datetime) -> Pace:
    took: list[float] = []
    within = judged = untouched = overdue = 0
    for each in spells:
        spell = each.spell
        work = (handoff_of(spell.audience) or Handoff()).work
        if spell.touched_at is not None:
            took.append(work.between(spell.since, spell.touched_at) / timedelta(hours=1))
        late = spell.due_at is not None and (spell.touched_at or min(at, spell.ended_at or at)) > spell.due_at
        if spell.due_at is not None and (spell.touched_at is not None or late):
            judged += 1
            within += not late
        untouched += spell.untouched
        overdue += spell.untouched and late
    hours = round(median(took), 2) if took else None
    return Pace(len(spells), len(took), hours, within, judged, untouched, overdue)


def _humans(spells: Iterable[KeptSpell], users: Users) -> Iterable[NeedsHuman]:
    for each in spells:
        if not each.spell.untouched:
            continue
        left = inactive(each.fields, users)
        if left:
            yield NeedsHuman(each.person, each.spell.since, "inactive owner", left)
        elif each.spell.via == NOBODY:
            yield NeedsHuman(each.person, each.spell.since, "unowned")
