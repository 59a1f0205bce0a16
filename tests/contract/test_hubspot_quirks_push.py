"""What breaks connectors when they write to HubSpot, each by name: over real HTTP, against an account that does it.

Quirk 24 (the signature of webhooks) has no test here: this release receives no webhooks.
"""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    PublicGdprDeleteInput,
    SimplePublicObjectBatchInputForCreate,
    SimplePublicObjectBatchInputUpsert,
    SimplePublicObjectId,
    SimplePublicObjectInput,
)
from hubspot.crm.lists import ListSearchRequest
from hubspot.crm.properties import (
    BatchInputPropertyCreate,
    BatchInputPropertyName,
    BatchReadInputPropertyName,
    PropertyCreate,
    PropertyGroupCreate,
    PropertyName,
    PropertyUpdate,
)

from connector.core.model import Outcome, Ref, Write
from connector.errors import OutcomeUnknown
from connector.sandbox.faults import Fault
from tests.contract.test_hubspot_adapter import account, connected
from tests.stories.world import somebody, world

__all__ = ["account"]  # the fixture

UPDATE = "*/contacts/batch/update"
VERSIONS = ["v3", "2026-03", "2026-09"]


def ref(id_):
    return Ref("hubspot", "contact", id_)


def stored(account, id_):
    return account.sandbox.raw("contact", id_)["properties"]


def update_calls(account):
    return [call for call in account.sandbox.log.calls() if call.path.endswith("batch/update")]


def forget_schema(account):
    """An adapter that may not read the schema has only HubSpot's answers to go by."""
    account.sandbox.faults.add(Fault(method="GET", path="*/properties/*", status=403, json={}, times=None))


def ask(account, method, path, body=None):
    """A call as an admin's script makes it."""
    headers = {"Authorization": "Bearer pat-eu1-sandbox-full"}
    return httpx.request(method, f"{account.sandbox.url}{path}", json=body, headers=headers)


async def push(account, values):
    """One write per record, by id."""
    writes = [Write(n, ref(id_), each) for n, (id_, each) in enumerate(values.items())]
    return await account.adapter.push(writes)


# --------------------------------------------------------------------------------------------------- one bad record


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("trace_ids", [True, False], ids=["heeds trace ids", "ignores trace ids"])
async def test_quirk_hubspot_09_one_bad_record_among_a_hundred_fails_alone(trace_ids, version):
    async with connected({"HUBSPOT_API_VERSION": version}, trace_ids=trace_ids) as account:
        forget_schema(account)
        ids = account.ids(100)
        bad = ids[41]

        receipts = await push(account, {id_: {"mql_band": "high" if id_ == bad else 3} for id_ in ids})

        assert [r.write_id for r in receipts if r.outcome is Outcome.REJECTED] == [41]
        assert sum(r.outcome is Outcome.WRITTEN for r in receipts) == 99
        assert all(stored(account, id_)["mql_band"] == "3" for id_ in ids if id_ != bad)
        assert len(update_calls(account)) <= (1 if trace_ids else 15)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("hs_email_open", 3, "READ_ONLY_VALUE"),
        ("hubspotscore", 3, "READ_ONLY_VALUE"),
        ("mql_nothing", 3, "PROPERTY_DOESNT_EXIST"),
        ("mql_grade", "Z9", "INVALID_OPTION"),
        ("mql_score", "many", "INVALID_INTEGER"),
        ("mql_reason", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
    ],
)
async def test_quirk_hubspot_09_what_the_schema_speaks_against_is_never_sent(name, value, code):
    async with connected(trace_ids=False) as account:  # one bad value, once sent, would cost a second call
        good, bad = account.ids(2)

        one, other = await push(account, {good: {"mql_band": 3}, bad: {"mql_band": 3, name: value}})

        assert (one.outcome, other.outcome, other.code) == (Outcome.WRITTEN, Outcome.REJECTED, code)
        assert name in other.reason
        assert "mql_band" not in stored(account, bad)
        assert [call.status for call in update_calls(account)] == [200]


