"""The report of the hand-off, by hand: medians, shares, who needs a human."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.core.handoff import CrmUser, Handoff, Spell
from connector.insight.sla import NeedsHuman, sla_report
from connector.ports import KeptSpell

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
USERS = {
    each.id: each
    for each in (CrmUser("salesforce", "005A", "Robin"), CrmUser("salesforce", "005X", "Gone", active=False))
}


def kept(person: int, *, touched: float | None = None, owner: str = "005A", fields=None, **more) -> KeptSpell:
    told = {"via": "record", "due_at": MONDAY + 4 * HOUR, "source": "web"} | more
    at = None if touched is None else MONDAY + touched * HOUR
    return KeptSpell(person, Spell(MONDAY, owner=owner, touched_at=at, **told), fields or {"owner": owner})


def test_the_report_counts_working_time_by_owner_and_source_and_names_who_needs_a_human():
    spells = [
        kept(1, touched=1),
        kept(2, touched=3, source="fair"),
        kept(3, touched=22, source="fair"),  # on Tuesday at 8: seven working hours, and late
        kept(4),  # untouched, overdue
        kept(5, owner="", via="nobody", due_at=None),
        kept(6, owner="ada@example.com", via="pool", fields={"owner": "005X"}),
        kept(7, quiet="first load", owner="", via="nobody"),
        kept(8, ended="left", ended_at=MONDAY + HOUR),  # left before it was due: nobody was late
        kept(9, ended="left", ended_at=MONDAY + 9 * DAY),  # never touched
    ]
    found = sla_report(spells, USERS, lambda audience: Handoff(), MONDAY + DAY)
    total = found.total
    assert (total.mqls, total.touched, total.hours) == (8, 3, 3.0)
    assert (total.within, total.judged, total.share) == (2, 6, 2 / 6)
    assert (total.untouched, total.overdue) == (3, 2)
    assert {name: pace.mqls for name, pace in found.by_owner.items()} == {
        "Robin": 6,
        "ada@example.com": 1,
        "nobody": 1,
    }
    assert (found.by_source["fair"].hours, found.by_source["fair"].share) == (5.0, 0.5)
    assert found.humans == (
        NeedsHuman(5, MONDAY, "unowned"),
        NeedsHuman(6, MONDAY, "inactive owner", "Gone"),
        NeedsHuman(7, MONDAY, "unowned"),
    )
    assert found.quiet == 1
    early = sla_report(spells, USERS, lambda audience: Handoff(), MONDAY + DAY, until=MONDAY)
    assert (early.total.mqls, early.total.hours, len(early.humans)) == (0, None, 3)
