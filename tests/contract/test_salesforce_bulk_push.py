"""Very many writes as one ingest job, over real HTTP against the made-up org: every row ends with its own outcome."""

from datetime import timedelta

import pytest

from adapters.salesforce import bulk_push
from adapters.salesforce.bulk_push import fault_of_row
from connector.core.model import Outcome, RecordState, Ref, Write
from connector.errors import OutcomeUnknown, RetryLater
from tests.contract.salesforce_org import FIELDS

MANY = {"SALESFORCE_BULK_WRITE_FROM": "5"}
QUIET = {"assignment_rule": False, "variables": MANY}


def jobs(org):
    """In the order in which they were made."""
    return org.sandbox._run(lambda: list(org.sandbox.sandbox.store.jobs.values()))


def calls(org, path, method="*"):
    found = org.sandbox.log.calls()
    return [call for call in found if path in call.path and method in ("*", call.method)]


class Keeping:
    """What a run keeps and hears while a job goes on."""

    def __init__(self):
        self.jobs, self.heard = [], 0

    async def begun(self, job):
        self.jobs.append(job)

    async def alive(self):
        self.heard += 1


async def send(org, writes, keeping=None):
    kept = keeping or Keeping()
    return await org.adapter.bulk.push(writes, begun=kept.begun, alive=kept.alive)


async def live(org, source="Lead"):
    records = (await org.records(source)).values()
    return sorted(record.ref for record in records if record.state is RecordState.LIVE)


def scores(refs, value=61):
    return [
        Write(at, ref, {"MQL_Score__c": value, "MQL_Reason__c": "because"}) for at, ref in enumerate(refs)
    ]


def outcomes(receipts):
    return [receipt.outcome for receipt in receipts]


async def test_many_writes_are_one_job_and_each_row_is_found_by_its_id(make_org):
    org = await make_org(**QUIET)
    refs, kept = await live(org), Keeping()
    before = org.adapter.calls()

    receipts = await send(org, scores(refs), kept)

    assert [receipt.write_id for receipt in receipts] == list(range(len(refs)))
    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert all(org.sandbox.raw("Lead", ref.id)["MQL_Score__c"] == 61.0 for ref in refs)
    [job] = jobs(org)
    assert kept.jobs == [job.id]
    assert kept.heard > 2
    assert job.upload.startswith(b"Id,MQL_Reason__c,MQL_Score__c\n")
    assert org.adapter.calls() - before < 12
    assert not calls(org, "/composite")


async def test_when_a_job_is_worth_it(make_org):
    org = await make_org(assignment_rule=False)
    sink = org.adapter.bulk

    assert [await sink.worth("Contact", many) for many in (1_999, 2_000, 9_999, 10_000)] == [False] * 3 + [
        True
    ]
    assert await sink.worth("Lead", 10_000)
    org.adapter._rest._used, org.adapter._rest._allowed = 81, 100  # others have used most of the day
    assert await sink.worth("Contact", 2_000)
    assert not await sink.worth("Contact", 1_999)


async def test_a_job_is_never_made_where_that_was_said(make_org):
    org = await make_org(variables={"SALESFORCE_BULK_WRITE_FROM": "never"})
    assert not await org.adapter.bulk.worth("Contact", 1_000_000)


@pytest.mark.parametrize("known_safe", [False, True])
async def test_quirk_salesforce_19_an_assignment_rule_keeps_leads_out_of_jobs_that_may_run_it(
    make_org, known_safe
):
    org = await make_org(assignment_rule=True, bulk_assigns=not known_safe, variables=MANY)
    org.adapter.use({"bulk_assigns_leads": not known_safe})

    assert await org.adapter.bulk.worth("Lead", 50) is known_safe
    assert await org.adapter.bulk.worth("Contact", 50)
    if known_safe:
        refs = await live(org)
        owners = [org.sandbox.raw("Lead", ref.id)["OwnerId"] for ref in refs]
        await send(org, scores(refs))
        assert [org.sandbox.raw("Lead", ref.id)["OwnerId"] for ref in refs] == owners


