"""Gives places to the best of those who qualify by points, where the criteria let only so many become MQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.criteria import Criteria
from connector.core.model import JsonValue
from connector.core.places import WEEK, Bar, contests, free, rank, taken, told
from connector.ports import Lease, Ledger

PLACES = "places"  # their name in a run's document and in a plan's summary


@dataclass(frozen=True, slots=True)
class Given:
    """Who got a place, and the bar of each contest."""

    people: frozenset[int]
    bars: tuple[Bar, ...]


async def give_places(ledger: Ledger, criteria: Criteria, lease: Lease, at: datetime) -> Given:
    """Once everybody due is decided: whoever gets a place is due again, and is then decided with it."""
    people: set[int] = set()
    bars: list[Bar] = []
    for each in contests(criteria):
        waiting = await ledger.waiting(each.name)
        places = free(each.stage, await ledger.entered_mql(each.audiences, at - WEEK))
        least = None
        if (place := rank(each.stage, await ledger.in_the_running(each.audiences))) is not None:
            least = await ledger.score_of_rank(each.audiences, place)
        got = taken(waiting, places, least)
        people.update(person for person, _ in got)
        score = got[-1][1] if got else least
        bars.append(Bar(each.name, at, score, places, len(got), len(waiting) - len(got)))
    await ledger.take_up(sorted(people), lease, at)
    return Given(frozenset(people), tuple(bars))


async def tell_of_places(ledger: Ledger, plan: int, bars: Sequence[Bar], at: datetime) -> None:
    """Keep with a plan how many got in among the best, and whether the bar was loosened for them."""
    if bars:
        summary: dict[str, JsonValue] = {
            "title": "places among the best",
            "lines": [told(bar) for bar in bars],
            "loosened": sum(bar.loosened for bar in bars),
        }
        await ledger.tell_of_plan(plan, PLACES, summary, at)
