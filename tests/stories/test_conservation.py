"""Conservation: what a run claims to have read is held against the vendor's own count, and a gap closes by itself."""

from __future__ import annotations

import pytest

from connector.core.model import Ref
from connector.ports import Range
from connector.sandbox.faults import Fault
from tests.stories.world import World, world

LISTS = Fault(method="GET", path="/crm/objects/*/contacts?*archived=false*", lose=3)
LEADS = Fault(path="*/query?q=SELECT*FROM+Lead+*", lose=3)
SEARCH = Fault(method="POST", path="/crm/objects/*/contacts/search", body="GT", lose=3)
CHANGES = Fault(path="*/queryAll?q=SELECT*FROM+Lead+*", lose=3)


def live(made: World, crm: str) -> int:
    """People's records of the sandbox itself, counted past the API."""
    store = made.running[crm].sandbox.store
    if crm == "hubspot":
        return len(store.table("contacts").live)
    return sum(
        not row.get("IsDeleted") for name in ("Lead", "Contact") for row in store.tables[name].rows.values()
    )


async def kept(made: World, crm: str) -> int:
    objects = ("contact",) if crm == "hubspot" else ("Lead", "Contact")
    return sum([await made.ledger.standing(crm, each, Range()) for each in objects])


def edit_some(made: World, crm: str, many: int = 12) -> list[str]:
    """So many people change their title."""
    store = made.running[crm].sandbox.store
    if crm == "hubspot":
        ids = [str(each) for each in store.table("contacts").live[:many]]
        for each in ids:
            made.hubspot.edit("contacts", each, {"jobtitle": "Chief Executive Officer"})
        return ids
    rows = store.tables["Lead"].rows
    ids = [key for key, row in rows.items() if not row.get("IsDeleted") and not row.get("IsConverted")][:many]
    for each in ids:
        made.salesforce.edit("Lead", each, {"Title": "Chief Executive Officer"})
    return ids


@pytest.mark.parametrize(("crm", "fault"), [("hubspot", LISTS), ("salesforce", LEADS)])
async def test_a_first_load_that_loses_rows_of_a_page_is_partial_names_them_and_gets_them(
    database_url: str, crm: str, fault: Fault
) -> None:
    async with world(database_url) as made:
        made.running[crm].faults.add(fault)

        result = await made.sync()

        assert result.status == "partial"
        said = result.crms[crm].error or ""
        assert "3 of them had not come" in said
        assert not [other for other, counts in result.crms.items() if other != crm and counts.error]
        assert result.crms[crm].adds_up()
        assert await kept(made, crm) == live(made, crm)


@pytest.mark.parametrize(("crm", "fault"), [("hubspot", SEARCH), ("salesforce", CHANGES)])
async def test_changes_that_a_page_leaves_out_are_missed_by_the_count_and_read_by_themselves(
    database_url: str, crm: str, fault: Fault
) -> None:
    async with world(database_url) as made:
        await made.sync()
        made.later(hours=2)
        await made.sync()
        made.later(hours=2)
        changed = edit_some(made, crm)
        made.later(minutes=10)
        made.running[crm].faults.add(fault)

        result = await made.sync()
        made.later(minutes=10)
        after = await made.sync()

        assert result.status == "partial"
        said = result.crms[crm].error or ""
        assert "3 of them had not come" in said
        assert sum(each in said for each in changed) == 3
        assert result.left == 0
        assert after.status == "succeeded"
        object_ = "contact" if crm == "hubspot" else "Lead"
        for each in changed:
            [number] = await made.ledger.find(f"{crm}:{object_}:{each}")
            view = await made.ledger.person(number)
            assert view is not None
            assert view.fields["title"] == "Chief Executive Officer"


async def test_a_search_whose_last_page_comes_empty_is_found_out(database_url: str) -> None:
    async with world(database_url, people=460) as made:
        await made.sync()
        made.later(hours=2)
        await made.sync()
        made.later(hours=2)
        changed = edit_some(made, "hubspot", 410)
        made.later(minutes=10)
        made.hubspot.faults.add(Fault(method="POST", path="*/contacts/search", body="GT", skip=2, lose=10))

        result = await made.sync()

        assert result.status == "partial"
        said = result.crms["hubspot"].error or ""
        assert "counts 410" in said
        assert "10 of them had not come" in said
        assert all(each in said for each in changed[-10:])
        assert result.crms["hubspot"].adds_up()


async def test_nothing_read_all_day_is_asked_about_with_the_first_run_of_the_next(sqlite_url: str) -> None:
    """A filter that finds nothing any more looks like a quiet day, and a quiet run asks for no count."""
    async with world(sqlite_url) as made:
        await made.sync()
        made.later(hours=2)
        await made.sync()
        made.later(hours=2)
        changed = edit_some(made, "hubspot", 2)
        made.hubspot.faults.add(
            Fault(method="POST", path="*/contacts/search", body="GT", lose=200, times=None)
        )
        made.later(minutes=10)

        quiet = await made.sync()
        made.later(hours=12)
        next_day = await made.sync()

        assert quiet.status == "succeeded"
        assert next_day.status == "partial"
        assert f"counts {len(changed)} " in (next_day.crms["hubspot"].error or "")
        assert "gives 0 where it is asked" in (next_day.crms["hubspot"].error or "")


async def test_rows_that_cannot_be_read_as_records_are_no_gap(sqlite_url: str) -> None:
    async with world(sqlite_url) as made:
        await made.sync()
        made.later(hours=2)
        [one, *_] = edit_some(made, "hubspot")
        table = made.hubspot.sandbox.store.table("contacts")
        made.hubspot.faults.add(
            Fault(
                method="POST", path="*/contacts/batch/read*", status=200,
                json={"status": "COMPLETE", "results": [{"id": one, "properties": "spoiled", "createdAt": "x"}]},
            )
        )  # fmt: skip
        made.later(minutes=10)

        result = await made.sync()

        assert one in [str(each) for each in table.live]
        assert "had not come" not in (result.crms["hubspot"].error or "")


@pytest.mark.parametrize(
    ("crm", "object_", "fault"), [("hubspot", "contact", LISTS), ("salesforce", "Lead", LEADS)]
)
async def test_a_backfill_that_loses_rows_says_so_and_gets_them(
    sqlite_url: str, crm: str, object_: str, fault: Fault
) -> None:
    async with world(sqlite_url) as made:
        made.later(hours=1)
        asked = await made.ask_backfill(crm, object=object_)
        made.running[crm].faults.add(fault)

        result = await made.backfill(asked)

        assert result.status == "partial"
        assert "3 of them had not come" in (result.crms[crm].error or "")
        stored = await made.ledger.standing(crm, object_, Range())
        assert stored == (await made.adapters[crm].estimate(asked.streams[0].name, Range())).rows


async def test_the_count_is_taken_of_the_range_alone(sqlite_url: str) -> None:
    async with world(sqlite_url) as made:
        await made.sync()
        ids = made.hubspot.sandbox.store.table("contacts").live
        stamps = await made.ledger.stamps([Ref("hubspot", "contact", str(each)) for each in ids])
        middle = sorted(stamps.values())[len(stamps) // 2]

        lower = await made.ledger.standing("hubspot", "contact", Range(None, middle))
        upper = await made.ledger.standing("hubspot", "contact", Range(middle, None))

        assert 0 < lower < lower + upper == await made.ledger.standing("hubspot", "contact", Range())
