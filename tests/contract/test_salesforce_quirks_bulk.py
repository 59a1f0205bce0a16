"""The quirks of Salesforce's Bulk API 2.0, one test each, over real HTTP against the made-up org."""

from contextlib import aclosing
from datetime import timedelta
from itertools import pairwise

import pytest

from adapters.salesforce.bulk import Bulk
from adapters.salesforce.bulk_errors import NoBulk
from adapters.salesforce.bulk_place import read_place, write_place
from adapters.salesforce.bulk_read import Ask, read
from adapters.salesforce.payload import record_from
from connector.errors import RetryLater

COLUMNS = [
    "Id", "IsDeleted", "CreatedDate", "SystemModstamp", "MasterRecordId", "IsConverted", "ConvertedContactId",
    "Email", "LastName", "Company", "NumberOfEmployees", "AnnualRevenue", "Description", "Owner.Name",
    "ConvertedAccount.NumberOfEmployees", "ConvertedDate", "MQL_Score__c", "HasOptedOutOfEmail",
]  # fmt: skip


def leads(columns=COLUMNS, where=()):
    return Ask("Lead", columns, lambda _: where, deleted_too=True)


def desk(org, **more):
    """Jobs of this org."""
    return Bulk(org.adapter._rest, org.adapter._clock, **more)


async def rows_by_bulk(org, ask, bulk=None, begun=None):
    found = []
    async with aclosing(read(bulk or desk(org), ask, begun)) as pages:
        async for _, rows in pages:
            found += rows
    return found


async def rows_by_rest(org, ask):
    query = f"SELECT {','.join(ask.wanted)} FROM {ask.source}"
    return await org.adapter._rest.all_rows(query, deleted_too=True)


def as_records(rows, columns=COLUMNS):
    return {row["Id"]: record_from(row, "Lead", columns) for row in rows}


def jobs(org):
    """In the order in which they were made."""
    return org.sandbox._run(lambda: list(org.sandbox.sandbox.store.jobs.values()))


def calls(org, path):
    return [call for call in org.sandbox.log.calls() if path in call.path]


# ------------------------------------------------------------------------------------------ queries


async def test_quirk_salesforce_08_a_bulk_query_that_times_out_is_asked_for_shorter_stretches(make_org):
    org = await make_org(bulk_slowest=timedelta(days=400))

    found = await rows_by_bulk(org, leads())

    assert as_records(found) == as_records(await rows_by_rest(org, leads()))
    states = [job.state for job in jobs(org)]
    assert states.count("Failed") >= 1
    assert states.count("JobComplete") >= 2
    assert not any("ORDER" in job.query or "LIMIT" in job.query for job in jobs(org))


async def test_quirk_salesforce_08_a_bulk_query_that_no_stretch_is_short_enough_for_goes_to_rest(make_org):
    org = await make_org(bulk_slowest=timedelta(minutes=1))

    with pytest.raises(NoBulk):
        await rows_by_bulk(org, leads())


async def test_quirk_salesforce_09_nul_bytes_are_dropped(make_org):
    org = await make_org(bulk_nuls=True)

    found = await rows_by_bulk(org, leads())

    assert as_records(found) == as_records(await rows_by_rest(org, leads()))


async def test_quirk_salesforce_10_results_are_utf8_whatever_the_answer_says(make_org):
    org = await make_org()
    lead = await org.one("Lead")
    org.sandbox.edit("Lead", lead.ref.id, {"LastName": "Gärtner-Åsenø", "Company": "München 東京 GmbH"})

    found = as_records(await rows_by_bulk(org, leads()))

    assert found[lead.ref.id].values["LastName"] == "Gärtner-Åsenø"
    assert found[lead.ref.id].values["Company"] == "München 東京 GmbH"


async def test_quirk_salesforce_11_a_download_is_bounded_and_one_that_hangs_goes_on_in_smaller_pieces(
    make_org, monkeypatch
):
    monkeypatch.setattr("adapters.salesforce.bulk_read.PIECE_ROWS", 40)
    monkeypatch.setattr("adapters.salesforce.bulk_read.LEAST_PIECE_ROWS", 5)
    org = await make_org(people=120)
    whole = len(org.ids("Lead"))
    org.sandbox.faults.add(path="*/results", skip=1, times=5, drop=True)  # as a read that times out

    found = await rows_by_bulk(org, leads())

    assert {row["Id"] for row in found if not row["IsDeleted"]} == org.ids("Lead")
    asked = [call.query for call in calls(org, "/results")]
    assert all("maxRecords=" in query for query in asked)
    assert "maxRecords=40" in asked[0]
    assert any(
        "maxRecords=20&locator=" in query for query in asked
    )  # from where it was, not from the beginning
    assert len(found) >= whole