async def test_quirk_salesforce_16_an_upload_has_no_mark_at_its_beginning_and_says_its_form(make_org):
    org = await make_org(**QUIET)
    refs = await live(org)
    writes = [Write(0, refs[0], {"MQL_Reason__c": 'größer, "höher"\nund 東京'}), *scores(refs[1:6])]
    writes = [Write(at, write.ref, write.values) for at, write in enumerate(writes)]

    receipts = await send(org, writes)

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    [job] = jobs(org)
    assert not job.upload.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" not in job.upload
    assert (job.delimiter, job.ending) == ("COMMA", "LF")
    assert org.sandbox.raw("Lead", refs[0].id)["MQL_Reason__c"] == 'größer, "höher"\nund 東京'


async def test_quirk_salesforce_17_none_clears_a_field_and_a_field_that_is_not_named_stays(make_org):
    org = await make_org(**QUIET)
    cleared, kept, *_ = refs = (await live(org))[:6]
    for ref in refs:
        org.sandbox.edit("Lead", ref.id, {"MQL_Score__c": 40, "MQL_Reason__c": "before"})

    receipts = await send(
        org, [Write(0, cleared, {"MQL_Score__c": None}), Write(1, kept, {"MQL_Reason__c": "after"})]
    )

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    first, second = (org.sandbox.raw("Lead", ref.id) for ref in (cleared, kept))
    assert (first["MQL_Score__c"], first["MQL_Reason__c"]) == (None, "before")
    assert (second["MQL_Score__c"], second["MQL_Reason__c"]) == (40.0, "after")


async def test_quirk_salesforce_17_a_text_that_reads_as_the_mark_for_clearing_goes_by_collections(make_org):
    org = await make_org(**QUIET)
    first, second = (await live(org))[:2]

    receipts = await send(
        org, [Write(0, first, {"MQL_Reason__c": "#N/A"}), Write(1, second, {"MQL_Reason__c": "why"})]
    )

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert org.sandbox.raw("Lead", first.id)["MQL_Reason__c"] == "#N/A"


async def test_quirk_salesforce_15_failed_rows_are_told_by_id_each_with_its_own_reason(make_org):
    org = await make_org(**QUIET)
    refs = await live(org)
    org.sandbox.act(
        "Lead", refs[3].id, "refuse", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="No: not so"
    )
    org.sandbox.act("Lead", refs[8].id, "delete")
    gone = Ref("salesforce", "Lead", refs[0].id[:8] + "zzzzzzz")
    targets = [*refs[:12], gone]

    receipts = await send(org, scores(targets))

    [job] = jobs(org)
    order = [row[0] for row in job.tables["successfulResults"].rows]
    assert outcomes(receipts)[3] is Outcome.REJECTED
    assert receipts[3].code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert "No: not so" in receipts[3].reason
    assert outcomes(receipts)[8] is outcomes(receipts)[12] is Outcome.SET_ASIDE
    rest = [at for at in range(12) if at not in (3, 8)]
    assert {receipts[at].outcome for at in rest} == {Outcome.WRITTEN}
    assert len(order) == len(rest)


async def test_quirk_salesforce_20_a_converted_lead_in_a_job_is_followed_to_its_contact(make_org):
    org = await make_org(**QUIET)
    refs = await live(org)
    made = org.sandbox.act("Lead", refs[2].id, "convert")

    receipts = await send(org, scores(refs[:8]))

    assert receipts[2].outcome is Outcome.SET_ASIDE
    assert receipts[2].moved_to == Ref("salesforce", "Contact", made["ConvertedContactId"])


async def test_quirk_salesforce_18_rows_that_a_duplicate_rule_blocks_go_by_collections(make_org):
    org = await make_org(duplicate_rule=True, **QUIET)
    refs = await live(org)
    email = next(e for ref in refs if (e := org.sandbox.raw("Lead", ref.id)["Email"]))
    twin = org.sandbox.create("Lead", {"LastName": "Twin", "Company": "X", "Email": email})
    targets = [*refs[:8], Ref("salesforce", "Lead", twin)]

    receipts = await send(org, scores(targets))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(calls(org, "/composite/sobjects")) == 1
    assert org.sandbox.raw("Lead", twin)["MQL_Score__c"] == 61.0


