"""What deciding came to for the records of one CRM, each counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from connector.core.kinds import DEMOTION, PROMOTION
from connector.core.mapping import CrmMapping
from connector.core.model import PersonRecord, PlannedWrite
from connector.core.refs import RefSet
from connector.ports import Hold


@dataclass(slots=True)
class CrmTally:
    """What deciding meant for the target records of one CRM, each counted once."""

    seen: RefSet = field(default_factory=RefSet)
    planned: int = 0
    held_back: int = 0
    unchanged: int = 0
    promoted: int = 0  # people with a planned record whose stage (or MQL status) rises, by the rules
    by_override: int = 0  # people whose stage or MQL status a human's override moves; in neither of the two
    demoted: int = 0  # and falls
    holding: int = 0  # records that already hold a value in a field we write
    overwriting: int = 0  # planned records that replace or clear such a value
    moved_in: Counter[str] = field(default_factory=Counter)  # of promoted and demoted, by audience
    demoted_in: Counter[str] = field(
        default_factory=Counter
    )  # never changed in place: an earlier count keeps its own
    tugs: list[Hold] = field(
        default_factory=list
    )  # fields left alone because somebody keeps changing them back

    def beyond(self, earlier: CrmTally) -> CrmTally:
        """What came to it since an earlier count, in numbers: whom it has seen and which tugs it met is not told."""
        counts = {each.name for each in fields(self)} - {"seen", "tugs"}
        return CrmTally(**{name: getattr(self, name) - getattr(earlier, name) for name in counts})


@dataclass(frozen=True, slots=True)
class Counted:
    """As what a record was counted."""

    fate: str
    overwrites: bool


def count(
    tally: CrmTally,
    record: PersonRecord,
    write: PlannedWrite,
    mapping: CrmMapping,
    *,
    waited: Counted | None,
) -> Counted | None:
    """Count a record in the first class that fits; None where it was counted before. One that was counted while its
    person `waited` for a place is counted anew."""
    if not tally.seen.add(record.ref) and waited is None:
        return None
    lines = mapping.objects[record.ref.object].write
    now = Counted(write.fate, any(line.before not in (None, "") for line in write.writes))
    if waited is None:
        tally.holding += any(record.held.get(line.to) not in (None, "") for line in lines)
    else:
        _add(tally, waited, -1)
    _add(tally, now, 1)
    return now


def count_moves(
    tallies: Mapping[str, CrmTally], kinds: Iterable[tuple[str, str]], audience: str, *, by_override: bool
) -> None:
    """Count a person once per CRM by what its planned records (`kinds`: CRM and kind) do to the stage."""
    found = set(kinds)
    for crm in {crm for crm, _ in found}:
        tally = tallies[crm]
        promoted = (crm, PROMOTION) in found
        demoted = (crm, DEMOTION) in found and not promoted
        if by_override:
            tally.by_override += promoted or demoted
            continue
        tally.promoted += promoted
        tally.demoted += demoted
        tally.moved_in = tally.moved_in + Counter({audience: promoted + demoted})
        tally.demoted_in = tally.demoted_in + Counter({audience: demoted})


def _add(tally: CrmTally, counted: Counted, one: int) -> None:
    if counted.fate == "planned":
        tally.planned += one
        tally.overwriting += one * counted.overwrites
    elif counted.fate == "held_back":
        tally.held_back += one
    else:
        tally.unchanged += one
