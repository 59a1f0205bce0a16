"""The account itself: a ledger belongs to one, and its day's allowance may end in the middle of a run."""

from __future__ import annotations

import httpx
import pytest

from connector.errors import FixConfig
from tests.stories.world import world


async def test_a_token_of_another_portal_is_refused_before_anything_is_read(database_url):
    async with world(database_url, people=40) as first:
        await first.sync("hubspot")
    async with world(database_url, people=40, options={"hubspot": {"portal": 4_711_999_999}}) as other:
        with pytest.raises(FixConfig, match="4711999999"):
            await other.sync("hubspot")
        asked = {call.path for call in other.hubspot.log.calls()}
        assert not [path for path in asked if "/objects/" in path]
        assert not other.writes("hubspot")


async def test_trap_an_allowance_that_ends_half_way_is_gone_on_with_the_next_day(database_url):
    async with world(
        database_url, people=140, options={"hubspot": {"per_day": 400}}, strict_limits=True
    ) as made:
        token = made.hubspot.environment()["HUBSPOT_ACCESS_TOKEN"]
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=made.hubspot.url, headers=headers) as others:
            for call in range(375):  # other apps of the same account
                if call % 150 == 0:
                    made.later(seconds=11)
                await others.get("/account-info/v3/details")

        result = await made.sync("hubspot")

        assert result.status == "partial"
        assert "spent its calls" in (result.crms["hubspot"].error or "")
        assert not made.writes("hubspot")
        made.later(days=1)
        result = await made.sync("hubspot")
        assert result.status == "succeeded"
        written = {write.id for write in made.writes("hubspot") if write.changed}
        assert len(written) == len(made.hubspot.sandbox.store.tables["contacts"].live)


async def test_quirk_hubspot_19_an_edit_that_bumps_every_record_makes_nobody_due_and_writes_nothing(
    database_url,
):
    async with world(database_url, people=140) as made:
        await made.sync("hubspot")
        made.later(hours=1)
        await made.sync("hubspot")
        made.later(hours=1)
        table = made.hubspot.sandbox.store.tables["contacts"]
        for id_ in list(table.live):  # as the edit of a pipeline does
            table.touch(table.rows[id_], made.hubspot.sandbox.store.now())
        made.later(minutes=5)
        before = len(made.writes("hubspot"))

        result = await made.sync("hubspot")

        counts = result.crms["hubspot"]
        assert counts.fetched["contacts"].rows == len(table.live)
        assert (counts.planned, counts.adds_up()) == (0, True)
        assert len(made.writes("hubspot")) == before


async def test_trap_a_property_lost_over_night_overwrites_nothing_and_demotes_nobody(database_url):
    async with world(database_url, people=140) as made:
        await made.sync("hubspot")
        table = made.hubspot.sandbox.store.tables["contacts"]
        id_ = next(str(id_) for id_ in table.live if table.rows[id_].values.get("jobtitle"))
        [person] = await made.ledger.find(f"hubspot:contact:{id_}")
        before = await made.ledger.person(person)
        made.later(hours=12)
        await made.sync("hubspot")
        lost = table.properties.pop("jobtitle")
        made.hubspot.edit("contact", id_, {"city": "Elsewhere"})
        made.later(minutes=15)

        result = await made.sync("hubspot")

        assert result.status == "partial"
        assert "contact.jobtitle" in (result.crms["hubspot"].error or "")
        after = await made.ledger.person(person)
        assert after.fields["title"] == before.fields["title"]
        assert after.state.stage == before.state.stage
        table.properties["jobtitle"] = lost
        made.later(hours=2)
        healed = await made.sync("hubspot")
        assert healed.status == "succeeded"
        assert (await made.ledger.person(person)).fields["city"] == "Elsewhere"