async def test_quirk_salesforce_26_rows_that_others_hold_go_by_collections_when_they_are_few(make_org):
    org = await make_org(**QUIET)
    refs = await live(org)
    org.sandbox.act("Lead", refs[1].id, "refuse", times=2)
    org.sandbox.act(
        "Lead",
        refs[4].id,
        "refuse",
        code="CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        message="dlrs: execution of AfterUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access: []",
    )

    receipts = await send(org, scores(refs[:9]))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(jobs(org)) == 1
    assert calls(org, "/composite/sobjects")


async def test_quirk_salesforce_26_a_lock_storm_goes_into_another_job_after_a_pause(make_org, monkeypatch):
    monkeypatch.setattr(bulk_push, "ENOUGH", 3)
    org = await make_org(**QUIET)
    refs = await live(org)
    for ref in refs[:10]:
        org.sandbox.act("Lead", ref.id, "refuse")

    receipts = await send(org, scores(refs[:12]))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert [len(job.tables["successfulResults"].rows) for job in jobs(org)] == [2, 10]
    assert not calls(org, "/composite/sobjects")
    assert jobs(org)[1].made_at - jobs(org)[0].made_at > timedelta(seconds=10)


async def test_what_a_job_wrote_before_it_failed_stays_and_the_rest_is_sent_again(make_org, monkeypatch):
    monkeypatch.setattr(bulk_push, "ENOUGH", 3)
    org = await make_org(bulk_failures=1, bulk_fails_after=4, **QUIET)
    refs = (await live(org))[:15]

    receipts = await send(org, scores(refs))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert [job.state for job in jobs(org)] == ["Failed", "JobComplete"]
    assert [len(job.tables["successfulResults"].rows) for job in jobs(org)] == [4, 11]
    assert len(org.sandbox.log.writes()) == 15  # no row twice


async def test_a_job_that_does_not_end_is_aborted_and_its_rows_wait(make_org):
    org = await make_org(bulk_queue=timedelta(hours=9), **QUIET)
    refs = (await live(org))[:6]

    receipts = await send(org, scores(refs))

    assert set(outcomes(receipts)) == {Outcome.WAITING}
    assert [job.state for job in jobs(org)] == ["Aborted"]
    assert not org.sandbox.log.writes()


@pytest.mark.parametrize("fault", [{"drop": True}, {"drop_after": True}, {"status": 500}])
async def test_an_upload_without_an_answer_wrote_nothing_and_its_job_never_will(make_org, fault):
    org = await make_org(**QUIET)
    refs = (await live(org))[:6]
    org.sandbox.faults.add(method="PUT", **fault)

    with pytest.raises(RetryLater):
        await send(org, scores(refs))

    org.clock.advance(timedelta(hours=1))
    await org.adapter.account()
    assert [job.state for job in jobs(org)] == ["Aborted"]
    assert not org.sandbox.log.writes()


async def test_a_close_whose_answer_is_lost_is_made_up_for_by_looking(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:6]
    org.sandbox.faults.add(method="PATCH", path="*/jobs/ingest/*", drop_after=True)

    receipts = await send(org, scores(refs))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(jobs(org)) == 1


async def test_a_job_that_cannot_be_asked_about_any_more_is_unknown(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:6]
    org.sandbox.faults.add(method="GET", path="*/jobs/ingest/*", times=None, drop=True)

    with pytest.raises(OutcomeUnknown):
        await send(org, scores(refs))


async def test_a_result_file_that_is_cut_is_read_again_and_rows_nobody_names_are_unknown(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:12]
    org.sandbox.faults.add(path="*/successfulResults/", times=1, half=True)
    assert set(outcomes(await send(org, scores(refs)))) == {Outcome.WRITTEN}

    org.sandbox.faults.add(path="*/successfulResults/", times=None, half=True)
    again = outcomes(await send(org, scores(refs, 62)))

    assert again.count(Outcome.UNKNOWN) >= 5
    assert set(again) == {Outcome.UNKNOWN, Outcome.WRITTEN}


