"""What humans decide of pairs of records, held against itself and against what the records say. Decides no identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.core.model import Ref

Answers = Mapping[tuple[Ref, Ref], str]
"""`join` or `split` by pair, in either order."""


@dataclass(frozen=True, slots=True)
class PairAct:
    """What a human did to a pair of records at a moment: `join`, `split`, or `undo` of the last of these."""

    at: datetime
    a: Ref
    b: Ref
    act: str


def answers_at(acts: Iterable[PairAct], at: datetime) -> dict[tuple[Ref, Ref], str]:
    """The answers that stood at `at`. `acts` in the order in which they were done."""
    stood: dict[tuple[Ref, Ref], list[str]] = {}
    for each in acts:
        if each.at > at:
            continue
        told = stood.setdefault((each.a, each.b), [])
        if each.act != "undo":
            told.append(each.act)
        elif told:
            told.pop()
    return {pair: told[-1] for pair, told in stood.items() if told}


def contradiction(answers: Answers) -> tuple[Ref, Ref] | None:
    """A pair that was split although joins, one after the other, lead from one to the other. None: all can be done."""
    roots: dict[Ref, Ref] = {}

    def root(ref: Ref) -> Ref:
        while (above := roots.get(ref, ref)) != ref:
            ref = above
        return ref

    for (a, b), answer in answers.items():
        if answer == "join":
            roots[root(a)] = root(b)
    splits = sorted(pair for pair, answer in answers.items() if answer == "split")
    return next(((a, b) for a, b in splits if root(a) == root(b)), None)


def refusal(answers: Answers, a: Ref, b: Ref, answer: str) -> str:
    """Why this answer cannot stand beside the others, in words; empty where it can. An empty answer: the pair is left
    to the rules again."""
    others = {pair: said for pair, said in answers.items() if set(pair) != {a, b}}
    if answer:
        others[a, b] = answer
    found = contradiction(others)
    if found is None:
        return ""
    if set(found) == {a, b}:
        return f"{found[0]} and {found[1]} are joined by way of others; a split would contradict these joins"
    return f"{found[0]} and {found[1]} were split by a human, and this would make one person of them"
