"""The sums of every stream: each row on the wire is stored, a duplicate, quarantined or ignored, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from connector.core.model import Page
from connector.pipeline import RunResult
from tests.stories.world import World, somebody, world

SHARED = {"salesforce": {"shared_activities": True, "person_accounts": 3}}


def rows_add_up(result: RunResult) -> None:
    for crm, counts in result.crms.items():
        for stream, fetched in counts.fetched.items():
            assert fetched.adds_up(), f"{crm} {stream}: {fetched}"


def alive(made: World, object: str) -> list[str]:
    store = made.salesforce.sandbox.store  # type: ignore[attr-defined]
    return sorted(row["Id"] for row in store.tables[object].rows.values() if not row.get("IsDeleted"))


async def test_rows_add_up_over_edits_conversions_merges_and_what_was_taken_away(database_url: str) -> None:
    async with world(database_url, people=60, options=SHARED) as made:
        rows_add_up(await made.sync())
        who = await somebody(made)
        leads, members = alive(made, "Lead"), alive(made, "CampaignMember")
        made.later(hours=1)
        made.salesforce.act("Lead", who.lead, "convert", opportunity=True)
        made.salesforce.act("Lead", next(id for id in leads if id != who.lead), "delete")
        made.salesforce.act("CampaignMember", members[0], "delete")
        meeting = made.hubspot.create("meetings", {"hs_meeting_title": "Tour", "contacts": [who.contact]})
        made.later(minutes=15)
        soon = await made.sync()
        made.hubspot.act("meetings", meeting, "archive")
        made.later(days=8)

        later = await made.sync()

        rows_add_up(soon)
        rows_add_up(later)
        assert soon.crms["salesforce"].fetched["CampaignMember"].stored > 0
        assert (soon.status, later.status) == ("succeeded", "succeeded")


async def test_what_is_gone_without_a_row_counts_beside_the_rows_that_the_mapping_ignores(
    database_url: str,
) -> None:
    async with world(database_url, people=60) as made:
        await made.sync()
        who = await somebody(made)
        done = {"Subject": "Call", "Status": "Completed", "WhoId": who.lead}
        task = made.salesforce.create("Task", done)
        made.later(minutes=15)
        await made.sync()
        made.salesforce.act("Task", task, "purge")  # no query shows it any more, and no log tells of it
        made.later(days=2)

        swept = await made.sync()

        rows_add_up(swept)
        told = swept.crms["salesforce"].fetched["Task"]
        assert told.ignored > 0
        assert told.rows == len(alive(made, "Task")) + 1, "all that live, and the one that is missed"


class Stammering:
    """An adapter whose vendor tells every event of a page twice."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def pull(self, *asked: Any) -> AsyncIterator[Page]:
        async for page in self._real.pull(*asked):
            yield replace(page, events=page.events * 2, fetched=page.fetched + len(page.events))


async def test_an_event_of_several_people_that_a_page_tells_twice_is_stored_once_and_a_duplicate_once(
    database_url: str,
) -> None:
    async with world(database_url, people=30) as made:
        contacts = sorted(str(id) for id in made.hubspot.sandbox.store.tables["contacts"].live)  # type: ignore[attr-defined]
        made.hubspot.create("meetings", {"hs_meeting_title": "Tour", "contacts": contacts[:3]})
        made.adapters = {crm: Stammering(adapter) for crm, adapter in made.adapters.items()}
        made.later(minutes=10)

        result = await made.sync()

        rows_add_up(result)
        told = result.crms["hubspot"].fetched["meetings"]
        assert told.stored == told.duplicate > 0
        assert result.status == "succeeded"