async def test_a_property_made_a_minute_ago_is_not_turned_away_by_an_old_schema(account):
    (id_,) = account.ids()
    await account.adapter.schema("contact")
    body = {"name": "fresh", "label": "Fresh", "type": "string", "fieldType": "text", "groupName": "mql"}
    ask(account, "POST", "/crm/v3/properties/contacts", body)
    account.clock.advance(timedelta(minutes=2))

    [receipt] = await push(account, {id_: {"fresh": "bread"}})

    assert receipt.outcome is Outcome.WRITTEN


@pytest.mark.parametrize("trace_ids", [True, False])
async def test_trap_a_field_lost_over_night_rejects_who_carries_it_and_nobody_else(trace_ids):
    async with connected(trace_ids=trace_ids) as account:
        await account.adapter.schema("contact")  # known from before
        ask(account, "DELETE", "/crm/v3/properties/contacts/mql_fit")
        with_it, without = account.ids(2)

        lost, kept = await push(account, {with_it: {"mql_fit": 1, "mql_band": 3}, without: {"mql_band": 3}})

        assert (lost.outcome, lost.code) == (Outcome.REJECTED, "PROPERTY_DOESNT_EXIST")
        assert "connector setup hubspot" in lost.reason
        assert kept.outcome is Outcome.WRITTEN


async def test_an_accounts_own_stage_is_written_by_its_number_and_keeps_its_place_in_the_order(account):
    stages = (await account.adapter.schema("contact"))["lifecyclestage"].options
    own = next(stage for stage in stages if stage.isdigit())
    assert stages.index("evangelist") < stages.index(own) < stages.index("other"), "by displayOrder"
    id_ = account.sandbox.create("contact", {"email": "own@example.com"})

    [receipt] = await push(account, {id_: {"lifecyclestage": own}})

    assert receipt.outcome is Outcome.WRITTEN
    assert stored(account, id_)["lifecyclestage"] == own


# ------------------------------------------------------------------------------------------ silence and its meanings


@pytest.mark.parametrize("version", VERSIONS)
async def test_quirk_hubspot_10_an_answer_with_empty_results_is_no_success(version):
    async with connected({"HUBSPOT_API_VERSION": version}) as account:
        one, other = account.ids(2)
        account.sandbox.edit("contact", other, {"mql_score": "7"})
        nothing = {"status": "COMPLETE", "results": []}
        account.sandbox.faults.add(Fault(path=UPDATE, status=200, json=nothing))

        silent, there = await push(account, {one: {"mql_score": 7}, other: {"mql_score": 7}})

        assert (silent.outcome, silent.code) == (Outcome.UNKNOWN, "LEFT_OUT")
        assert there.outcome is Outcome.WRITTEN, "it holds what was sent"


