"""Tells in one line, for a marketer, why somebody stands where they stand. Decides nothing; names no person."""

from __future__ import annotations

from connector.core.criteria import Criteria, whole
from connector.core.model import Score

LONGEST = 255  # characters: a text field of a CRM holds no more
_RULES = 4  # named at most; the long story is told elsewhere


def reason(head: str, score: Score, criteria: Criteria) -> str:
    """`head` and the rules that weigh most: "MQL: Asked for a demo; Decision maker +30, Looked at pricing +19".

    Rules by name and whole points, after decay and before caps, the heaviest first. At most 255 characters; a rule
    that does not fit is left out whole.
    """
    heaviest = sorted(score.contributions, key=lambda each: -abs(each.points))
    text, mark = head[:LONGEST], "; "
    for each in heaviest[:_RULES]:
        points = whole(each.points)
        if points == 0:
            continue
        part = f"{mark}{_one_line(criteria.name_of(each.rule))} {points:+d}"
        if len(text) + len(part) > LONGEST:
            break
        text, mark = text + part, ", "
    return text


def _one_line(name: str) -> str:
    return " ".join(name.split())