async def test_quirk_salesforce_12_a_spent_bulk_allowance_says_so_and_is_not_held_against_the_object(
    make_org,
):
    org = await make_org(bulk_jobs=0)
    bulk = desk(org)

    with pytest.raises(NoBulk, match="LIMIT_EXCEEDED"):
        await rows_by_bulk(org, leads(), bulk)

    assert bulk.fits("Lead")


@pytest.mark.parametrize(
    "said",
    [
        "Max bulk v2 query result size stored (1000000000) kb per 24 hrs has been exceeded",
        "Max bulk v2 query jobs (10000) per 24 hrs has been reached",
    ],
)
async def test_quirk_salesforce_12_either_text_of_a_spent_bulk_allowance_is_known(make_org, said):
    org = await make_org()
    org.sandbox.faults.add(
        method="POST", path="*/jobs/query", status=403, json=[{"errorCode": "API_ERROR", "message": said}]
    )

    with pytest.raises(NoBulk) as caught:
        await rows_by_bulk(org, leads())

    assert not caught.value.lasting


async def test_quirk_salesforce_13_an_object_that_bulk_refuses_is_remembered(make_org):
    org = await make_org(bulk_refuses=("Lead",))
    bulk = desk(org)

    with pytest.raises(NoBulk, match="not supported by the Bulk API"):
        await rows_by_bulk(org, leads(), bulk)

    assert not bulk.fits("Lead")
    assert bulk.fits("Contact")


async def test_quirk_salesforce_13_compound_fields_are_left_out_of_the_job(make_org):
    org = await make_org()

    found = await rows_by_bulk(org, leads([*COLUMNS, "Address"]))

    assert "Address" not in found[0]
    assert len(calls(org, "/jobs/query")) == len([c for c in calls(org, "/jobs/query") if c.status < 400])


async def test_quirk_salesforce_14_numbers_are_read_by_the_type_that_describe_tells(make_org):
    org = await make_org()
    lead, other = sorted(org.ids("Lead"))[:2]
    org.sandbox.edit("Lead", lead, {"NumberOfEmployees": 0, "AnnualRevenue": 0})
    org.sandbox.edit("Lead", other, {"NumberOfEmployees": 12, "AnnualRevenue": 1234.5})

    found = as_records(await rows_by_bulk(org, leads()))

    zero, twelve = found[lead].values["NumberOfEmployees"], found[other].values["NumberOfEmployees"]
    assert (zero, type(zero), twelve) == (0, int, 12)
    assert (found[lead].values["AnnualRevenue"], found[other].values["AnnualRevenue"]) == (0.0, 1234.5)


async def test_quirk_salesforce_15_a_text_of_several_lines_shifts_no_row(make_org):
    org = await make_org()
    texts = ['one\ntwo "quoted", three', 'a\r\nb;\n\n"', "N/A", "null", "NA"]
    edited = dict(zip(sorted(org.ids("Lead")), texts, strict=False))
    for lead, text in edited.items():
        org.sandbox.edit("Lead", lead, {"Description": text})

    found = as_records(await rows_by_bulk(org, leads()))

    assert {lead: found[lead].values["Description"] for lead in edited} == edited
    assert found == as_records(await rows_by_rest(org, leads()))


# --------------------------------------------------------------------------- reading, beyond the table


async def test_a_download_that_was_cut_is_asked_for_again_at_the_same_locator(make_org, monkeypatch):
    monkeypatch.setattr("adapters.salesforce.bulk_read.PIECE_ROWS", 25)
    monkeypatch.setattr("adapters.salesforce.bulk_read.PAGE_ROWS", 4)
    org = await make_org(people=120)
    org.sandbox.faults.add(path="*/results", skip=1, times=2, half=True)

    found = await rows_by_bulk(org, leads())

    records = as_records(found)
    assert records == as_records(await rows_by_rest(org, leads()))  # of a cut row nothing was believed
    locators = [call.query.partition("locator=")[2] for call in calls(org, "/results")]
    assert locators[1] == locators[2] == locators[3] != locators[4]


async def test_a_result_that_stays_cut_is_made_anew_and_then_stops_the_stream(make_org):
    org = await make_org()
    header = ",".join(f'"{name}"' for name in COLUMNS)
    headers = {"content-type": "text/csv", "Sforce-NumberOfRecords": "7", "Sforce-Locator": "null"}
    org.sandbox.faults.add(path="*/results", times=None, status=200, headers=headers, text=header + "\n")

    with pytest.raises(Exception, match="said 7 rows of a Bulk result and 0 came"):
        await rows_by_bulk(org, leads())

    assert len(jobs(org)) == 3


