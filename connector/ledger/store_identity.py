"""Whose a record is: who a group of records goes on as, and what moves with records that are joined or parted.

A person has a home in its records. Where people are joined, one of them goes on; the others end as they stood, and
their stage history is kept for the one who goes on, marked with whose it was. Where they part, each goes on from
there with its history. So whatever joins and splits came between, only who is together now says what is whose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from connector.core.model import MqlStatus, Score, StageState
from connector.ledger import codec
from connector.ledger.hot import where_in
from connector.ledger.tables import PERSON, RECORD, STAGE_HISTORY

NOBODY = 0  # the home of a record that was first met among people already joined: it follows them

_PARTED = "parted by a human: back to where this person stood before they were joined"


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a record belonged to at the last decision, and whose it is when nobody is joined."""

    person: int | None
    home: int | None

    @property
    def votes_for(self) -> int | None:
        """The person that this record speaks for."""
        return self.person if self.home is None else self.home or None


@dataclass(frozen=True, slots=True)
class GoesOn:
    """Who a group goes on as, from what state; `claimed` are all the people it is made of."""

    id: int
    state: StageState
    score: Score
    claimed: frozenset[int]
    version: int  # of the definition by which that was decided
    alone: str | None  # to be kept: the state from before it was joined
    moved_from: StageState | None = None  # where it stood until it was parted, where that is another stage


def places(db: Connection, refs: Sequence[str]) -> dict[str, Place]:
    """Whose these records are, by record."""
    query = select(RECORD.c.ref, RECORD.c.person_id, RECORD.c.home)
    return {row.ref: Place(row.person_id, row.home) for row in where_in(db, query, RECORD.c.ref, refs)}


def claims(groups: Sequence[Sequence[str]], known: Mapping[str, Place]) -> list[frozenset[int]]:
    """The people that each group is made of; each person goes to one group only: to that with most of the records it
    has its home in, at a tie to that which was it at the last decision, then to the earlier one."""
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    stood: dict[int, Counter[int]] = defaultdict(Counter)
    for index, group in enumerate(groups):
        for place in (known[ref] for ref in group if ref in known):
            if place.votes_for is not None:
                votes[place.votes_for][index] += 1
            if place.person is not None:
                stood[place.person][index] += 1
    claimed: list[set[int]] = [set() for _ in groups]
    for person in votes.keys() | stood.keys():
        counts = votes.get(person) or stood[person]  # without a record of its own, it is where it stood
        here = stood.get(person, Counter())
        claimed[min(counts, key=lambda index: (-counts[index], -here[index], index))].add(person)
    return [frozenset(each) for each in claimed]


def going_on(
    db: Connection,
    groups: Sequence[Sequence[str]],
    known: Mapping[str, Place],
    *,
    at: datetime | None = None,
) -> list[GoesOn | None]:
    """Per group: as whom it goes on; None for somebody new. `at`: now, for what is to be kept of a join."""
    claimed = claims(groups, known)
    ids = {person for each in claimed for person in each}
    rows = {row.id: row for row in where_in(db, select(PERSON), PERSON.c.id, ids)}
    where: dict[int, set[int]] = defaultdict(set)  # person of the last decision -> groups
    for index, group in enumerate(groups):
        for ref in group:
            if ref in known and (person := known[ref].person) is not None:
                where[person].add(index)
    answer: list[GoesOn | None] = []
    for people in claimed:
        found = [rows[person] for person in sorted(people) if person in rows]
        if not found:
            answer.append(None)
            continue
        kept = _kept(found)
        parting = kept.ended_at is not None or len(where[kept.id]) > 1
        answer.append(_goes_on(kept, found, parting=parting, at=at))
    return answer


def _kept(found: Sequence[Row[Any]]) -> Row[Any]:
    """Those who are there before those who ended; then the one in a spell as MQL, who ever was one, the oldest."""

    def order(row: Row[Any]) -> tuple[bool, bool, bool, int]:
        state = codec.load_state(row.state)
        return row.ended_at is not None, state.mql_since is None, state.first_mql_at is None, row.id

    return min(found, key=order)


def _goes_on(kept: Row[Any], found: Sequence[Row[Any]], *, parting: bool, at: datetime | None) -> GoesOn:
    now = codec.load_state(kept.state)
    alone = _load_alone(kept.alone) if kept.alone else None
    state, firsts = now, [] if parting else [now.first_mql_at]
    moved_from = None
    if len(found) == 1 and alone is not None and parting:
        state = parted(alone[0], now, alone[1])
        moved_from = now if (now.stage, now.status) != (state.stage, state.status) else None
    elif len(found) > 1:
        for row in found:
            firsts += _own_firsts(row)
        state = replace(now, first_mql_at=min((each for each in firsts if each), default=None))
    keep = None
    if len(found) > 1:
        keep = kept.alone or codec.dumps(
            {"since": (at or kept.decided_at).astimezone(UTC).isoformat(), "state": kept.state}
        )
    return GoesOn(
        id=kept.id,
        state=state,
        score=codec.load_score(kept._asdict()),
        claimed=frozenset(row.id for row in found),
        version=kept.criteria_version,
        alone=keep,
        moved_from=moved_from,
    )


