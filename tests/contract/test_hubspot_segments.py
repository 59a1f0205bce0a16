"""Who is on a list of HubSpot: all pages of it, by id or by whole name; a list that is not there is a wrong mapping."""

from dataclasses import replace

import pytest

from adapters.hubspot.access import needed
from connector.core.mapping import OverrideMap
from connector.errors import FixConfig
from connector.sandbox.faults import Fault
from tests.stories.world import world


async def test_all_members_come_whatever_the_page_and_a_list_is_found_by_id_or_name(sqlite_url: str) -> None:
    async with world(sqlite_url, people=300) as made:
        store = made.hubspot.sandbox.store
        everybody = set(store.tables["contacts"].live)
        store.on_list["3"] = dict.fromkeys(store.tables["contacts"].rows, True)
        hubspot = made.adapters["hubspot"]
        assert len(everybody) > 250

        found = await hubspot.members("contact", "Trade Fair 2026")

        assert found == {str(store.tables["contacts"].rows[live].id) for live in everybody}
        assert await hubspot.members("contact", "3") == found
        for unknown in ("99", "Trade fair"):
            with pytest.raises(FixConfig, match=f"no list of contacts `{unknown}`"):
                await hubspot.members("contact", unknown)
        made.hubspot.faults.add(
            Fault(path="*/lists/*/3", status=400, json={"status": "error", "message": "odd"})
        )
        with pytest.raises(Exception, match="400"):
            await hubspot.members("contact", "3")
        made.hubspot.faults.clear()

        mapping = made.definition.mappings["hubspot"]
        lists = OverrideMap("", {}, segments={"never": ("Trade fair 2026", "99"), "mql_now": ("Nobody",)})
        contact = replace(mapping.objects["contact"], override=lists)
        mapping = replace(mapping, objects={**mapping.objects, "contact": contact})
        told = [each for each in await hubspot.inspect(mapping) if each.where.endswith("segments")]
        assert [each.what for each in told] == [
            f"HubSpot has no list of contacts `{name}`." for name in ("99", "Nobody")
        ]
        assert {each.level for each in told} == {"problem"}
        assert "crm.lists.read" in needed(mapping)
        assert "crm.lists.read" not in needed(made.definition.mappings["hubspot"])
        assert not any("lists.write" in scope for scope in needed(mapping))
        with pytest.raises(FixConfig, match="Salesforce has no segments"):
            await made.adapters["salesforce"].members("Lead", "3")
