"""Tugs of war, and what a CRM said it took: read back by a sample, counted, and left alone after the third time."""

from __future__ import annotations

from typing import Any

import pytest

from connector.core.model import FieldWrite, Ref
from connector.core.tug import pulled
from connector.ports import TUGGED, Hold
from connector.sandbox.faults import Fault
from tests.stories.world import Somebody, World, somebody, world

FIELDS = {"hubspot": ("contacts", "mql_status", "none"), "salesforce": ("Lead", "MQL_Status__c", "none")}


def place(who: Somebody, crm: str) -> Ref:
    return Ref("hubspot", "contact", who.contact) if crm == "hubspot" else Ref("salesforce", "Lead", who.lead)


def set_back(made: World, who: Somebody, crm: str, **more: Any) -> None:
    """Somebody puts the status back to what it was, as a workflow of theirs would."""
    object_, name, value = FIELDS[crm]
    made.running[crm].edit(object_, place(who, crm).id, {name: value, **more})


def stands(made: World, who: Somebody, crm: str, name: str) -> Any:
    if crm == "hubspot":
        return made.hubspot.raw("contacts", who.contact)["properties"].get(name)
    return made.salesforce.raw("Lead", who.lead).get(name)


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_a_field_that_somebody_changes_back_three_times_is_left_alone_and_told(
    database_url: str, crm: str
) -> None:
    async with world(database_url) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        _, name, theirs = FIELDS[crm]
        score = "mql_score" if crm == "hubspot" else "MQL_Score__c"
        made.later(hours=1)
        await made.sync()

        for turn in (1, 2):
            set_back(made, who, crm)
            made.later(minutes=15)
            again = await made.sync()
            assert stands(made, who, crm, name) == "qualified", turn
            assert not again.crms[crm].tugs

        set_back(made, who, crm, **{score: 1})
        made.later(minutes=15)
        third = await made.sync()
        writes = len(made.writes(crm))
        made.later(minutes=15)
        after = await made.sync()

        assert stands(made, who, crm, name) == theirs
        assert str(stands(made, who, crm, score)) != "1", "the other fields of the record go on"
        [tug] = third.crms[crm].tugs
        assert tug["field"] == name
        assert tug["record"] == str(place(who, crm))
        assert tug["times"] == 3
        assert (tug["ours"], tug["theirs"]) == ("qualified", theirs)
        assert tug["by"]
        assert third.document()["crms"][crm]["tugs"] == [tug]
        [hold] = [hold for hold in await made.ledger.holds([place(who, crm)]) if hold.field == name]
        assert hold.holds
        assert hold.run == third.run
        assert len(made.writes(crm)) == writes
        assert after.status == "succeeded"

        await made.ledger.release_holds([hold], "ada", made.clock.now())
        made.later(minutes=15)
        await made.sync()
        assert stands(made, who, crm, name) == "qualified"


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_an_automation_of_the_crms_own_wins_the_third_time_and_is_named(
    sqlite_url: str, crm: str
) -> None:
    """A workflow that sets the status back some minutes later, a flow that does so as it is saved."""
    async with world(sqlite_url) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        _, name, theirs = FIELDS[crm]
        rule = {"name": "Keep it", "when": name, "equals": "qualified", "sets": name, "to": theirs}
        if crm == "hubspot":
            made.hubspot.create("workflows", {**rule, "after": 300})
        else:
            made.salesforce.create("flows", rule)
        made.later(hours=1)
        set_back(made, who, crm)

        told: list[dict[str, Any]] = []
        differed = 0
        for _ in range(6):
            made.later(minutes=15)
            result = await made.sync()
            told += result.crms[crm].tugs
            differed += int(result.crms[crm].read_back.get("differ", 0))
        writes = len(made.writes(crm))
        made.later(minutes=15)
        after = await made.sync()

        assert stands(made, who, crm, name) == theirs
        assert told
        assert told[0]["field"] == name
        assert told[0]["by"]
        assert len(made.writes(crm)) == writes
        assert after.status == "succeeded"
        if crm == "salesforce":
            assert 1 <= differed <= 3, "the read-back saw it at once"


def test_a_count_goes_on_for_the_same_value_alone() -> None:
    ref = Ref("hubspot", "contact", "1")

    def turn(after: Any, before: Any, last: Any, known: Hold | None = None) -> int | None:
        return pulled(FieldWrite("mql_band", before, after, "always", "band"), last, known)

    def counted(value: Any, times: int) -> Hold:
        from tests.stories.ledger_words import NOON

        return Hold(ref, "mql_band", TUGGED, value, 1, NOON, "", times=times)

    assert turn(4, 2, 4) == 1
    assert turn(4, 2, 4, counted(4, 1)) == 2
    assert turn(4, 2, 4, counted(3, 2)) == 1, "another value of ours begins anew"
    assert turn(5, 2, 4, counted(4, 2)) is None, "our value has moved by itself"
    assert turn(4, "4", 4) is None, "nobody has changed it"


async def test_a_value_that_we_want_to_be_another_by_now_ends_the_count(sqlite_url: str) -> None:
    async with world(sqlite_url) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        made.later(hours=1)
        await made.sync()
        for _ in range(2):
            set_back(made, who, "hubspot")
            made.later(minutes=15)
            await made.sync()

        made.hubspot.edit("contacts", who.contact, {"hs_lead_status": "UNQUALIFIED"})
        made.later(minutes=15)
        await made.sync()

        assert stands(made, who, "hubspot", "mql_status") in ("rejected", "recycled")
        assert not [
            hold for hold in await made.ledger.holds([place(who, "hubspot")]) if hold.field == "mql_status"
        ]


# ------------------------------------------------------------------------------------------------- read-back


async def test_what_was_written_is_read_back_by_a_sample(sqlite_url: str) -> None:
    async with world(sqlite_url) as made:
        result = await made.sync()

        for counts in result.crms.values():
            assert counts.read_back == {
                "sampled": min(counts.written, counts.read_back["sampled"]), "differ": 0, "records": []
            }  # fmt: skip
            assert 20 <= counts.read_back["sampled"] <= 50


async def test_a_workflow_that_changes_a_write_at_once_makes_the_run_partial_and_is_named(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url) as made:
        await made.sync()
        who = await somebody(made)
        score = stands(made, who, "hubspot", "mql_score")
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.later(minutes=15)
        made.hubspot.faults.add(
            Fault(
                method="POST", path="*/contacts/batch/update*", status=200,
                json={
                    "status": "COMPLETE",
                    "results": [{
                        "id": who.contact, "properties": {"mql_score": score}, "archived": False,
                        "createdAt": "2026-11-22T10:00:00Z", "updatedAt": "2026-11-22T11:15:00Z",
                    }],
                },
            )
        )  # fmt: skip

        lied = await made.sync()
        made.later(minutes=15)
        healed = await made.sync()

        counts = lied.crms["hubspot"]
        assert lied.status == "partial"
        assert counts.written == 1, "the receipt stays as it was given"
        assert counts.read_back["differ"] == 1
        [record] = counts.read_back["records"]
        assert record["record"] == str(place(who, "hubspot"))
        assert (record["field"], record["expected"], record["found"]) == ("mql_score", int(score), "1")
        assert "read back" in (counts.error or "")
        assert healed.status == "succeeded"
        assert stands(made, who, "hubspot", "mql_score") == score
