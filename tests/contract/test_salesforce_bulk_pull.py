"""Loads and large increments by Bulk jobs: the same records as by REST, whatever dies or is refused on the way."""

import random
from datetime import timedelta

import pytest

from adapters.salesforce.errors import FieldLost
from connector.errors import StopRun
from connector.ports import Range
from tests.contract.salesforce_org import FIELDS, HOUR

JOBS = {"variables": {"SALESFORCE_BULK_READ_FROM": "15"}}
BY_REST = {"variables": {"SALESFORCE_BULK_READ_FROM": "never"}}
WIDE = {
    **FIELDS,
    "Lead": FIELDS["Lead"]
    | {
        "Description",
        "NumberOfEmployees",
        "AnnualRevenue",
        "HasOptedOutOfEmail",
        "Phone",
        "Title",
        "Address",
    },
    "Contact": FIELDS["Contact"] | {"Description", "Account.NumberOfEmployees", "Owner.Name", "MQL_Since__c"},
    "Task": FIELDS["Task"] | {"Description", "Who.Name", "Owner.Name", "IsClosed"},
}
NASTY = [
    "\n",
    "\r\n",
    ",",
    '"',
    '""',
    ";",
    "#N/A",
    "N/A",
    "null",
    "true",
    "0.0",
    "ä",
    "東",
    "\t",
    " ",
    "=1",
    "'",
    "x",
]


def jobs(org):
    return org.sandbox._run(lambda: list(org.sandbox.sandbox.store.jobs.values()))


def soiled(org, seed=3):
    """Texts of all kinds in every record that takes them."""
    dice = random.Random(seed)
    for lead in sorted(org.ids("Lead")):
        text = "".join(dice.choice(NASTY) for _ in range(12)).strip() or "x"
        org.sandbox.edit("Lead", lead, {"Description": text, "NumberOfEmployees": dice.choice((0, 1, 900))})
    for contact in sorted(org.ids("Contact")):
        org.sandbox.edit("Contact", contact, {"Description": dice.choice(NASTY) + "end"})
    org.clock.advance(HOUR)


async def everything(org, fields=WIDE):
    """All records and events of a first load, by stream."""
    found = {}
    for stream in org.adapter.streams():
        pages = await org.pull(stream.name, fields=fields)
        records = {record.ref: record for page in pages for record in page.records}
        events = {event.key: event for page in pages for event in page.events}
        found[stream.name] = (records, events, [page.quarantined for page in pages if page.quarantined])
    return found


async def test_a_world_loaded_by_jobs_is_the_one_loaded_by_rest(make_org):
    by_rest, by_jobs = await make_org(page_rows=10, **BY_REST), await make_org(page_rows=10, **JOBS)
    soiled(by_rest)
    soiled(by_jobs)

    expected, found = await everything(by_rest), await everything(by_jobs)

    assert found == expected
    assert not jobs(by_rest)
    assert {job.object for job in jobs(by_jobs)} >= {"Lead", "Contact", "Account", "Task", "CampaignMember"}
    assert {stream: cursor["kind"] for stream, cursor in by_jobs.cursors.items()} == dict.fromkeys(
        found, "changes"
    )


async def test_a_load_by_jobs_that_dies_anywhere_goes_on_and_loses_nobody(make_org, monkeypatch):
    monkeypatch.setattr("adapters.salesforce.bulk_read.PIECE_ROWS", 8)
    died_at = 0
    while True:
        org = await make_org(page_rows=10, **JOBS)
        begun = await org.pull("Lead", kept=died_at)
        whole = org.cursors.get("Lead", {}).get("kind") == "changes"
        rest = [] if whole else await org.pull("Lead")
        ids = [record.ref.id for page in [*begun, *rest] for record in page.records]
        assert set(ids) >= org.ids("Lead")
        assert len(ids) <= len(org.ids("Lead")) + 8
        assert all(page.first_load for page in [*begun, *rest])
        assert len(jobs(org)) == 1
        if whole:
            break
        died_at += 3
    assert died_at > 9


async def test_an_increment_that_is_large_goes_by_a_job_and_the_next_one_is_small_again(make_org):
    org = await make_org(page_rows=10, **JOBS)
    await org.pull_all()
    org.clock.advance(HOUR)
    before = len(jobs(org))
    edited = sorted(org.ids("Lead"))[:25]
    for lead in edited:
        org.sandbox.edit("Lead", lead, {"Company": "Renamed"})
    org.sandbox.act("Lead", edited[3], "delete")
    org.clock.advance(timedelta(minutes=30))

    changed = await org.records("Lead")
    org.clock.advance(HOUR)
    calm = await org.records("Lead")

    assert set(edited) <= set(changed)
    assert len(jobs(org)) == before + 1
    assert jobs(org)[-1].operation == "queryAll"
    assert not calm