async def test_quirk_salesforce_12_a_spent_ingest_allowance_falls_back_to_collections(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:8]
    spent = [{"errorCode": "LIMIT_EXCEEDED", "message": "ApiBatchItems Limit exceeded."}]
    org.sandbox.faults.add(method="POST", path="*/jobs/ingest", status=400, json=spent)

    receipts = await send(org, scores(refs))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(calls(org, "/composite/sobjects")) == 1


async def test_values_that_no_field_holds_are_refused_before_anything_is_uploaded(make_org):
    org = await make_org(**QUIET)
    refs = (await live(org))[:6]
    writes = [*scores(refs[:5]), Write(5, refs[5], {"MQL_Reason__c": "x" * 300})]

    receipts = await send(org, writes)

    assert outcomes(receipts) == [Outcome.WRITTEN] * 5 + [Outcome.REJECTED]
    assert b"xxx" not in jobs(org)[0].upload


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", "UNABLE_TO_LOCK_ROW",
         "unable to obtain exclusive access to this record"),
        ("STRING_TOO_LONG:Reason: data value too large: x (max length=255):MQL_Reason__c--", "STRING_TOO_LONG",
         "Reason: data value too large: x (max length=255)"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION:No: not so:--", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "No: not so"),
        ("DUPLICATES_DETECTED:Use one of these records?:--", "DUPLICATES_DETECTED", "Use one of these records?"),
        ("TooManyLockFailure", "TooManyLockFailure", ""),
        ("", "UNNAMED", ""),
    ],
)  # fmt: skip
def test_the_error_of_a_row_is_split_at_its_first_colon(said, code, message):
    fault = fault_of_row(said)
    assert (fault.code, fault.message) == (code, message)


# --------------------------------------------------------------------------------------- around a job


async def test_what_changed_since_is_told_as_it_stands_now(make_org):
    org = await make_org(**QUIET)
    refs = await live(org)
    since = org.clock.now()
    org.clock.advance(timedelta(hours=1))
    org.sandbox.edit("Lead", refs[0].id, {"Company": "Elsewhere"})
    org.sandbox.act("Lead", refs[1].id, "convert")
    org.sandbox.act("Lead", refs[2].id, "delete")
    org.sandbox.edit("Lead", refs[9].id, {"Company": "Not asked for"})
    kept = Keeping()

    found = await org.adapter.bulk.changed(refs[:6], since, FIELDS, kept.alive)

    assert set(found) == set(refs[:3])
    assert found[refs[0]].values["Company"] == "Elsewhere"
    assert found[refs[1]].state is RecordState.CONVERTED
    assert found[refs[2]].state is RecordState.ARCHIVED
    assert kept.heard


@pytest.mark.parametrize("state", ["Open", "running", "gone"])
async def test_a_job_of_an_earlier_process_is_waited_for_or_dropped(make_org, state):
    org = await make_org(**QUIET)
    ref, kept = (await live(org))[0], Keeping()
    rest = org.adapter._rest
    asked = {"object": "Lead", "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
    job = (await rest.send("POST", "/jobs/ingest", json=asked)).json["id"]
    table = f"Id,MQL_Score__c\n{ref.id},77\n".encode()
    csv = {"content-type": "text/csv"}
    await rest.send("PUT", f"/jobs/ingest/{job}/batches", content=table, headers=csv, raw=True)
    if state == "running":
        await rest.send("PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"})
    if state == "gone":
        org.clock.advance(timedelta(days=8))

    await org.adapter.bulk.end(job, kept.alive)

    assert org.sandbox.raw("Lead", ref.id)["MQL_Score__c"] == (77.0 if state == "running" else None)
    assert [job.state for job in jobs(org)] == [
        {"Open": "Aborted", "running": "JobComplete", "gone": "Open"}[state]
    ]