@pytest.mark.parametrize("keeps_primary", [False, True], ids=["a new id", "the primary's id"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_quirk_hubspot_21_an_id_that_was_merged_away_is_left_out_and_led_to_its_survivor(
    version, keeps_primary
):
    async with connected({"HUBSPOT_API_VERSION": version}, merge_keeps_primary=keeps_primary) as account:
        a, b, other = account.ids(3)
        survivor = account.sandbox.act("contact", a, "merge", other=b)["id"]

        gone, good = await push(account, {b: {"mql_score": 7}, other: {"mql_score": 7}})

        assert (gone.outcome, gone.code, gone.moved_to) == (Outcome.SET_ASIDE, "MERGED", ref(survivor))
        assert good.outcome is Outcome.WRITTEN


# ---------------------------------------------------------------------------------------------------- one id, twice


async def test_quirk_hubspot_11_the_same_id_twice_is_folded_before_it_is_sent(account):
    (id_,) = account.ids()
    writes = [Write(1, ref(id_), {"mql_score": 1, "mql_band": 1}), Write(2, ref(id_), {"mql_score": 2})]

    receipts = await account.adapter.push(writes)

    assert [r.outcome for r in receipts] == [Outcome.WRITTEN] * 2
    assert (stored(account, id_)["mql_score"], stored(account, id_)["mql_band"]) == ("2", "1")
    assert [call.status for call in update_calls(account)] == [200]


@pytest.mark.parametrize("merged", ["left_out", "resolved"])
async def test_quirk_hubspot_11_two_ids_of_one_merged_contact_are_written_once_under_the_survivor(merged):
    async with connected(merged_in_batches=merged) as account:
        a, b, *others = account.ids(6)
        survivor = account.sandbox.act("contact", a, "merge", other=b)["id"]
        account.sandbox.log.clear()
        values = {survivor: {"mql_score": 70}, a: {"mql_score": 10}, b: {"mql_score": 20}}
        values |= {id_: {"mql_score": 5} for id_ in others}

        receipts = await push(account, values)

        outcomes = [r.outcome for r in receipts]
        assert outcomes == [Outcome.WRITTEN, Outcome.SET_ASIDE, Outcome.SET_ASIDE, *[Outcome.WRITTEN] * 4]
        assert {r.moved_to for r in receipts[1:3]} == {ref(survivor)}
        assert stored(account, survivor)["mql_score"] == "70", "no older id writes over it"
        refused = [call.status for call in update_calls(account) if call.status == 400]
        assert len(refused) == (1 if merged == "resolved" else 0)


async def test_quirk_hubspot_12_records_are_named_by_their_record_id_and_never_by_another_property(account):
    (id_,) = account.ids()
    account.sandbox.faults.add(Fault(path=UPDATE, body="idProperty", status=500, times=None))

    [receipt] = await push(account, {id_: {"mql_score": 7}})

    assert receipt.outcome is Outcome.WRITTEN


async def test_quirk_hubspot_13_writing_creates_nobody_so_no_race_makes_a_duplicate(account):
    before = account.sandbox.counts()["contacts"]

    [receipt] = await push(account, {"99999999999999": {"mql_score": 7, "email": "nobody@example.com"}})

    assert receipt.outcome is Outcome.SET_ASIDE
    assert account.sandbox.counts()["contacts"] == before
    assert not [
        call for call in account.sandbox.log.calls() if "create" in call.path or "upsert" in call.path
    ]


# ------------------------------------------------------------------------------------------------- what a blank means


async def test_quirk_hubspot_17_clearing_is_sent_as_an_empty_text_and_only_where_it_is_meant(account):
    (id_,) = account.ids()
    account.sandbox.edit("contact", id_, {"mql_since": "2026-11-01T00:00:00Z", "mql_reason": "because"})

    [receipt] = await push(account, {id_: {"mql_since": None}})

    assert receipt.outcome is Outcome.WRITTEN
    assert (stored(account, id_)["mql_since"], stored(account, id_)["mql_reason"]) == ("", "because")
    read = await account.adapter.read([ref(id_)], {"contact": frozenset({"mql_since"})})
    assert read[ref(id_)].values["mql_since"] is None, "cleared and never set are one"


async def test_quirk_hubspot_18_a_property_that_lists_no_options_is_not_checked_against_them(account):
    (id_,) = account.ids()
    owner = (await account.adapter.schema("contact"))["hubspot_owner_id"]
    assert (owner.kind, owner.options, owner.restricted) == ("enum", (), False)

    [receipt] = await push(account, {id_: {"hubspot_owner_id": "80001"}})

    assert receipt.outcome is Outcome.WRITTEN


async def test_quirk_hubspot_31_only_what_is_meant_to_change_is_sent(account):
    (id_,) = account.ids()
    before = dict(stored(account, id_))
    account.sandbox.log.clear()

    await push(account, {id_: {"mql_score": 41}})

    [written] = account.sandbox.log.writes("contact", id_)
    assert set(written.fields) == {"mql_score"}
    after = {**before, "mql_score": "41", "lastmodifieddate": stored(account, id_)["lastmodifieddate"]}
    assert stored(account, id_) == after


async def test_quirk_hubspot_31_a_blank_result_wipes_no_stored_value(database_url):
    async with world(database_url, people=30) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: view.state.mql_since is None)
        kept = made.hubspot.raw("contacts", who.contact)["properties"]
        filled = {name for name, value in kept.items() if value}

        writes = [each for each in made.writes("hubspot") if each.id == who.contact]

        assert writes
        assert not [n for each in writes for n, (old, new) in each.fields.items() if old and not new]
        assert filled


# ---------------------------------------------------------------------------------------------------------- our echo


async def test_quirk_hubspot_25_our_own_write_comes_back_and_is_no_news(database_url):
    async with world(database_url, people=30) as made:
        first = await made.sync()
        made.later(minutes=15)

        echoes = await made.sync()

        assert first.crms["hubspot"].written > 0
        assert echoes.crms["hubspot"].fetched["contacts"].rows > 0, "the echoes were read"
        assert (echoes.people, echoes.crms["hubspot"].planned) == (0, 0)


# ----------------------------------------------------------------------- traps: a payload that fails, a lost answer


@pytest.mark.parametrize(
    "broken",
    [float("nan"), float("inf"), {"not": "text"}, ["not", "text"], b"bytes", "half \ud83d a character"],
)
async def test_trap_a_failure_while_building_the_payload_rejects_its_record_and_no_other(account, broken):
    one, bad, other = account.ids(3)

    receipts = await push(
        account, {one: {"mql_score": 7}, bad: {"mql_band": 3, "mql_reason": broken}, other: {"mql_score": 8}}
    )

    assert [receipt.outcome.value for receipt in receipts] == ["written", "rejected", "written"]
    assert receipts[1].code == "NOT_SENT"
    assert receipts[1].reason
    assert not {"mql_band", "mql_reason"} & {name for name, value in stored(account, bad).items() if value}
    assert (stored(account, one)["mql_score"], stored(account, other)["mql_score"]) == ("7", "8")


@pytest.mark.parametrize("version", VERSIONS)
async def test_trap_time_out_after_the_write_is_unknown_and_nothing_is_sent_twice(version):
    async with connected({"HUBSPOT_API_VERSION": version}) as account:
        ids = account.ids(3)
        account.sandbox.faults.add(Fault(path=UPDATE, drop_after=True))

        with pytest.raises(OutcomeUnknown):
            await push(account, {id_: {"mql_score": 7} for id_ in ids})

        assert all(stored(account, id_)["mql_score"] == "7" for id_ in ids)
        assert len(update_calls(account)) == 1


async def test_trap_time_out_after_the_write_is_read_back_and_told_as_written(database_url):
    async with world(database_url, people=30) as made:
        made.hubspot.faults.add(Fault(method="POST", path=f"{UPDATE}*", drop_after=True))

        cut = await made.sync("hubspot")
        sent = len(made.writes("hubspot"))
        again = await made.sync("hubspot")

        assert cut.crms["hubspot"].unknown > 0
        rows = await made.ledger.plan_rows(cut.plans["hubspot"])
        assert {row.status for row in rows if row.writes} == {"written"}
        assert again.crms["hubspot"].planned == 0
        assert len(made.writes("hubspot")) == sent, "written once"


# ------------------------------------------------------------------------- HubSpot's own client knows the sandbox too


@pytest.fixture
def sdk(account):
    client = HubSpot(access_token="pat-eu1-sandbox-full")
    client.config["host"] = client.config["base_url"] = account.sandbox.url
    return client


def test_hubspots_client_defines_changes_and_archives_properties_and_groups(account, sdk):
    api = sdk.crm.properties
    group = api.groups_api.create("contacts", PropertyGroupCreate(name="g1", label="G", display_order=-1))
    options = [{"label": "A", "value": "a", "displayOrder": 0, "hidden": False}]
    made = [
        PropertyCreate(
            name=f"p{n}", label="P", group_name="g1", type="enumeration", field_type="select", options=options
        )
        for n in range(3)
    ]
    single = api.core_api.create("contacts", made[0])
    batch = api.batch_api.create("contacts", BatchInputPropertyCreate(inputs=made))
    more = [*options, {"label": "B", "value": "b", "displayOrder": 1, "hidden": True}]
    changed = api.core_api.update("contacts", "p1", PropertyUpdate(options=more, label="New"))
    names = [PropertyName(name="p1"), PropertyName(name="p2")]
    read = api.batch_api.read("contacts", BatchReadInputPropertyName(inputs=names, archived=False))
    api.core_api.archive("contacts", "p1")
    api.batch_api.archive("contacts", BatchInputPropertyName(inputs=names[1:]))

    assert (group.name, api.groups_api.get_by_name("contacts", "g1").label) == ("g1", "G")
    assert "g1" in [each.name for each in api.groups_api.get_all("contacts").results]
    assert single.name == "p0"
    assert (len(batch.results), batch.num_errors) == (2, 1)
    assert (changed.label, [option.hidden for option in changed.options]) == ("New", [False, True])
    assert {each.name for each in read.results} == {"p1", "p2"}
    assert {each.name for each in api.core_api.get_all("contacts", archived=True).results} == {"p1", "p2"}


def test_hubspots_client_creates_upserts_archives_and_erases_contacts(account, sdk):
    batch, basic = sdk.crm.contacts.batch_api, sdk.crm.contacts.basic_api
    inputs = [
        SimplePublicObjectBatchInputForCreate(properties={"email": f"sdk{n}@example.com"}, associations=[])
        for n in range(2)
    ]
    created = batch.create(BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs))
    upserted = batch.upsert(
        BatchInputSimplePublicObjectBatchInputUpsert(
            inputs=[
                SimplePublicObjectBatchInputUpsert(
                    id=f"sdk{n}@example.com", id_property="email", properties={"mql_band": "2"}
                )
                for n in (1, 2)
            ]
        )
    )
    one, two = (
        result.id for result in sorted(created.results, key=lambda result: result.properties["email"])
    )
    updated = basic.update(one, SimplePublicObjectInput(properties={"mql_band": "4"}))
    batch.archive(BatchInputSimplePublicObjectId(inputs=[SimplePublicObjectId(id=one)]))
    basic.purge(PublicGdprDeleteInput(object_id=two))

    assert {result.new for result in upserted.results} == {True, False}
    assert updated.properties["mql_band"] == "4"
    assert account.sandbox.raw("contact", one)["archived"] is True
    with pytest.raises(Exception, match="404"):
        basic.get_by_id(two)


