"""Pulling against scripted answers: order, resuming, shrunken pages, hidden fields, sums that do not fit."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import respx

from adapters.salesforce import PLUGIN
from adapters.salesforce.cursors import Changes, Loading, Sweep, read_cursor, write_cursor
from adapters.salesforce.pull import STREAMS
from connector.core.model import RecordState, Ref
from connector.errors import FixConfig, RetryLater, StopRun
from connector.testing.clock import HandClock

DOMAIN = "https://acme.my.salesforce.com"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = NOON - timedelta(seconds=40)  # its clock is behind ours
QUERY = re.compile(rf"{re.escape(DOMAIN)}/services/data/v66.0/(query|queryAll)(\?|/|$)")
WANTED = {"Lead": frozenset({"Email"}), "Task": frozenset({"Subject"})}


def lead_id(number):
    return f"00Q5e0000000{number:03d}EAA"


def lead(number, stamp=NOON - timedelta(days=1), **more):
    at = stamp.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    row = {"Id": lead_id(number), "SystemModstamp": at, "CreatedDate": at, "IsDeleted": False}
    return {**row, "Email": f"p{number}@example.com", **more}


def page(*rows, total=None, following=None, server=SERVER):
    body = {
        "totalSize": len(rows) if total is None else total,
        "done": following is None,
        "records": list(rows),
    }
    if following:
        body["nextRecordsUrl"] = following
    date = format_datetime(server, usegmt=True)
    return httpx.Response(200, json=body, headers={"Date": date, "Sforce-Limit-Info": "api-usage=18/15000"})


def refusal(status, code, message="no"):
    return httpx.Response(status, json=[{"errorCode": code, "message": message}])


def asked(route):
    """The query texts and next-page addresses that were asked for, in order."""
    return [call.request.url.params.get("q") or call.request.url.path for call in route.calls]


@pytest.fixture
async def salesforce():
    adapter = PLUGIN.connect(
        {
            "SALESFORCE_LOGIN_URL": DOMAIN,
            "SALESFORCE_CLIENT_ID": "c",
            "SALESFORCE_CLIENT_SECRET": "consumer-secret",
        },
        HandClock(NOON),
        None,
    )
    with respx.mock(assert_all_called=False) as router:
        identity = "https://login.salesforce.com/id/00D5e000000OrgAEAS/0055e000000UserAAA"
        body = {"access_token": "session-token", "instance_url": DOMAIN, "id": identity}
        router.post(f"{DOMAIN}/services/oauth2/token").mock(return_value=httpx.Response(200, json=body))
        adapter.router = router
        yield adapter
    await adapter.close()


def answers(salesforce, *responses):
    return salesforce.router.get(url__regex=QUERY.pattern).mock(side_effect=list(responses))


async def pulled(salesforce, stream="Lead", since=None, fields=WANTED):
    return [each async for each in salesforce.pull(stream, since, fields)]


def ids(pages):
    return [record.ref.id for each in pages for record in each.records]


DONE = {"kind": "changes", "until": "2026-11-22T11:00:00.000Z"}


# ------------------------------------------------------------------------------------------- cursors


@pytest.mark.parametrize(
    "place",
    [
        Loading(lead_id(1), NOON),
        Changes(NOON),
        Changes(NOON, NOON + timedelta(seconds=1), lead_id(1), NOON + timedelta(hours=1)),
        Changes(NOON, due=NOON + timedelta(days=1), sweep=Sweep(NOON, lead_id(4), 2_000)),
        Changes(NOON, feed=NOON, hidden=frozenset({"Title"}), alive=7, fewer=NOON),
    ],
)
def test_a_cursor_survives_being_stored(place):
    assert read_cursor(write_cursor(place)) == place


@pytest.mark.parametrize(
    "cursor",
    [
        {},
        {"kind": "window", "until": "2026-11-22T11:00:00Z"},
        {"kind": "list", "after": "151", "started": "2026-11-22T11:00:00Z"},
        {"kind": "list", "after": lead_id(1)},
        {"kind": "list", "after": None, "started": "2026-11-22T11:00:00Z"},
        {"kind": "changes"},
        {"kind": "changes", "until": "yesterday"},
        {"kind": "changes", "until": 1780000000},
        {**DONE, "stamp": "2026-11-22T11:00:00Z", "after": lead_id(1)},
        {**DONE, "stamp": None},
        {**DONE, "due": "soon"},
        {**DONE, "sweep": {"began": "2026-11-22T11:00:00Z", "after": "' OR", "rows": 1}},
        {**DONE, "sweep": 7},
        {**DONE, "stamp": "2026-11-22T11:00:00Z", "after": "' OR", "then": "2026-11-22T11:00:00Z"},
        ["list"],
        "list",
    ],
)
async def test_a_cursor_that_cannot_be_read_stops_the_run_before_anything_is_asked(salesforce, cursor):
    with pytest.raises(StopRun, match="cursor"):
        await pulled(salesforce, since=cursor)
    assert salesforce.calls() == 0


# ---------------------------------------------------------------------------------------- first load


async def test_a_first_load_reads_by_id_and_starts_changes_from_before_it_began(salesforce):
    route = answers(salesforce, page(lead(1), lead(2)))

    [only] = await pulled(salesforce)

    assert "WHERE Id > '000000000000000' ORDER BY Id ASC" in asked(route)[0]
    assert route.calls[0].request.url.path.endswith("/query")
    assert only.first_load
    assert only.fetched == 2
    assert read_cursor(only.cursor).until == SERVER - timedelta(minutes=3)


async def test_a_server_whose_clock_is_ahead_of_ours_moves_no_watermark_past_us(salesforce):
    answers(salesforce, page(lead(1), server=NOON + timedelta(hours=2)))

    [only] = await pulled(salesforce)

    assert read_cursor(only.cursor).until == NOON - timedelta(minutes=3)


async def test_an_object_that_holds_nothing_is_read_to_its_end(salesforce):
    answers(salesforce, page())
    salesforce.router.get(f"{DOMAIN}/services/data/v66.0/limits/recordCount").mock(
        return_value=httpx.Response(200, json={"sObjects": []})
    )

    [only] = await pulled(salesforce)

    assert (only.fetched, only.records) == (0, ())
    assert only.cursor["kind"] == "changes"


async def test_pages_that_the_server_shrinks_are_followed_to_the_last(salesforce):
    following = "/services/data/v66.0/query/0r8xx-2"
    route = answers(salesforce, page(lead(1), lead(2), total=3, following=following), page(lead(3), total=3))

    pages = await pulled(salesforce)

    assert ids(pages) == [lead_id(1), lead_id(2), lead_id(3)]
    assert asked(route)[1] == following
    assert read_cursor(pages[0].cursor) == Loading(lead_id(2), SERVER)


async def test_an_interrupted_first_load_goes_on_behind_the_last_kept_row(salesforce):
    started = NOON - timedelta(hours=5)
    route = answers(salesforce, page(lead(8)))

    [only] = await pulled(salesforce, since=write_cursor(Loading(lead_id(7), started)))

    assert f"Id > '{lead_id(7)}'" in asked(route)[0]
    assert read_cursor(only.cursor).until == started - timedelta(minutes=3)


async def test_a_locator_that_died_costs_no_row(salesforce):
    route = answers(
        salesforce,
        page(lead(1), total=2, following="/services/data/v66.0/query/0r8xx-1"),
        refusal(400, "INVALID_QUERY_LOCATOR"),
        page(lead(2)),
    )

    pages = await pulled(salesforce)

    assert ids(pages) == [lead_id(1), lead_id(2)]
    assert f"Id > '{lead_id(1)}'" in asked(route)[2]


async def test_a_query_that_runs_out_of_time_is_asked_smaller(salesforce):
    route = answers(salesforce, refusal(400, "QUERY_TIMEOUT"), page(lead(1)))

    assert ids(await pulled(salesforce)) == [lead_id(1)]
    limits = [int(query.rpartition("LIMIT ")[2]) for query in asked(route)]
    assert limits[1] < limits[0]


async def test_a_query_that_is_never_fast_enough_gives_up_with_a_reason(salesforce):
    answers(salesforce, *[refusal(400, "QUERY_TIMEOUT")] * 20)

    with pytest.raises(RetryLater, match="QUERY_TIMEOUT"):
        await pulled(salesforce)


async def test_archived_activities_are_read_and_deleted_ones_are_not(salesforce):
    route = answers(salesforce, page())

    await pulled(salesforce, "Task")

    assert route.calls[0].request.url.path.endswith("/queryAll")
    assert "IsDeleted = false" in asked(route)[0]


# ---------------------------------------------------------------------------------------- increments


async def test_an_increment_reads_from_before_the_watermark_up_to_now(salesforce):
    route = answers(salesforce, page(lead(1, NOON - timedelta(minutes=1))))

    [only] = await pulled(salesforce, since=DONE)

    assert route.calls[0].request.url.path.endswith("/queryAll")
    assert (
        "WHERE SystemModstamp >= 2026-11-22T10:50:00.000Z ORDER BY SystemModstamp ASC, Id ASC"
        in asked(route)[0]
    )
    assert "SystemModstamp <" not in asked(route)[0]
    assert not only.first_load
    assert read_cursor(only.cursor).until == SERVER - timedelta(minutes=3)


async def test_an_interrupted_increment_goes_on_behind_its_row_and_ends_where_it_would_have_ended(salesforce):
    stamp, then = NOON - timedelta(minutes=30), NOON - timedelta(minutes=20)
    route = answers(salesforce, page())

    [only] = await pulled(salesforce, since=write_cursor(Changes(NOON, stamp, lead_id(4), then)))

    assert f"(SystemModstamp = 2026-11-22T11:30:00.000Z AND Id > '{lead_id(4)}')" in asked(route)[0]
    assert read_cursor(only.cursor).until == NOON


async def test_a_row_edited_while_its_page_was_waiting_hides_no_row_from_whoever_goes_on(salesforce):
    following = [f"/services/data/v66.0/query/0r8xx-{number}" for number in (2, 4)]
    old, edited = NOON - timedelta(minutes=30), NOON + timedelta(minutes=5)
    answers(
        salesforce,
        page(lead(1, old), lead(2, old), total=5, following=following[0]),
        page(lead(3, old), lead(4, edited), total=5, following=following[1]),
        page(lead(5, old), total=5),
    )

    pages = await pulled(salesforce, since=DONE)

    assert [(read_cursor(each.cursor).stamp, read_cursor(each.cursor).after) for each in pages[:2]] == [
        (old, lead_id(2)),
        (old, lead_id(3)),
    ]
    assert ids(pages) == [lead_id(number) for number in range(1, 6)]


async def test_a_locator_that_dies_in_an_increment_costs_no_row(salesforce):
    route = answers(
        salesforce,
        page(lead(1), total=2, following="/services/data/v66.0/query/0r8xx-1"),
        refusal(400, "INVALID_QUERY_LOCATOR"),
        page(lead(2)),
    )

    pages = await pulled(salesforce, since=DONE)

    assert ids(pages) == [lead_id(1), lead_id(2)]
    assert f"Id > '{lead_id(1)}'" in asked(route)[2]
    assert read_cursor(pages[-1].cursor).until == SERVER - timedelta(minutes=3)


async def test_a_watermark_never_moves_back(salesforce):
    answers(salesforce, page())
    ahead = NOON + timedelta(days=1)

    [only] = await pulled(salesforce, since=write_cursor(Changes(ahead)))

    assert read_cursor(only.cursor).until == ahead


async def test_merged_deleted_and_converted_leads_say_so(salesforce):
    contact = "0035e00000ZyxwVAAA"
    answers(
        salesforce,
        page(
            lead(1, IsDeleted=True, MasterRecordId=lead_id(9)),
            lead(2, IsDeleted=True),
            lead(3, IsConverted=True, ConvertedContactId=contact),
        ),
    )

    [only] = await pulled(salesforce, since=DONE)

    assert [(record.state, record.moved_to) for record in only.records] == [
        (RecordState.MERGED, Ref("salesforce", "Lead", lead_id(9))),
        (RecordState.ARCHIVED, None),
        (RecordState.CONVERTED, Ref("salesforce", "Contact", contact)),
    ]


async def test_a_row_that_cannot_be_read_is_quarantined_and_its_neighbours_are_not(salesforce):
    answers(salesforce, page(lead(1), lead(2, CreatedDate="soon"), lead(3)))

    [only] = await pulled(salesforce)

    assert ids([only]) == [lead_id(1), lead_id(3)]
    assert [(row.object, row.id) for row in only.quarantined] == [("Lead", lead_id(2))]
    assert only.fetched == 3


async def test_an_unchanged_world_costs_one_call_a_stream_and_two(salesforce):
    answers(salesforce, *[page() for _ in STREAMS])
    described = describe(salesforce, "Contact")  # is there a person among the Accounts?
    feed = salesforce.router.get(f"{DOMAIN}/services/data/v66.0/sobjects/CampaignMember/deleted/").mock(
        return_value=httpx.Response(
            200,
            json={
                "deletedRecords": [],
                "earliestDateAvailable": "2026-11-08T00:00:00.000+0000",
                "latestDateCovered": "2026-11-22T11:55:00.000+0000",
            },
        )
    )

    for stream in STREAMS:
        await pulled(salesforce, stream.name, DONE)

    assert (described.call_count, feed.call_count) == (1, 1)
    assert salesforce.calls() == len(STREAMS) + 2 == 10


# --------------------------------------------------------------------------------- hidden, unexpected


def describe(salesforce, source, *names, **relationships):
    fields = [{"name": name, "type": "string"} for name in ("Id", "SystemModstamp", *names)]
    fields += [
        {"name": f"{name}Id", "type": "reference", "relationshipName": name, "referenceTo": list(parents)}
        for name, parents in relationships.items()
    ]
    return salesforce.router.get(f"{DOMAIN}/services/data/v66.0/sobjects/{source}/describe").mock(
        return_value=httpx.Response(200, json={"name": source, "fields": fields})
    )


async def test_a_hidden_field_is_read_as_blank_and_asked_for_no_more(salesforce):
    fields = {"Lead": frozenset({"Email", "Gone__c", "Owner.Name", "Owner.Salary__c", "Boss.Name"})}
    described = describe(salesforce, "Lead", "IsDeleted", "CreatedDate", "Email", Owner=("Group", "User"))
    route = answers(salesforce, refusal(400, "INVALID_FIELD", "No such column"), page(lead(1)), page())

    [only] = await pulled(salesforce, fields=fields)
    await pulled(salesforce, since=only.cursor, fields=fields)

    assert only.records[0].values["Gone__c"] is None
    assert only.records[0].values["Email"] == "p1@example.com"
    for query in asked(route)[1:]:
        assert "Owner.Name" in query
        assert not any(name in query for name in ("Gone__c", "Salary__c", "Boss", "MasterRecordId"))
    assert described.call_count == 1


async def test_a_refused_field_that_describe_knows_is_a_matter_of_configuration(salesforce):
    describe(
        salesforce, "Lead", "IsDeleted", "CreatedDate", "Email", "MasterRecordId", "IsConverted",
        "ConvertedContactId", "ConvertedAccountId",
    )  # fmt: skip
    answers(salesforce, *[refusal(400, "INVALID_FIELD", "No such column")] * 3)

    with pytest.raises(FixConfig, match="INVALID_FIELD"):
        await pulled(salesforce)


async def test_an_object_out_of_sight_is_named(salesforce):
    answers(salesforce, refusal(400, "INVALID_TYPE", "sObject type 'Lead' is not supported."))

    with pytest.raises(FixConfig, match="Lead"):
        await pulled(salesforce)


@pytest.mark.parametrize(
    "body",
    [
        {"totalSize": 2, "done": True, "records": []},
        {"totalSize": 2, "done": True, "records": [lead(1)]},
        {"totalSize": 0, "done": True},
        {"done": True, "records": []},
        {"totalSize": 0, "records": []},
        {"totalSize": 2, "done": False, "records": [lead(1)]},
        {"totalSize": 2, "done": False, "records": [], "nextRecordsUrl": "/services/data/v66.0/query/x"},
        {"totalSize": 2, "done": False, "records": [lead(1)], "nextRecordsUrl": "https://elsewhere.example/"},
        {"totalSize": 1, "done": True, "records": ["x"]},
        [],
        {},
        5,
    ],
)
async def test_an_answer_that_does_not_add_up_stops_the_stream(salesforce, body):
    answers(salesforce, httpx.Response(200, json=body))

    with pytest.raises(StopRun):
        await pulled(salesforce)


async def test_rows_that_come_again_instead_of_going_on_stop_the_stream(salesforce):
    following = "/services/data/v66.0/query/0r8xx-1"
    first = page(lead(1), total=3, following=following)
    answers(salesforce, first, page(lead(1), total=3, following=following))

    with pytest.raises(StopRun, match="read last"):
        await pulled(salesforce)


async def test_a_page_of_html_is_an_error_that_names_it(salesforce):
    html = httpx.Response(200, html="<html>Down for maintenance</html>")
    answers(salesforce, *[html] * 10)

    with pytest.raises(StopRun, match="text/html"):
        await pulled(salesforce)


async def test_a_session_that_ended_is_renewed_once_and_the_request_sent_again(salesforce):
    answers(salesforce, refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"), page(lead(1)))

    assert ids(await pulled(salesforce)) == [lead_id(1)]


async def test_a_session_that_no_login_helps_is_not_renewed_for_ever(salesforce):
    route = answers(salesforce, *[refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")] * 9)

    with pytest.raises(FixConfig):
        await pulled(salesforce)
    assert route.call_count == 2


async def test_the_days_usage_is_read_whatever_else_the_header_says(salesforce):
    response = page(lead(1))
    response.headers["Sforce-Limit-Info"] = (
        "per-app-api-usage=1/250(appName=x); api-usage=891/15000; api-bursts=1/750"
    )
    answers(salesforce, response)

    await pulled(salesforce)

    told = salesforce.allowance()
    assert (told.used, told.allowed, told.ours) == (891, 15000, 1)


async def test_when_our_share_of_the_day_is_spent_nothing_more_is_asked(salesforce):
    small = page()
    small.headers["Sforce-Limit-Info"] = "api-usage=1/10"
    answers(salesforce, small, small, small)
    for _ in range(3):
        await pulled(salesforce, since=DONE)

    with pytest.raises(RetryLater, match="share"):
        await pulled(salesforce, since=DONE)
    assert salesforce.calls() == 3


# --------------------------------------------------------------------------------- opportunities, read


OPPORTUNITY, ROLE_OF = "0065e000000DealAAA", "0035e00000ZyxwVAAA"


def opportunity(**more):
    return lead(1, Id=OPPORTUNITY, IsClosed=True, IsWon=True, **more)


async def test_an_opportunity_comes_with_the_people_in_its_roles(salesforce):
    role = {"Id": "00K5e000000RoleAAA", "OpportunityId": OPPORTUNITY, "ContactId": ROLE_OF}
    answers(salesforce, page(opportunity()), page(role, role))

    [only] = await pulled(salesforce, "Opportunity")

    assert only.records[0].people == (Ref("salesforce", "Contact", ROLE_OF),)
    assert only.records[0].kind == "opportunity"


async def test_a_changed_role_brings_its_opportunity_as_it_stands_now(salesforce):
    changed = {
        "Id": "00K5e000000RoleAAA", "OpportunityId": OPPORTUNITY, "ContactId": ROLE_OF, "IsDeleted": True,
        "SystemModstamp": "2026-11-22T11:59:00.000+0000",
    }  # fmt: skip
    route = answers(salesforce, page(changed), page(opportunity()), page())

    [only] = await pulled(salesforce, "OpportunityContactRole", DONE)

    assert [(record.ref.id, record.people) for record in only.records] == [(OPPORTUNITY, ())]
    assert f"Id IN ('{OPPORTUNITY}')" in asked(route)[1]


async def test_records_are_read_again_by_the_ref_asked_for(salesforce):
    short = Ref("salesforce", "Lead", lead_id(1)[:15])
    gone = Ref("salesforce", "Lead", lead_id(5))
    route = answers(salesforce, page(lead(1), lead(2, IsDeleted=True)))

    found = await salesforce.read([short, Ref("salesforce", "Lead", lead_id(2)), gone], WANTED)

    assert found[short].values["Email"] == "p1@example.com"
    assert found[Ref("salesforce", "Lead", lead_id(2))].state is RecordState.ARCHIVED
    assert gone not in found
    assert route.call_count == 1


async def test_many_records_are_read_in_batches_of_200(salesforce):
    refs = [Ref("salesforce", "Lead", lead_id(number)) for number in range(450)]
    route = answers(salesforce, *[page()] * 3)

    await salesforce.read(refs, WANTED)

    assert [query.count("00Q") for query in asked(route)] == [200, 200, 50]


async def test_the_next_page_is_under_way_while_one_is_kept_and_no_request_outlives_the_pull(salesforce):
    following = "/services/data/v66.0/query/0r8xx-1"
    route = answers(salesforce, page(lead(1), total=2, following=following), page(lead(2), total=2))

    pages = salesforce.pull("Lead", None, WANTED)
    await anext(pages)
    await asyncio.sleep(0.02)
    asked_meanwhile = route.call_count
    await pages.aclose()

    assert asked_meanwhile == 2
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("count", [[{"count": 40, "name": "Lead"}], None])
async def test_a_first_load_that_finds_nobody_is_not_believed_against_the_orgs_own_count(salesforce, count):
    answers(salesforce, page())
    salesforce.router.get(f"{DOMAIN}/services/data/v66.0/limits/recordCount").mock(
        return_value=httpx.Response(200, json={"sObjects": count})
    )

    with pytest.raises(StopRun):
        await pulled(salesforce)
