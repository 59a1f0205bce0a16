"""Bulk API 2.0 of the made-up org, asked by a foreign client and over plain HTTP: what it is faithful in."""

import csv
import io
from contextlib import ExitStack
from datetime import timedelta

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceOperationError

from tests.contract.test_salesforce_sandbox import Served

AT_ONCE = {"bulk_queue": timedelta(0), "bulk_time": timedelta(0)}
WEEK = timedelta(days=7)


@pytest.fixture
def make():
    with ExitStack() as stack:
        yield lambda **options: Served(stack, **{**AT_ONCE, **options})


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def query_job(org, text, **more):
    asked = {"operation": "query", "query": text, "contentType": "CSV", **more}
    return org.http.post("/jobs/query", json=asked)


def ingest_job(org, table, *, source="Lead", **more):
    """A job with its rows, closed."""
    asked = {"object": source, "operation": "update", "contentType": "CSV", "lineEnding": "LF", **more}
    job = org.http.post("/jobs/ingest", json=asked).json()
    csv_type = {"content-type": "text/csv"}
    assert (
        org.http.put(f"/jobs/ingest/{job['id']}/batches", content=table, headers=csv_type).status_code == 201
    )
    closed = org.http.patch(f"/jobs/ingest/{job['id']}", json={"state": "UploadComplete"})
    assert closed.status_code == 200
    return job["id"]


# ------------------------------------------------------------------------------------------ the foreign client


def test_simple_salesforce_reads_an_object_by_bulk_page_by_page(make):
    org = make()
    sf = org.client()

    pages = list(sf.bulk2.Lead.query("SELECT Id, Email FROM Lead", max_records=30))

    found = [row for page in pages for row in csv.DictReader(io.StringIO(page))]
    assert len(pages) > 2
    assert {row["Id"] for row in found} == {
        row["Id"] for row in sf.query_all("SELECT Id FROM Lead")["records"]
    }
    assert [row["Id"] for row in found] != sorted(row["Id"] for row in found)


def test_simple_salesforce_reads_deleted_rows_with_query_all(make):
    org = make()
    sf, gone = org.client(), org.lead()
    org.box.act("Lead", gone, "delete")

    [page] = sf.bulk2.Lead.query_all("SELECT Id, IsDeleted FROM Lead WHERE IsDeleted = true")

    assert gone in page
    assert list(sf.bulk2.Lead.query(f"SELECT Id FROM Lead WHERE Id = '{gone}'")) == ['"Id"\n']


def test_simple_salesforce_updates_by_bulk_and_reads_all_three_files(make):
    org = make()
    sf = org.client()
    good, other = org.ids("Lead", "WHERE IsConverted = false", 2)
    [converted] = org.ids("Lead", "WHERE IsConverted = true", 1)
    records = [{"Id": good, "MQL_Score__c": "81"}, {"Id": other, "MQL_Score__c": "#N/A"}]

    [told] = sf.bulk2.Lead.update(records=[*records, {"Id": converted, "MQL_Score__c": "5"}])

    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (3, 1)
    assert org.box.raw("Lead", good)["MQL_Score__c"] == 81.0
    done = sf.bulk2.Lead.get_successful_records(told["job_id"])
    failed = sf.bulk2.Lead.get_failed_records(told["job_id"])
    assert {row["Id"] for row in csv.DictReader(io.StringIO(done))} == {good, other}
    [refused] = csv.DictReader(io.StringIO(failed))
    assert refused["sf__Error"].startswith("CANNOT_UPDATE_CONVERTED_LEAD:cannot reference converted lead:")
    assert "sf__Id" not in sf.bulk2.Lead.get_unprocessed_records(told["job_id"])


def test_simple_salesforce_inserts_upserts_and_deletes_by_bulk(make):
    org = make()
    sf = org.client()

    sf.bulk2.Lead.insert(records=[{"LastName": "Doe", "Company": "Acme", "Ext_Id__c": "b-1"}])
    sf.bulk2.Lead.upsert(
        records=[
            {"Ext_Id__c": "b-1", "LastName": "Roe"},
            {"Ext_Id__c": "b-2", "LastName": "Poe", "Company": "B"},
        ],
        external_id_field="Ext_Id__c",
    )
    found = sf.query("SELECT Id, LastName FROM Lead WHERE Ext_Id__c IN ('b-1','b-2') ORDER BY Ext_Id__c")
    names = [row["LastName"] for row in found["records"]]
    sf.bulk2.Lead.delete(records=[{"Id": row["Id"]} for row in found["records"]])

    assert names == ["Roe", "Poe"]
    assert sf.query("SELECT Id FROM Lead WHERE Ext_Id__c IN ('b-1','b-2')")["totalSize"] == 0


