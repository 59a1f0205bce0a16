"""Decides which CRM records are one person. Reads and writes nothing, and settles no field between records.

Grounds, strongest first: what a human decided, explicit ids, addresses. The answer depends only on the
records as they stand: a link whose ground has vanished is simply not found again.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from connector.core.model import PersonRecord, RecordState, Ref
from connector.core.normalize.derive import is_role_name

# An address that more records carry than this is a placeholder ("none@example.com"). It joins nobody.
CROWD = 50
# Questions put to a human about one cluster of records; answering them brings up the next ones.
REVIEWS_AT_ONCE = 20

_DEAD = (RecordState.ARCHIVED, RecordState.GONE)


@dataclass(frozen=True, slots=True)
class Group:
    """Records that are one person, in order.

    `person` is the id kept from the last decision, None for somebody new. `targets` are its live records, the
    ones that may be written. `ground` says why they belong together.
    """

    refs: tuple[Ref, ...]
    person: int | None
    ground: tuple[str, ...] = ()
    targets: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Every record given is in exactly one group. `reviews` are pairs for a human to look at, and why."""

    groups: tuple[Group, ...]
    reviews: tuple[tuple[Ref, Ref, str], ...] = ()


def resolve(
    records: Sequence[PersonRecord],
    person_of: Mapping[Ref, int],
    decided: Mapping[tuple[Ref, Ref], str],
    *,
    crowded: Collection[str] = frozenset(),
) -> Resolution:
    """Group the records into people. `records` must be complete: the closure over explicit ids and addresses.

    1. What a human decided (`join`, `split`; either order of the pair) wins over everything.
    2. Explicit ids: a merged or converted record belongs to the one it moved to, an absorbed one to its
       survivor (a `same_as` within one object), counterparts in another CRM to each other.
    3. Addresses, of records that are neither archived nor gone. An address joins two groups unless
       - explicit ids contradict: both groups name a record of one object, and not the same one;
       - it would join two live records of one object whose last names differ (blank agrees with all);
       - it is a role address, or one in a crowd (`crowded`, or more than 50 records).
       Where such a doubt touches several groups, only those are joined that are in doubt with exactly the
       same others; so no order of records decides who gets whom. Everyone else stays alone, for review.
    4. An archived or gone record stays with whom its own explicit ids name; it joins nobody else.

    Person ids are kept where most records of a group had them (ties: the smallest), each id once.
    """
    known = {record.ref: record for record in sorted(records, key=lambda record: record.ref)}
    answers = {_pair(a, b): verdict for (a, b), verdict in decided.items()}
    joined = _Joined(pair for pair, verdict in answers.items() if verdict == "split")
    reviews: dict[tuple[Ref, Ref], str] = {}

    for a, b in sorted(pair for pair, verdict in answers.items() if verdict == "join"):
        if not joined.join(a, b, f"a human joined {a} and {b}"):
            reviews[a, b] = "what humans decided about these records contradicts itself"
    for a, b, ground in _explicit_links(known):
        if not joined.join(a, b, ground) and _pair(a, b) not in answers:
            reviews[_pair(a, b)] = (
                "explicit ids link them, but a human split one from what belongs to the other"
            )

    absorbed = _absorbed(known)
    role_holders = _join_by_address(known, absorbed, joined, answers, crowded, reviews)
    _attach_dead(known, joined)
    for holders in role_holders:
        apart = [
            pair for pair in combinations(holders, 2) if not joined.together(*pair) and pair not in answers
        ]
        for pair in apart[:REVIEWS_AT_ONCE]:
            reviews.setdefault(pair, "they share only a role address")

    members = joined.groups(known)
    persons = _keep_ids(members, person_of)
    groups = tuple(
        Group(
            refs=refs,
            person=person,
            ground=joined.ground_of(refs),
            targets=tuple(r for r in refs if known[r].state is RecordState.LIVE and r not in absorbed),
        )
        for refs, person in zip(members, persons, strict=True)
    )
    asked = ((a, b, why) for (a, b), why in sorted(reviews.items()) if a in known and b in known)
    return Resolution(groups, tuple(asked))