def _load_alone(text: str) -> tuple[StageState, datetime]:
    told = codec.loads(text)
    return codec.load_state(told["state"]), datetime.fromisoformat(told["since"])


def _own_firsts(row: Row[Any]) -> list[datetime | None]:
    """When a person first was MQL as far as it is its own doing: alone, or going on for those joined with it."""
    now = codec.load_state(row.state)
    if not row.alone:
        return [now.first_mql_at]
    alone, since = _load_alone(row.alone)
    later = now.first_mql_at is not None and now.first_mql_at >= since
    return [alone.first_mql_at, now.first_mql_at if later else None]


def parted(alone: StageState, now: StageState, since: datetime) -> StageState:
    """Where somebody stands who is alone again: where they stood before, as far as the facts allow.

    A stage or status that only the join has brought is given back. What sales rejected meanwhile stays rejected, and
    who left MQL meanwhile by the rules has left: neither can be told apart from what would have come without the join.
    """
    later = now.first_mql_at if now.first_mql_at is not None and now.first_mql_at >= since else None
    rejected = now.rejected_at is not None and now.rejected_at != alone.rejected_at
    left = alone.stage == "mql" and now.stage in ("lead", "subscriber") and now.status is MqlStatus.NONE
    if rejected or left:
        return replace(now, first_mql_at=alone.first_mql_at or later)
    return alone


# ------------------------------------------------------------------------------------------------------------ keep


@dataclass(frozen=True, slots=True)
class Moves:
    """What a commit of decisions means for whose the records are; made before anything is changed."""

    groups: Sequence[Sequence[str]]
    known: Mapping[str, Place]
    claimed: Sequence[frozenset[int]]
    going: Mapping[int, GoesOn]  # by place in the batch; only where people are joined or parted


def moves(db: Connection, groups: Sequence[Sequence[str]], at: datetime) -> Moves:
    """See `Moves`. Costs one look at the people of the batch where any is joined with another, or parts."""
    known = places(db, [ref for group in groups for ref in group])
    claimed = claims(groups, known)
    shared = any(place.home is not None for place in known.values()) or any(len(c) > 1 for c in claimed)
    if not shared:
        return Moves(groups, known, claimed, {})
    found = going_on(db, groups, known, at=at)
    return Moves(
        groups, known, claimed, {index: each for index, each in enumerate(found) if each is not None}
    )


def home_of(ref: str, person: int, claimed: frozenset[int], known: Mapping[str, Place]) -> int | None:
    """The home of a record that now belongs to this person; None: that person's own."""
    place = known.get(ref)
    home = place.votes_for if place is not None else None
    if home is None:
        return NOBODY if len(claimed - {person}) else None
    return home if home in claimed and home != person else None


def keep_moves(
    db: Connection, found: Moves, people: Sequence[int], run: int, version: int, at: datetime
) -> None:
    """Stage history goes where its person went, and whose it was stays known; who parted steps back, in words."""
    for index, goes_on in found.going.items():
        person = people[index]
        places_of = (found.known[ref] for ref in found.groups[index] if ref in found.known)
        for was in sorted({p.person for p in places_of if p.person is not None and p.person != person}):
            for whose in sorted(goes_on.claimed):
                own = STAGE_HISTORY.c.was_of.is_(None) if was == whose else STAGE_HISTORY.c.was_of == whose
                db.execute(
                    update(STAGE_HISTORY)
                    .where(STAGE_HISTORY.c.person == was, own)
                    .values(person=person, was_of=None if whose == person else whose)
                )
    steps = [
        {
            "person": people[index],
            "at": at,
            "from_stage": goes_on.moved_from.stage,
            "to_stage": goes_on.state.stage,
            "from_status": goes_on.moved_from.status.value,
            "to_status": goes_on.state.status.value,
            "because": _PARTED,
            "adopted": True,  # found again, not entered or left
            "entered_mql": False,
            "left_mql": False,
            "criteria_version": version,
            "run": run,
            "before": codec.dump_state(goes_on.moved_from),
        }
        for index, goes_on in found.going.items()
        if goes_on.moved_from is not None and people[index] == goes_on.id
    ]
    if steps:
        db.execute(insert(STAGE_HISTORY), steps)