def test_simple_salesforce_creates_watches_and_aborts_a_job(make):
    org = make(bulk_queue=timedelta(hours=1))
    lead = org.client().bulk2.Lead
    client = lead._client

    job = client.create_job("query", "SELECT Id FROM Lead")
    aborted = client.abort_job(job["id"], True)

    assert client.get_job(job["id"], True)["state"] == aborted["state"] == "Aborted"
    with pytest.raises(SalesforceOperationError):
        client.wait_for_job(job["id"], True, wait=0)
    with pytest.raises(SalesforceMalformedRequest):
        client.get_query_results(job["id"])


# ------------------------------------------------------------------------------------------ queries


def test_a_job_waits_runs_and_ends_by_the_clock(make):
    org = make(bulk_queue=timedelta(seconds=10), bulk_time=timedelta(seconds=20))
    job = query_job(org, "SELECT Id FROM Lead").json()
    path = f"/jobs/query/{job['id']}"

    states = [job["state"]]
    for _ in range(2):
        org.clock.advance(timedelta(seconds=15))
        states.append(org.http.get(path).json()["state"])

    assert states == ["UploadComplete", "InProgress", "JobComplete"]
    told = org.http.get(path).json()
    assert told["apiVersion"] == 66.0
    assert (told["jobType"], told["isPkChunkingSupported"]) == ("V2Query", True)
    assert told["numberRecordsProcessed"] == len(org.ids("Lead", limit=2000))


def test_a_locator_leads_to_the_next_piece_and_null_ends_it(make):
    org = make()
    job = query_job(org, "SELECT Id FROM Lead").json()["id"]

    first = org.http.get(f"/jobs/query/{job}/results", params={"maxRecords": 150})
    rest = org.http.get(
        f"/jobs/query/{job}/results", params={"maxRecords": 9999, "locator": first.headers["sforce-locator"]}
    )

    assert first.headers["content-type"] == "text/csv"
    assert int(first.headers["sforce-numberofrecords"]) == len(rows(first)) == 150
    assert rest.headers["sforce-locator"] == "null"
    assert {row["Id"] for row in [*rows(first), *rows(rest)]} == set(org.ids("Lead", limit=2000))
    pages = org.http.get(f"/jobs/query/{job}/resultPages").json()
    assert pages["done"]
    assert pages["resultPages"][0]["resultLink"].startswith(f"/services/data/v66.0/jobs/query/{job}/results")


def test_results_of_another_version_are_a_conflict_and_old_jobs_are_gone(make):
    org = make()
    job = query_job(org, "SELECT Id FROM Lead").json()["id"]
    elsewhere = org.url + f"/services/data/v60.0/jobs/query/{job}/results"

    assert org.http.get(elsewhere).status_code == 409
    org.clock.advance(WEEK + timedelta(hours=1))
    org.http.headers["Authorization"] = (
        f"Bearer {org.token(grant_type='client_credentials').json()['access_token']}"
    )
    assert org.http.get(f"/jobs/query/{job}").status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COUNT() FROM Lead",
        "SELECT Id FROM Lead LIMIT 5 OFFSET 2",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Id, Address FROM Lead",
        "SELECT Id, Nonsense FROM Lead",
        "SELECT Id FROM",
    ],
)
def test_a_query_that_bulk_cannot_do_is_refused_when_the_job_is_made(make, text):
    assert query_job(make(), text).status_code == 400


def test_jobs_are_listed_newest_first_and_deleted_once_they_ended(make):
    org = make()
    first = query_job(org, "SELECT Id FROM Lead").json()["id"]
    second = query_job(org, "SELECT Id FROM Contact").json()["id"]

    listed = org.http.get("/jobs/query", params={"jobType": "V2Query"}).json()

    assert listed["done"]
    assert [each["id"] for each in listed["records"]] == [second, first]
    assert org.http.delete(f"/jobs/query/{first}").status_code == 204
    assert org.http.get(f"/jobs/query/{first}").status_code == 404


def test_the_days_jobs_and_some_objects_are_refused(make):
    org = make(bulk_jobs=1, bulk_refuses=("Task",))

    task = query_job(org, "SELECT Id FROM Task")
    query_job(org, "SELECT Id FROM Lead")
    second = query_job(org, "SELECT Id FROM Lead")

    assert task.json()[0]["errorCode"] == "INVALIDENTITY"
    assert second.json()[0]["errorCode"] == "LIMIT_EXCEEDED"
    org.clock.advance(timedelta(minutes=1))
    assert second.status_code == 400