def said_against(records: Sequence[PersonRecord], a: Ref, b: Ref, answer: str) -> tuple[str, ...]:
    """What the records themselves say against a human's answer, in words: ids that contradict a join, ids that speak
    against a split. The answer stands all the same. `records`: the closure, as for `resolve`."""
    known = {record.ref: record for record in sorted(records, key=lambda record: record.ref)}
    if answer == "split":
        links = _explicit_links(known)
        return tuple(
            f"{ground}: an explicit id says they are one" for x, y, ground in links if {x, y} == {a, b}
        )
    by_ids = _Joined(())
    for one, other, ground in _explicit_links(known):
        by_ids.join(one, other, ground)
    absorbed = _absorbed(known)
    if by_ids.together(a, b):
        return ()
    doubt = _doubt(*(_Face(by_ids.members(ref), known, absorbed) for ref in (a, b)))
    if doubt is None:
        return ()
    reason = (
        doubt[2].removeprefix("they share an address, but ").replace("one address on two", "these are two")
    )
    return (f"{reason}: {doubt[0]} and {doubt[1]}",)


def is_role_address(address: str) -> bool:
    """Whether a normalized address is a desk's mailbox, by its local part and whatever its domain."""
    return is_role_name(address.rpartition("@")[0])


def same_last_name(a: object, b: object) -> bool:
    """Whether two last names agree: equal but for case, space, punctuation and accents, or one is blank."""
    one, other = _plain(a), _plain(b)
    return not one or not other or one == other


# ---------------------------------------------------------------------------------------- explicit ids


def _explicit_links(known: Mapping[Ref, PersonRecord]) -> list[tuple[Ref, Ref, str]]:
    """Where records moved, then what ids say elsewhere. What an archived or gone record says joins nobody."""
    moved, same = [], []
    for ref, record in known.items():
        if record.moved_to and record.moved_to != ref:
            moved.append((ref, record.moved_to, f"{ref} became {record.moved_to}"))
        if record.state not in _DEAD:
            same += [(ref, other, f"{ref} names {other}") for other in sorted(record.same_as) if other != ref]
    return moved + same


def _absorbed(known: Mapping[Ref, PersonRecord]) -> frozenset[Ref]:
    """Records that a live one of the same object says it has swallowed, though nobody told us they ended."""
    swallowed = set()
    for ref, record in known.items():
        if record.state is RecordState.LIVE:
            for other in record.same_as:
                mutual = other in known and ref in known[other].same_as
                if other != ref and _object(other) == _object(ref) and not mutual:
                    swallowed.add(other)
    return frozenset(swallowed)


def _attach_dead(known: Mapping[Ref, PersonRecord], joined: _Joined) -> None:
    """A dead record stays with the first of its own explicit ids, so its facts stay with their person."""
    for ref, record in known.items():
        if record.state in _DEAD and all(known[r].state in _DEAD for r in joined.members(ref) if r in known):
            for other in sorted(record.same_as):
                if other in known and joined.join(ref, other, f"{ref}, no longer there, named {other}"):
                    break


# ------------------------------------------------------------------------------------------- addresses


def _join_by_address(
    known: Mapping[Ref, PersonRecord],
    absorbed: frozenset[Ref],
    joined: _Joined,
    answers: Mapping[tuple[Ref, Ref], str],
    crowded: Collection[str],
    reviews: dict[tuple[Ref, Ref], str],
) -> list[list[Ref]]:
    """Join what shares an address, ask where in doubt. Returns the holders of each role address."""
    holders: dict[str, list[Ref]] = defaultdict(list)
    role = set()
    for ref, record in known.items():
        if not _stands(record, known):
            continue
        for address in dict.fromkeys(record.emails):
            holders[address].append(ref)
        if record.emails and record.fields.get("email_kind") == "role":
            role.add(record.emails[0])

    links: dict[Ref, dict[Ref, tuple[Ref, Ref]]] = defaultdict(
        dict
    )  # by first member: who shares what with whom
    role_holders = []
    for address, refs in sorted(holders.items()):
        if len(refs) < 2 or len(refs) > CROWD or address in crowded:
            continue
        if address in role or is_role_address(address):
            role_holders.append(refs)
            continue
        for a, b in combinations(refs, 2):
            one, other = joined.root(a), joined.root(b)
            if one != other:
                links[one].setdefault(other, (a, b))
                links[other].setdefault(one, (a, b))

    for cluster in _clusters(links):
        doubts = {}
        faces = {root: _Face(joined.members(root), known, absorbed) for root in cluster}
        for one, other in combinations(cluster, 2):
            doubt = joined.split_between(one, other) or _doubt(faces[one], faces[other])
            if doubt:
                doubts[one, other] = doubts[other, one] = doubt
        for same in _agreeing(cluster, doubts, links):
            for one, other in same:
                a, b = links[one][other]
                joined.join(a, b, f"{a} and {b} share an address")
        _ask(cluster, doubts, links, joined, answers, reviews)
    return role_holders