def test_hubspots_client_reads_pipelines_owners_lists_and_associations(account, sdk):
    pipelines = sdk.crm.pipelines.pipelines_api.get_all("contacts").results
    owners = sdk.crm.owners.owners_api.get_page().results
    lists = sdk.crm.lists.lists_api.do_search(ListSearchRequest(query="mql", offset=0, count=10))
    one = sdk.crm.lists.lists_api.get_by_id("1").list
    members = sdk.crm.lists.memberships_api.get_page("1", limit=5)
    contact = account.ids()[0]
    linked = sdk.crm.associations.v4.batch_api.get_page(
        "contacts", "companies", BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": contact}])
    )

    assert pipelines[0].id == "contacts-lifecycle-pipeline"
    assert owners[0].last_name
    assert [each.name for each in lists.lists] == ["MQLs of sales"]
    assert (one.list_id, one.processing_type) == ("1", "DYNAMIC")
    assert 0 < len(members.results) <= 5
    assert linked.status == "COMPLETE"


def test_two_keys_of_one_contact_refuse_an_upsert(account):
    id_ = account.sandbox.create("contact", {"email": "main@example.com"})
    inputs = [
        {"idProperty": "email", "id": email, "properties": {"mql_band": "1"}}
        for email in ("main@example.com", "MAIN@example.com")
    ]
    answer = ask(account, "POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": inputs})

    assert answer.status_code == 400
    assert f"Duplicate IDs found in batch input: [{id_}]" in answer.json()["message"]