def test_a_query_over_a_long_stretch_can_time_out(make):
    org = make(bulk_slowest=timedelta(days=30))

    long = query_job(org, "SELECT Id FROM Lead").json()["id"]
    short = query_job(org, "SELECT Id FROM Lead WHERE SystemModstamp >= 2026-11-01T00:00:00Z").json()["id"]

    assert org.http.get(f"/jobs/query/{long}").json()["errorMessage"].startswith("QUERY_TIMEOUT")
    assert org.http.get(f"/jobs/query/{short}").json()["state"] == "JobComplete"


# ------------------------------------------------------------------------------------------ ingest


def test_an_empty_cell_leaves_and_the_mark_clears(make):
    org = make()
    kept, cleared = org.ids("Lead", "WHERE IsConverted = false", 2)
    ingest_job(org, f"Id,MQL_Score__c\n{kept},50\n{cleared},50\n")

    ingest_job(org, f"Id,MQL_Score__c,MQL_Reason__c\n{kept},,why\n{cleared},#N/A,why\n")
    org.http.get("/limits")

    assert org.box.raw("Lead", kept)["MQL_Score__c"] == 50.0
    assert org.box.raw("Lead", cleared)["MQL_Score__c"] is None
    assert org.box.raw("Lead", kept)["MQL_Reason__c"] == "why"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"\xef\xbb\xbfId,MQL_Score__c\n1,1\n", "Field name not found"),
        (b"Id,MQL_Score__c\r\n1,1\r\n", "LineEnding"),
        (b"Id,Nonsense__c\n1,1\n", "Field name not found : Nonsense__c"),
    ],
)
def test_an_upload_that_cannot_be_read_fails_whole(make, table, why):
    org = make()
    job = ingest_job(org, table)

    told = org.http.get(f"/jobs/ingest/{job}").json()

    assert told["state"] == "Failed"
    assert why in told["errorMessage"]
    assert len(rows(org.http.get(f"/jobs/ingest/{job}/unprocessedrecords"))) == 1


def test_a_job_takes_its_rows_once_and_tells_results_only_when_it_ended(make):
    org = make(bulk_queue=timedelta(hours=1))
    id = org.lead()
    job = ingest_job(org, f"Id,MQL_Score__c\n{id},50\n")
    again = org.http.put(
        f"/jobs/ingest/{job}/batches", content=b"Id\nx\n", headers={"content-type": "text/csv"}
    )

    assert again.status_code == 400
    assert org.http.get(f"/jobs/ingest/{job}/successfulResults/").status_code == 400
    assert org.http.patch(f"/jobs/ingest/{job}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert len(rows(org.http.get(f"/jobs/ingest/{job}/unprocessedrecords"))) == 1
    assert org.box.raw("Lead", id)["MQL_Score__c"] is None


def test_a_job_that_fails_half_way_keeps_what_it_wrote(make):
    org = make(bulk_failures=1, bulk_fails_after=2)
    ids = org.ids("Lead", "WHERE IsConverted = false", 5)
    table = "Id,MQL_Score__c\n" + "".join(f"{id},44\n" for id in ids)

    job = ingest_job(org, table)

    assert org.http.get(f"/jobs/ingest/{job}").json()["state"] == "Failed"
    assert len(rows(org.http.get(f"/jobs/ingest/{job}/successfulResults/"))) == 2
    left = rows(org.http.get(f"/jobs/ingest/{job}/unprocessedrecords"))
    assert {row["Id"] for row in left} == set(ids[2:])
    assert [org.box.raw("Lead", id)["MQL_Score__c"] for id in ids] == [44.0, 44.0, None, None, None]


def test_inner_batches_with_children_of_one_account_collide(make):
    org = make(bulk_batch=1)
    found = org.soql("SELECT Id, AccountId FROM Contact WHERE AccountId != null").json()["records"]
    accounts = [row["AccountId"] for row in found]
    shared = next(each for each in accounts if accounts.count(each) > 1)
    family = [row["Id"] for row in found if row["AccountId"] == shared][:2]

    job = ingest_job(org, "Id,MQL_Score__c\n" + "".join(f"{id},44\n" for id in family), source="Contact")

    [locked] = rows(org.http.get(f"/jobs/ingest/{job}/failedResults/"))
    assert locked["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:")


def test_a_duplicate_rule_blocks_a_row_whatever_the_headers_say(make):
    org = make(duplicate_rule=True)
    id = org.lead("IsConverted = false AND Email != null")
    twin = org.box.create(
        "Lead", {"LastName": "Twin", "Company": "X", "Email": org.box.raw("Lead", id)["Email"]}
    )

    job = ingest_job(org, f"Id,MQL_Score__c\n{twin},44\n")

    [refused] = rows(org.http.get(f"/jobs/ingest/{job}/failedResults/"))
    assert refused["sf__Error"].startswith("DUPLICATES_DETECTED:")