def _stands(record: PersonRecord, known: Mapping[Ref, PersonRecord]) -> bool:
    """Whether a record speaks for a living person: neither it nor what it became is archived or gone."""
    seen = set()
    while record.state not in _DEAD:
        seen.add(record.ref)
        after = known.get(record.moved_to) if record.moved_to else None
        if after is None or after.ref in seen:
            return True
        record = after
    return False


class _Face:
    """What a group shows to others, per object: the counterpart its explicit ids name, its live records."""

    def __init__(
        self, members: Iterable[Ref], known: Mapping[Ref, PersonRecord], absorbed: frozenset[Ref]
    ) -> None:
        self.named: dict[tuple[str, str], Ref] = {}
        self.live: dict[tuple[str, str], list[PersonRecord]] = defaultdict(list)
        for ref in sorted(members):
            record = known.get(ref)
            if record is None or record.state in _DEAD:
                continue
            if record.state is RecordState.LIVE and ref not in absorbed:
                self.live[_object(ref)].append(record)
            for other in (*record.same_as, record.moved_to):
                # An id of a record that is known to be gone names nobody any more.
                if other is None or _object(other) == _object(ref):
                    continue
                if other not in known or known[other].state not in _DEAD:
                    self.named.setdefault(_object(other), other)


def _doubt(one: _Face, other: _Face) -> tuple[Ref, Ref, str] | None:
    """Why an address may not join two groups, with the two records in question."""
    for place in sorted(one.named.keys() & other.named.keys()):
        a, b = one.named[place], other.named[place]
        return (
            *_pair(a, b),
            f"they share an address, but explicit ids name two different {place[1]} records",
        )
    for place in sorted(one.live.keys() & other.live.keys()):
        for a_record in one.live[place]:
            for b_record in other.live[place]:
                if not same_last_name(a_record.fields.get("last_name"), b_record.fields.get("last_name")):
                    return (
                        *_pair(a_record.ref, b_record.ref),
                        f"one address on two {place[1]} records with different last names",
                    )
    return None


def _agreeing(
    cluster: Sequence[Ref],
    doubts: Mapping[tuple[Ref, Ref], object],
    links: Mapping[Ref, Mapping[Ref, tuple[Ref, Ref]]],
) -> list[list[tuple[Ref, Ref]]]:
    """Links between groups that are in doubt with exactly the same others; all, where nothing is in doubt."""
    against = {one: frozenset(other for other in cluster if (one, other) in doubts) for one in cluster}
    return [
        [(one, other) for other in links[one] if one < other and against[one] == against[other]]
        for one in cluster
    ]


def _ask(
    cluster: Sequence[Ref],
    doubts: Mapping[tuple[Ref, Ref], tuple[Ref, Ref, str]],
    links: Mapping[Ref, Mapping[Ref, tuple[Ref, Ref]]],
    joined: _Joined,
    answers: Mapping[tuple[Ref, Ref], str],
    reviews: dict[tuple[Ref, Ref], str],
) -> None:
    questions: dict[tuple[Ref, Ref], str] = {}
    hesitant: dict[tuple[Ref, Ref], str] = {}
    for one in cluster:
        for other, (a, b) in links[one].items():
            if one > other or joined.together(one, other):
                continue
            doubt = doubts.get((one, other))
            if doubt is None:
                hesitant[_pair(a, b)] = "they share an address that others, who are somebody else, carry too"
            elif doubt[2]:
                questions[_pair(a, b)] = doubt[2]
    asked = [(pair, why) for pair, why in (*sorted(questions.items()), *sorted(hesitant.items()))]
    for pair, why in [each for each in asked if each[0] not in answers][:REVIEWS_AT_ONCE]:
        reviews.setdefault(pair, why)