async def test_a_reading_that_dies_goes_on_with_the_same_job(make_org, monkeypatch):
    monkeypatch.setattr("adapters.salesforce.bulk_read.PIECE_ROWS", 25)
    org = await make_org(people=120)
    died_at = 0
    while True:
        found, place, steps = [], None, 0
        async with aclosing(read(desk(org), leads())) as pages:
            async for place, rows in pages:
                found += rows
                steps += 1
                if steps > died_at or place is None:
                    break
        made = len(jobs(org))
        if place is None:
            break
        kept = read_place(write_place(place))
        found += await rows_by_bulk(org, leads(), begun=kept)
        assert as_records(found) == as_records(await rows_by_rest(org, leads()))
        assert len(jobs(org)) == made
        assert len(found) <= len(await rows_by_rest(org, leads())) + 25  # at most a piece twice
        died_at += 1
    assert died_at > 5


async def test_a_job_that_is_gone_or_was_aborted_meanwhile_is_made_anew(make_org):
    org = await make_org()
    places = []
    async with aclosing(read(desk(org), leads())) as pages:
        async for place, rows in pages:
            if rows:
                break
            places.append(place)
    org.clock.advance(timedelta(days=8))

    found = await rows_by_bulk(org, leads(), begun=places[-1])

    assert as_records(found) == as_records(await rows_by_rest(org, leads()))
    assert len(jobs(org)) == 2


async def test_a_mapping_that_changed_meanwhile_makes_another_job(make_org):
    org = await make_org()
    async with aclosing(read(desk(org), leads())) as pages:
        place, _ = await anext(pages)

    found = await rows_by_bulk(org, leads([*COLUMNS, "Title"]), begun=place)

    assert all("Title" in row for row in found)
    assert len(jobs(org)) == 2


async def test_a_job_that_does_not_end_is_aborted_and_the_next_run_makes_another(make_org):
    org = await make_org(bulk_queue=timedelta(hours=3))
    places, looks = [], []

    async def watch():
        async with aclosing(read(desk(org), leads())) as pages:
            async for place, _ in pages:
                places.append(place)
                looks.append(org.clock.now())

    with pytest.raises(RetryLater, match="did not finish"):
        await watch()

    assert [job.state for job in jobs(org)] == ["Aborted"]
    pauses = [round((b - a).total_seconds()) for a, b in pairwise(looks)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 30]
    assert max(pauses) <= 31  # whoever holds a lease of 45 s hears in time
    org.clock.advance(timedelta(hours=4))
    with pytest.raises(RetryLater):
        await rows_by_bulk(org, leads(), begun=places[-1])
    assert len(jobs(org)) == 2


async def test_a_field_that_security_hides_is_found_out_and_left_out_of_the_job(make_org):
    org = await make_org(hidden_fields=["Lead.NumberOfEmployees"])

    found = await rows_by_bulk(org, leads())

    assert found
    assert all("NumberOfEmployees" not in row for row in found)


async def test_an_object_without_rows_is_read_to_its_end(make_org):
    org = await make_org()
    nobody = leads(where=("Email = 'nobody@nowhere.example'",))

    pages = [page async for page in read(desk(org), nobody)]

    assert pages[-1] == (None, [])


async def test_a_result_with_everything_that_is_awkward_in_one_piece(make_org):
    org = await make_org()
    columns = ["Id", "LastName", "Description", "NumberOfEmployees", "MQL_Score__c", "HasOptedOutOfEmail"]
    header = ",".join(f'"{name}"' for name in columns)
    one = '"00Q000000000001AAA","Gärt\x00ner","two\nlines, ""quoted""","0.0","87.0","true"'
    other = '"00Q000000000002AAA","N/A","","","","false"'
    told = {"content-type": "text/csv", "Sforce-Locator": "null"}
    good = {**told, "Sforce-NumberOfRecords": "2"}
    org.sandbox.faults.add(path="*/results", status=200, headers=good, text=f"{header}\n{one}\n{other[:30]}")
    org.sandbox.faults.add(path="*/results", status=200, headers=good, text=f"{header}\n{one}\n{other}\n")
    twins = sorted(org.ids("Lead"))[:2]
    two = leads(columns, where=(f"Id IN ('{twins[0]}','{twins[1]}')",))  # a job of two rows

    found = await rows_by_bulk(org, two)

    assert found == [
        dict(
            zip(
                columns, ("00Q000000000001AAA", "Gärtner", 'two\nlines, "quoted"', 0, 87.0, True), strict=True
            )
        ),
        dict(zip(columns, ("00Q000000000002AAA", "N/A", None, None, None, False), strict=True)),
    ]
    assert len(calls(org, "/results")) == 2