async def test_what_is_too_much_for_one_upload_goes_as_several_jobs(make_org, monkeypatch):
    monkeypatch.setattr(bulk_push, "MOST_BYTES", 1_000)
    org = await make_org(**QUIET)
    refs, kept = await live(org), Keeping()

    receipts = await send(org, scores(refs), kept)

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(jobs(org)) > 2
    assert kept.jobs == [job.id for job in jobs(org)]
    assert len(org.sandbox.log.writes()) == len(refs)


async def test_of_several_jobs_the_one_that_cannot_be_asked_leaves_only_its_own_rows_unknown(
    make_org, monkeypatch
):
    monkeypatch.setattr(bulk_push, "MOST_BYTES", 1_000)
    org = await make_org(bulk_queue=timedelta(0), bulk_time=timedelta(0), **QUIET)
    refs = await live(org)
    org.sandbox.faults.add(method="GET", path="*/jobs/ingest/*", skip=2, times=None, drop=True)

    receipts = await send(org, scores(refs))

    assert Outcome.WRITTEN in outcomes(receipts)
    assert set(outcomes(receipts)) == {Outcome.WRITTEN, Outcome.UNKNOWN}
    written = [refs[at] for at, receipt in enumerate(receipts) if receipt.outcome is Outcome.WRITTEN]
    assert all(org.sandbox.raw("Lead", ref.id)["MQL_Score__c"] == 61.0 for ref in written)


async def test_of_several_jobs_the_ones_that_are_refused_leave_their_rows_to_collections(
    make_org, monkeypatch
):
    monkeypatch.setattr(bulk_push, "MOST_BYTES", 1_000)
    org = await make_org(**QUIET)
    refs = await live(org)
    spent = [{"errorCode": "LIMIT_EXCEEDED", "message": "ApiBatchItems Limit exceeded."}]
    org.sandbox.faults.add(method="POST", path="*/jobs/ingest", skip=1, times=None, status=400, json=spent)

    receipts = await send(org, scores(refs))

    assert set(outcomes(receipts)) == {Outcome.WRITTEN}
    assert len(jobs(org)) == 1
    assert len(calls(org, "/composite/sobjects")) == 1
    assert len(org.sandbox.log.writes()) == len(refs)


# ------------------------------------------------------------------------------ what documents leave open


@pytest.mark.parametrize("assigns", [False, True])
async def test_a_probe_learns_whether_a_job_runs_the_assignment_rule_and_puts_the_owner_back(
    make_org, assigns
):
    org = await make_org(assignment_rule=True, bulk_assigns=assigns, variables=MANY)
    lead = next(
        ref for ref in await live(org) if org.sandbox.raw("Lead", ref.id)["OwnerId"].startswith("005")
    )
    owner = org.sandbox.raw("Lead", lead.id)["OwnerId"]

    answers = {answer.switch: answer for answer in await org.adapter.probe(lead)}
    org.adapter.use({name: answer.value for name, answer in answers.items() if name})

    assert answers["bulk_assigns_leads"].value is assigns
    assert org.sandbox.raw("Lead", lead.id)["OwnerId"] == owner
    assert await org.adapter.bulk.worth("Lead", 50) is not assigns


async def test_a_probe_says_where_no_rule_is_active_or_the_record_cannot_tell(make_org):
    none = await make_org(assignment_rule=False)
    [told] = [each for each in await none.adapter.probe((await live(none))[0]) if "Bulk" in each.probe]
    assert "does not matter" in told.what

    active = await make_org(assignment_rule=True)
    lead = (await live(active))[0]
    queue = next(iter(active.ids("Group")))
    for group in sorted(active.ids("Group")):
        if "Round" in active.sandbox.raw("Group", group)["Name"]:
            queue = group
    active.sandbox.edit("Lead", lead.id, {"OwnerId": queue})
    [told] = [each for each in await active.adapter.probe(lead) if "Bulk" in each.probe]
    assert "Not found out" in told.what
    assert not told.switch