def _clusters(links: Mapping[Ref, Mapping[Ref, object]]) -> list[list[Ref]]:
    clusters, seen = [], set()
    for start in sorted(links):
        if start in seen:
            continue
        cluster, todo = [], [start]
        seen.add(start)
        while todo:
            each = todo.pop()
            cluster.append(each)
            for other in links[each]:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        clusters.append(sorted(cluster))
    return clusters


# --------------------------------------------------------------------------------------------- persons


def _keep_ids(members: Sequence[tuple[Ref, ...]], person_of: Mapping[Ref, int]) -> list[int | None]:
    wishes = []
    for place, refs in enumerate(members):
        had: dict[int, int] = defaultdict(int)
        for ref in refs:
            if ref in person_of:
                had[person_of[ref]] += 1
        wishes += [(-count, person, refs[0], place) for person, count in had.items()]
    kept: dict[int, int] = {}
    taken = set()
    for _, person, _, place in sorted(wishes):
        if place not in kept and person not in taken:
            kept[place] = person
            taken.add(person)
    return [kept.get(place) for place in range(len(members))]


class _Joined:
    """Sets of refs that grow by joining and never hold a pair that a human split. Roots are the smallest."""

    def __init__(self, splits: Iterable[tuple[Ref, Ref]]) -> None:
        self._root: dict[Ref, Ref] = {}
        self._members: dict[Ref, set[Ref]] = {}
        self._grounds: dict[Ref, list[str]] = defaultdict(list)
        self._enemies: dict[Ref, set[Ref]] = defaultdict(set)
        for a, b in splits:
            self._enemies[a].add(b)
            self._enemies[b].add(a)

    def root(self, ref: Ref) -> Ref:
        return self._root.get(ref, ref)

    def members(self, ref: Ref) -> set[Ref]:
        root = self.root(ref)
        return self._members.get(root, {root})

    def together(self, a: Ref, b: Ref) -> bool:
        return self.root(a) == self.root(b)

    def split_between(self, a: Ref, b: Ref) -> tuple[Ref, Ref, str] | None:
        """A pair across these two groups that a human split. Its reason is empty: nothing is left to ask."""
        if not self._enemies:
            return None
        others = self.members(b)
        for member in sorted(self.members(a)):
            for enemy in self._enemies.get(member, ()):
                if enemy in others:
                    return (*_pair(member, enemy), "")
        return None

    def join(self, a: Ref, b: Ref, ground: str) -> bool:
        """Make one set of two, unless a human split it. True when they are together afterwards."""
        one, other = sorted((self.root(a), self.root(b)))
        if one != other:
            if self.split_between(one, other):
                return False
            larger = self._members.setdefault(one, {one})
            smaller = self._members.pop(other, {other})
            larger |= smaller
            for ref in (*smaller, one):
                self._root[ref] = one
            self._grounds[one] += self._grounds.pop(other, [])
        self._grounds[one].append(ground)
        return True

    def ground_of(self, refs: Sequence[Ref]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._grounds.get(self.root(refs[0]), ()))) if len(refs) > 1 else ()

    def groups(self, known: Mapping[Ref, PersonRecord]) -> list[tuple[Ref, ...]]:
        by_root: dict[Ref, list[Ref]] = defaultdict(list)
        for ref in known:  # in order, so each group is too
            by_root[self.root(ref)].append(ref)
        return sorted(tuple(refs) for refs in by_root.values())


def _pair(a: Ref, b: Ref) -> tuple[Ref, Ref]:
    return (a, b) if a <= b else (b, a)


def _object(ref: Ref) -> tuple[str, str]:
    return ref.crm, ref.object


def _plain(name: object) -> str:
    """Letters and digits only, without accents. Voicing marks of kana stay: they make another name."""
    spread = unicodedata.normalize("NFKD", str(name or "")).casefold()
    return "".join(each for each in spread if each.isalnum() or each in "\u3099\u309a")


def named_as_same(record: PersonRecord) -> set[str]:
    """The records that this one names as the same person."""
    if not record.same_as and record.moved_to is None:
        return set()  # nearly everybody
    named = {str(ref) for ref in record.same_as}
    return named | {str(record.moved_to)} if record.moved_to else named
