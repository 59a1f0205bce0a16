"""What the values that a CRM's records hold count as, by the mapping: sales' answers, their reasons, stages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.core.mapping import CrmMapping, ObjectMapping, StatusMap, fold
from connector.ports import Finding, ValueInUse

ACCEPTED, REJECTED, WORKING, NO_ANSWER = "accepted", "rejected", "working", "no answer"
REASON, UNKNOWN_STAGE = "a reason", "no stage of ours"


@dataclass(frozen=True, slots=True)
class Asked:
    """A field whose values are to be counted. `besides`: values that need no count, because they are known."""

    object: str
    field: str
    kind: str  # status, reason, stage
    besides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """A value in use and what it counts as."""

    value: ValueInUse
    kind: str
    counts_as: str


def to_ask(mapping: CrmMapping) -> list[Asked]:
    """Every field of theirs that says something of sales' answers or the stage, in file order."""
    found = []
    for each in mapping.of_kind("person"):
        if each.status:
            found.append(Asked(each.object, each.status.source, "status"))
            if each.status.reason:
                found.append(Asked(each.object, each.status.reason, "reason"))
        if each.stage:
            known = tuple(value for values in each.stage.values.values() for value in values)
            found.append(Asked(each.object, each.stage.source, "stage", known))
    return found


def counted(mapping: CrmMapping, asked: Asked, values: Sequence[ValueInUse]) -> list[Counted]:
    """What each of these values counts as."""
    target = mapping.objects[asked.object]
    return [Counted(each, asked.kind, _counts_as(target, asked.kind, each.value)) for each in values]


def _counts_as(target: ObjectMapping, kind: str, value: str | None) -> str:
    if kind == "reason":
        return REASON
    if kind == "stage":
        return UNKNOWN_STAGE
    return answer_of(target.status, value) if target.status else NO_ANSWER


def answer_of(status: StatusMap, value: str | None) -> str:
    """What sales says by this status: `accepted`, `rejected` (with its standing reason), `working` or `no answer`."""
    folded = fold(value or "")
    if folded in {fold(each) for each in status.accepted}:
        return ACCEPTED
    rejected: Mapping[str, str | None] = {fold(each): reason for each, reason in status.rejected.items()}
    if folded in rejected:
        return f"{REJECTED} ({rejected[folded]})" if rejected[folded] else REJECTED
    return WORKING if folded in {fold(each) for each in status.working} else NO_ANSWER


def findings(values: Sequence[Counted]) -> Iterator[Finding]:
    """What is in use and nobody has said what it means, with how many records it stands on."""
    sums: Counter[tuple[str, str, str, str | None]] = Counter()
    for each in values:
        if each.counts_as in (NO_ANSWER, UNKNOWN_STAGE):
            held = each.value
            sums[each.kind, held.object, held.field, held.value] += held.records
    for (kind, object_, field, value), records in sums.items():
        name = f"`{value}`" if value is not None else "a value that is no option any more"
        many = f"{records:,} record{'' if records == 1 else 's'}"
        if kind == "status":
            yield Finding(
                "problem",
                f"{object_}.{field}",
                f"{name} stands on {many} and counts as no answer of sales",
                "Name it under `status.accepted`, `status.rejected` or, where it changes nothing, `status.working`.",
            )
        else:
            yield Finding(
                "warning",
                f"{object_}.{field}",
                f"{name} stands on {many} and is no stage of ours: it is followed as it stands",
                "Name it under the stage that it means in `stage.values`, or leave it so.",
            )