async def test_what_changes_while_a_job_runs_comes_with_the_next_pull(make_org):
    org = await make_org(page_rows=10, bulk_queue=timedelta(minutes=30), **JOBS)
    seen, edited = {}, None
    async for page in org.adapter.pull("Lead", None, FIELDS):
        org.cursors["Lead"] = page.cursor
        seen |= {record.ref.id: record for record in page.records}
        if page.cursor.get("bulk") and edited is None:
            edited = sorted(org.ids("Lead"))[0]
            org.sandbox.edit("Lead", edited, {"Company": "Renamed meanwhile"})
    org.clock.advance(HOUR)

    later = await org.records("Lead")

    assert later[edited].values["Company"] == "Renamed meanwhile"


@pytest.mark.parametrize("refusal", [{"bulk_refuses": ("Lead",)}, {"bulk_jobs": 0}])
async def test_quirk_salesforce_12_and_13_where_bulk_is_refused_rest_goes_on_from_the_same_row(
    make_org, refusal
):
    org = await make_org(page_rows=10, **JOBS, **refusal)

    records = [record.ref.id for page in await org.pull("Lead") for record in page.records]

    assert sorted(records) == sorted(org.ids("Lead"))  # each once
    assert org.cursors["Lead"]["kind"] == "changes"


async def test_a_kept_job_is_left_alone_where_jobs_were_switched_off_meanwhile(make_org):
    org = await make_org(page_rows=10, **JOBS)
    begun = await org.pull("Lead", kept=3)
    org.adapter._bulk.reads_from = None

    records = {record.ref.id for page in [*begun, *await org.pull("Lead")] for record in page.records}

    assert records >= org.ids("Lead")


async def test_a_field_that_vanishes_while_a_job_was_waited_for_is_not_read_as_blank(make_org):
    org = await make_org(page_rows=10, **JOBS)
    await org.pull_all()
    org.clock.advance(HOUR)
    for lead in sorted(org.ids("Lead"))[:25]:
        org.sandbox.edit("Lead", lead, {"Company": "Renamed"})
    org.clock.advance(timedelta(minutes=30))
    begun = await org.pull("Lead", kept=2)
    assert begun[-1].cursor["bulk"]
    org.clock.advance(timedelta(days=8))  # the job is gone, and so is the field
    org.sandbox._run(lambda: org.sandbox.sandbox.store.set_visible("Lead", "MQL_Score__c", False))

    with pytest.raises(FieldLost, match="could be read until now"):
        await org.pull("Lead")


async def test_a_cursor_whose_job_cannot_be_read_stops_the_run(make_org):
    org = await make_org(page_rows=10, **JOBS)
    await org.pull("Lead", kept=2)
    org.cursors["Lead"] = {**org.cursors["Lead"], "bulk": {"windows": []}}

    with pytest.raises(StopRun, match="cannot be read"):
        await org.pull("Lead")


@pytest.mark.parametrize("kept", [1, 2, 5, 9])
async def test_a_backfill_by_jobs_reads_its_range_once_and_resumes(make_org, monkeypatch, kept):
    monkeypatch.setattr("adapters.salesforce.bulk_read.PIECE_ROWS", 8)
    org = await make_org(page_rows=10, **JOBS)

    async def pages(begun, most):
        found = []
        async for page in org.adapter.backfill("Lead", Range(), begun, FIELDS):
            found.append(page)
            if len(found) == most:
                break
        return found

    first = await pages(None, kept)
    rest = await pages(first[-1].cursor, None)

    ids = [record.ref.id for page in [*first, *rest] for record in page.records]
    assert set(ids) == org.ids("Lead")
    assert len(ids) <= len(set(ids)) + 8
    assert len(jobs(org)) == 1
    assert all(page.cursor["kind"] == "backfill" and page.first_load for page in [*first, *rest])


async def test_the_estimate_of_a_backfill_by_jobs_counts_its_calls(make_org):
    by_rest, by_jobs = await make_org(**BY_REST), await make_org(**JOBS)

    slow = await by_rest.adapter.estimate("Lead", Range())
    estimate = await by_jobs.adapter.estimate("Lead", Range())

    assert estimate.rows == slow.rows == len(by_jobs.ids("Lead"))
    assert (slow.calls, estimate.calls) == (1, 14)
    assert estimate.seconds > slow.seconds
