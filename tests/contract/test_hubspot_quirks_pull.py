"""What breaks connectors when they read HubSpot, each by name: over real HTTP, against an account that does it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from adapters.hubspot.sandbox.table import Row
from adapters.hubspot.sandbox.wire import to_ms
from connector.core.model import RecordState, Ref
from connector.errors import FixConfig, StopRun
from connector.ports import Range
from connector.sandbox.population import make_population
from connector.testing.clock import HandClock
from tests.contract.test_hubspot_adapter import FIELDS, HOUR, START, account, connected

__all__ = ["account"]  # the fixture

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WIDE = {"contact": FIELDS["contact"] | {f"made_up_property_number_{n:04}" for n in range(250)}}
FEW = make_population(3, 5, START)


def contacts(account):
    return account.sandbox.sandbox.store.tables["contacts"]


def a_crowd(account, many, *, table="companies", spread=1):
    """So many records with one and the same time stamp, as an import or a pipeline edit leaves them; or within so many
    milliseconds, the newest of them with the oldest stamps."""
    now = to_ms(account.clock.now())
    stamps = [now - n * spread // many for n in range(many)]
    rows = [Row(20_000_000_000 + n, {"name": f"Crowd {n}"}, at, at) for n, at in enumerate(stamps)]
    account.sandbox._ask(lambda: account.sandbox.sandbox.store.tables[table].load(rows))
    return {str(row.id) for row in rows}


async def ids_of(account, stream):
    """Every id that came, in order."""
    return [record.ref.id for page in await account.pull(stream) for record in page.records]


# ------------------------------------------------------------------------------------------- lists and windows


@pytest.mark.parametrize("longest_url", [1_200, 4_000])
async def test_quirk_hubspot_01_a_property_list_that_overflows_the_address_is_read_by_batches(longest_url):
    async with connected(longest_url=longest_url) as account:
        records = await account.records(fields=WIDE)
        refused = [call for call in account.sandbox.log.calls() if call.status == 414]
        by_id = await account.adapter.read([Ref("hubspot", "contact", account.ids()[0])], WIDE)

    assert set(account.ids(250)) <= set(records)
    assert sum(bool(record.values["email"]) for record in records.values()) > 200
    assert len(by_id) == 1
    assert len(refused) <= 1  # met once, learned for good


async def test_quirk_hubspot_01_an_address_shorter_than_anybody_guessed_is_learned():
    async with connected(longest_url=600) as account:
        records = await account.records()
        refused = [call for call in account.sandbox.log.calls() if call.status == 414]

    assert len(records) >= 250
    assert len(refused) == 1


@pytest.mark.parametrize("spread", [1, 60_000], ids=["one moment", "one minute, in no order"])
async def test_quirk_hubspot_02_more_than_ten_thousand_changes_in_one_window_all_come(spread):
    async with connected(population=FEW, strict_limits=False) as account:
        await account.quiet()
        crowd = a_crowd(account, 10_450, spread=spread)
        account.clock.advance(2 * MINUTE)

        came = await ids_of(account, "companies")

    assert len(came) == len(crowd)
    assert set(came) == crowd


async def test_trap_more_than_ten_thousand_on_one_time_stamp_all_come_and_once():
    async with connected(population=FEW, strict_limits=False) as account:
        await account.quiet()
        crowd = a_crowd(account, 50_400)
        account.clock.advance(2 * MINUTE)

        came = await ids_of(account, "companies")

    assert len(came) == len(crowd) == 50_400
    assert set(came) == crowd


async def test_quirk_hubspot_03_what_the_index_shows_after_the_watermark_passed_is_found_by_the_second_look():
    async with connected(index_lag_seconds=40 * 60) as account:
        await account.quiet()
        (late,) = account.ids()
        account.sandbox.edit("contact", late, {"mql_reason": "late"})
        early = []
        for _ in range(3):
            account.clock.advance(12 * MINUTE)
            early += await ids_of(account, "contacts")
        assert late not in early  # the index does not know, and the watermark is past it
        account.clock.advance(45 * MINUTE)

        found = await account.records()

    assert found[late].values["mql_reason"] == "late"


async def test_quirk_hubspot_03_the_watermark_stays_behind_the_index_and_a_little_below_it_is_read_again():
    async with connected(index_lag_seconds=5.5 * 60) as account:
        await account.quiet()
        (late,) = account.ids()
        edited = account.clock.now()
        account.sandbox.edit("contact", late, {"mql_reason": "late"})
        for minutes in (1, 5.4):
            account.clock.set(edited + minutes * MINUTE)
            assert late not in await ids_of(account, "contacts")
        account.clock.set(edited + 5.6 * MINUTE)

        assert late in await ids_of(account, "contacts")


async def test_quirk_hubspot_04_contacts_and_companies_are_searched_by_their_own_last_modified_property(
    account,
):
    await account.quiet()
    (contact,) = account.ids()
    company = next(iter(account.sandbox.sandbox.store.tables["companies"].live))
    account.sandbox.edit("contact", contact, {"mql_reason": "edited"})
    account.sandbox.edit("company", str(company), {"city": "Ghent"})
    account.clock.advance(2 * MINUTE)

    assert set(await account.records("contacts")) == {contact}
    assert set(await account.records("companies")) == {str(company)}
    wrong = {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": str(to_ms(START))}
    async with httpx.AsyncClient(base_url=account.sandbox.url, headers=TOKEN) as http:
        body = {"filterGroups": [{"filters": [wrong]}]}
        answer = (await http.post("/crm/v3/objects/contacts/search", json=body)).json()
    assert answer["total"] == 0  # the wrong name fails for nobody, it only finds nothing


TOKEN = {"authorization": "Bearer pat-eu1-sandbox-full"}


async def test_quirk_hubspot_05_a_hit_from_outside_the_window_is_left_to_the_window_it_belongs_to():
    async with connected(index_lag_seconds=5 * 60) as account:
        await account.quiet()
        ids = sorted(account.ids(230), key=int)
        for id_ in ids:
            account.sandbox.edit("contact", id_, {"mql_reason": "mass update"})
        account.clock.advance(6 * MINUTE)
        async for page in account.adapter.pull("contacts", account.cursors["contacts"], FIELDS):
            account.cursors["contacts"] = page.cursor
            break
        account.clock.advance(2 * MINUTE)
        again = ids[-1]
        account.sandbox.edit("contact", again, {"mql_reason": "edited again"})

        pages = await account.pull("contacts")
        account.clock.advance(10 * MINUTE)
        later = await account.records()

    resumed = {record.ref.id for record in pages[0].records}
    assert (
        again not in resumed
    )  # the index offers it by its old stamp; the value that came lies behind the window
    assert resumed == set(ids[200:]) - {again}
    assert later[again].values["mql_reason"] == "edited again"


async def test_quirk_hubspot_05_who_was_changed_since_the_index_last_looked_counts_in_the_range_where_it_was_counted():
    async with connected(index_lag_seconds=60) as account:
        (id_,) = account.ids()
        within = Range(until=account.clock.now())
        account.clock.advance(MINUTE / 2)
        account.sandbox.edit("contact", id_, {"jobtitle": "Director"})

        counted = (await account.adapter.estimate("contacts", within)).rows
        pages = [page async for page in account.adapter.backfill("contacts", within, None, FIELDS)]

    told = {record.ref.id for page in pages for record in page.records}
    assert (sum(page.fetched for page in pages), len(told)) == (counted, counted - 1)
    assert id_ not in told  # the increments have it


async def test_what_is_modified_while_we_page_is_in_this_window_or_the_next(account):
    await account.quiet()
    ids = account.ids(230)
    for id_ in ids:
        account.sandbox.edit("contact", id_, {"mql_reason": "mass update"})
    account.clock.advance(2 * MINUTE)
    found = {}
    async for page in account.adapter.pull("contacts", account.cursors["contacts"], FIELDS):
        if not found:
            account.sandbox.edit("contact", ids[-1], {"mql_reason": "meanwhile"})
            account.sandbox.edit("contact", ids[0], {"mql_reason": "meanwhile"})
        found |= {record.ref.id: record for record in page.records}
        account.cursors["contacts"] = page.cursor
    account.clock.advance(2 * MINUTE)
    found |= await account.records()

    assert set(found) == set(ids)
    assert found[ids[0]].values["mql_reason"] == found[ids[-1]].values["mql_reason"] == "meanwhile"


async def test_trap_a_property_added_in_mid_run_is_read_from_the_next_page_on_and_its_values_are_not_missed(
    account,
):
    fields = {"contact": FIELDS["contact"] | {"budget_range"}}
    first, *_ = account.ids()
    seen = {}
    async for page in account.adapter.pull("contacts", None, fields):
        if not seen:
            add_property(account, "budget_range")
            account.sandbox.edit("contact", first, {"budget_range": "10k"})  # behind us in the list
        seen |= {record.ref.id: record for record in page.records}
        account.cursors["contacts"] = page.cursor
    account.clock.advance(5 * MINUTE)

    later = await account.records(fields=fields)

    assert seen[first].values.get("budget_range") is None
    assert later[first].values["budget_range"] == "10k"


@pytest.mark.parametrize("lost", ["firstname", "last_docs_view"])
async def test_trap_a_property_lost_over_night_is_not_blank_it_stops_its_stream_until_it_is_back(
    account, lost
):
    await account.quiet()
    (edited,) = account.ids()
    properties = contacts(account).properties
    kept = properties.pop(lost)  # archived in HubSpot's settings: answers leave it out without a word
    account.sandbox.edit("contact", edited, {"mql_reason": "edited"})
    account.clock.advance(5 * MINUTE)
    before = dict(account.cursors["contacts"])

    with pytest.raises(StopRun, match=f"contact.{lost} until now") as caught:
        await account.pull("contacts")

    assert "mappings/hubspot.yaml" in caught.value.next_step
    assert account.cursors["contacts"]["until"] == before["until"]
    properties[lost] = kept
    account.clock.advance(5 * MINUTE)
    found = await account.records()
    assert set(found) == {edited}
    assert lost in found[edited].values


async def test_a_property_that_the_account_never_had_stops_nothing_and_is_read_for_everybody_once_it_is_there(
    account,
):
    fields = {"contact": FIELDS["contact"] | {"budget_range"}}
    account.cursors["contacts"] = (await account.pull("contacts", fields))[-1].cursor
    account.clock.advance(3 * HOUR)
    id_ = account.ids()[0]
    account.sandbox.edit("contact", id_, {"mql_reason": "edited"})
    account.clock.advance(5 * MINUTE)
    assert id_ in await account.records(fields=fields)

    add_property(account, "budget_range")
    account.sandbox.edit("contact", id_, {"mql_reason": "again"})
    account.clock.advance(3 * HOUR)
    everybody = await account.records(fields=fields)

    assert len(everybody) > 200
    assert account.cursors["contacts"]["lacks"] == []


def add_property(account, name):
    headers = {**TOKEN}
    definition = {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    answer = httpx.post(f"{account.sandbox.url}/crm/v3/properties/contacts", json=definition, headers=headers)
    assert answer.status_code < 300


# ------------------------------------------------------------------------------------------- what no search shows


async def test_quirk_hubspot_06_a_calculated_value_that_moved_unseen_comes_with_the_weekly_refresh(account):
    fields = {"contact": FIELDS["contact"] | {"num_contacted_notes"}}
    await account.quiet()
    (id_,) = account.ids()
    account.sandbox._ask(
        lambda: contacts(account).set_quietly(contacts(account).rows[int(id_)], {"num_contacted_notes": "77"})
    )
    account.clock.advance(5 * MINUTE)
    assert id_ not in await account.records(fields=fields)

    account.clock.advance(7 * DAY)
    found = await account.records(fields=fields)

    assert found[id_].values["num_contacted_notes"] == "77"


async def test_quirk_hubspot_07_an_archived_contact_is_found_in_the_bin_within_a_day_and_a_restored_one_again(
    account,
):
    await account.quiet()
    (id_,) = account.ids()
    account.sandbox.act("contact", id_, "archive")
    account.clock.advance(DAY)

    archived = await account.records()
    account.sandbox.act("contact", id_, "restore")
    account.clock.advance(5 * MINUTE)
    restored = await account.records()

    assert archived[id_].state is RecordState.ARCHIVED
    assert restored[id_].state is RecordState.LIVE


@pytest.mark.parametrize("links_touch", [False, True])
async def test_quirk_hubspot_08_a_contact_moved_to_another_company_is_found_even_if_nothing_says_it_changed(
    links_touch,
):
    async with connected(links_touch=links_touch) as account:
        await account.quiet()
        (id_,) = account.ids()
        companies = account.sandbox.sandbox.store.tables["companies"].live
        other = str(companies[-1])
        account.sandbox.act("contact", id_, "associate", company=other)
        account.clock.advance(5 * MINUTE)
        soon = await account.records()
        account.clock.advance(7 * DAY)
        refreshed = await account.records()

    assert (id_ in soon) == links_touch
    assert refreshed[id_].company == Ref("hubspot", "company", other)


async def test_quirk_hubspot_19_an_edit_that_bumps_every_record_is_read_page_by_page_in_one_window():
    async with connected() as account:
        await account.quiet()
        table = contacts(account)
        account.sandbox._ask(
            lambda: [table.touch(table.rows[id_], to_ms(account.clock.now())) for id_ in list(table.live)]
        )
        account.clock.advance(2 * MINUTE)

        came = await ids_of(account, "contacts")

    assert len(came) == len(set(came)) == len(table.live)


@pytest.mark.parametrize("merged_read", ["told", "silent"])
@pytest.mark.parametrize("merge_keeps_primary", [False, True])
async def test_quirk_hubspot_21_merges_and_their_chains_are_followed_from_every_old_id(
    merge_keeps_primary, merged_read
):
    async with connected(merge_keeps_primary=merge_keeps_primary, merged_read=merged_read) as account:
        await account.quiet()
        one, two, three = account.ids(3)
        first = account.sandbox.act("contact", one, "merge", other=two)["id"]
        last = account.sandbox.act("contact", three, "merge", other=first)["id"]
        account.clock.advance(2 * MINUTE)
        old = [Ref("hubspot", "contact", id_) for id_ in (one, two, three) if id_ != last]

        changed = await account.records()
        read = await account.adapter.read(old, FIELDS)

    survivor = Ref("hubspot", "contact", last)
    assert set(old) <= set(changed[last].absorbed)  # chains included
    assert survivor not in changed[last].absorbed
    assert {ref: (record.state, record.moved_to) for ref, record in read.items()} == dict.fromkeys(
        old, (RecordState.MERGED, survivor)
    )
    assert (last == three) == merge_keeps_primary


# ------------------------------------------------------------------------------------------- tokens and limits


async def test_quirk_hubspot_14_a_pull_longer_than_the_token_lives_renews_it_in_time():
    async with connected(oauth=True) as account:
        seen = set()
        async for page in account.adapter.pull("contacts", None, FIELDS):
            seen |= {record.ref.id for record in page.records}
            account.clock.advance(25 * MINUTE)
        statuses = [call.status for call in account.sandbox.log.calls()]
        tokens = [call for call in account.sandbox.log.calls() if call.path.endswith("/token")]

    assert len(seen) >= 250
    assert 401 not in statuses
    assert len(tokens) >= 2


async def test_quirk_hubspot_14_a_token_that_died_early_is_renewed_once_and_the_call_repeated():
    async with connected(oauth=True, our_clock=HandClock(START)) as account:
        await account.adapter.account()
        account.clock.advance(HOUR)  # not by our clock

        assert (await account.adapter.account()).id

        statuses = [call.status for call in account.sandbox.log.calls() if "/token" not in call.path]
    assert statuses == [200, 401, 200]


async def test_a_token_that_is_refused_for_good_does_not_loop():
    async with connected({"HUBSPOT_ACCESS_TOKEN": "pat-eu1-nobodys"}) as account:
        with pytest.raises(FixConfig, match="HUBSPOT_ACCESS_TOKEN"):
            await account.pull("contacts")
        assert len(account.sandbox.log.calls()) == 1


class Kept:
    """A TokenStore that several processes share."""

    def __init__(self):
        self.token = None
        self.lock = asyncio.Lock()

    def alone(self, crm):
        return self.lock

    async def load(self, crm):
        return self.token

    async def save(self, crm, token):
        await asyncio.sleep(0)
        self.token = token


@pytest.mark.parametrize("rotates_grant", [False, True])
async def test_several_processes_renew_one_after_the_other_and_a_rotated_grant_is_never_used_twice(
    rotates_grant,
):
    from adapters.hubspot import PLUGIN

    store = Kept()
    async with connected(oauth=True, rotates_grant=rotates_grant, store=store) as account:
        others = [
            PLUGIN.connect(account.sandbox.environment(), HandClock(account.clock.now()), store)
            for _ in range(4)
        ]
        for _ in range(2):
            await asyncio.gather(*(adapter.account() for adapter in (account.adapter, *others)))
            account.clock.advance(HOUR)
        for adapter in others:
            await adapter.close()
        tokens = [call.status for call in account.sandbox.log.calls() if call.path.endswith("/token")]

    assert set(tokens) == {200}
    assert (store.token is not None) == rotates_grant


async def test_quirk_hubspot_15_a_search_limit_that_others_filled_is_waited_out_and_holds_no_other_call(
    account,
):
    await account.quiet()
    account.sandbox.edit("contact", account.ids()[0], {"mql_reason": "x"})
    account.clock.advance(2 * MINUTE)
    full = {
        "message": "You have reached your secondly limit.",
        "policyName": "SECONDLY",
        "category": "RATE_LIMITS",
    }
    account.sandbox.faults.add(path="*/search", status=429, json=full, times=3)
    began = account.clock.now()

    found = await account.records()

    assert set(found) == {account.ids()[0]}
    assert timedelta(seconds=3) <= account.clock.now() - began < timedelta(seconds=10)
    assert not account.adapter._api._general._held_until


async def test_quirk_hubspot_16_one_limiter_rules_all_streams_of_an_account_at_once(account):
    await account.quiet()
    account.sandbox.log.clear()
    for _ in range(4):
        account.clock.advance(HOUR)
        await asyncio.gather(*(account.pull(stream.name) for stream in account.adapter.streams()))

    calls = account.sandbox.log.calls()
    assert len([call for call in calls if call.policy == "search"]) >= 16
    assert not [call for call in calls if call.status == 429]


@pytest.mark.parametrize("limited_as", ["errorType", "category", "page"])
async def test_quirk_hubspot_27_no_call_is_repeated_before_the_window_of_ten_seconds_is_over(limited_as):
    async with connected(limited_as=limited_as) as account:
        async with httpx.AsyncClient(base_url=account.sandbox.url, headers=TOKEN) as http:
            for _ in range(190):  # somebody else with the same app
                await http.get("/account-info/v3/details")
        account.sandbox.log.clear()

        await account.adapter.account()

        calls = account.sandbox.log.calls()
    assert calls[0].status == 429
    assert calls[-1].status == 200
    assert calls[1].at - calls[0].at >= timedelta(seconds=10)


# ------------------------------------------------------------------------------------------- cursors and values


async def test_quirk_hubspot_28_a_cursor_says_of_what_kind_it_is_and_goes_nowhere_else(account):
    async for page in account.adapter.pull("contacts", None, FIELDS):
        account.cursors["contacts"] = page.cursor
        break
    listed = dict(account.cursors["contacts"])
    assert listed["kind"] == "list"
    await account.quiet()
    window = dict(account.cursors["contacts"])
    assert window["kind"] == "window"

    for stream, cursor in (
        ("contacts", {**listed, "kind": "events"}),
        ("contacts", {**listed, "kind": "window"}),  # it has no `until`
        ("email_events", window),
        ("form_submissions", window),
    ):
        account.cursors[stream] = cursor
        with pytest.raises(StopRun):
            await account.pull(stream)
    async with httpx.AsyncClient(base_url=account.sandbox.url, headers=TOKEN) as http:
        answer = await http.post("/crm/v3/objects/contacts/search", json={"after": "MTA0fA=="})
    assert answer.status_code == 400
    assert "Cannot deserialize value" in answer.text


async def test_quirk_hubspot_29_cleared_numbers_dates_and_booleans_are_blank_and_never_nought(account):
    fields = {"contact": FIELDS["contact"] | {"mql_since", "hs_email_optout"}}
    (id_,) = account.ids()
    values = {"mql_score": "12", "mql_since": "2026-11-01T00:00:00Z", "hs_email_optout": "true"}
    table = contacts(account)
    account.sandbox._ask(lambda: table.set_quietly(table.rows[int(id_)], values))
    account.sandbox._ask(lambda: table.set_quietly(table.rows[int(id_)], dict.fromkeys(values, "")))
    assert account.sandbox.raw("contact", id_)["properties"]["mql_score"] == ""  # on the wire it is not null

    record = (await account.records(fields=fields))[id_]

    assert {name: record.values[name] for name in values} == dict.fromkeys(values)


async def test_quirk_hubspot_30_an_association_that_is_told_once_per_label_counts_once(account):
    contact = account.ids()[0]
    call = account.sandbox.create("calls", {"hs_timestamp": "2026-11-20T10:00:00Z", "contacts": [contact]})
    labels = [{"category": "HUBSPOT_DEFINED", "typeId": 194, "label": None}]
    twice = [
        {"toObjectId": int(contact), "associationTypes": labels},
        {"toObjectId": contact, "associationTypes": labels},
    ]
    told = {"status": "COMPLETE", "results": [{"from": {"id": call}, "to": twice}]}
    account.sandbox.faults.add(path="*/associations/*", status=200, json=told, times=None)

    event = (await account.events("calls"))[call]

    assert event.about == (Ref("hubspot", "contact", contact),)


async def test_quirk_hubspot_31_a_blank_answer_of_a_form_is_read_as_no_answer(account):
    form = min(form.name for form in account.sandbox.sandbox.store.forms.values())
    account.sandbox.create(
        "form_submissions", {"form": form, "email": "blank@example.com", "newsletter": "", "budget": "10k"}
    )

    found = [e for e in (await account.events("form_submissions")).values() if e.email == "blank@example.com"]

    assert [(event.values["newsletter"], event.values["budget"]) for event in found] == [(None, "10k")]
