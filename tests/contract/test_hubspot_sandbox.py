"""HubSpot's own Python client and plain HTTP hold the made-up HubSpot to the wire protocol, quirks
included.
"""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import (
    BatchInputPublicFetchAssociationsBatchRequest,
    PublicFetchAssociationsBatchRequest,
)
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInput,
    BatchReadInputSimplePublicObjectId,
    PublicMergeInput,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInput,
    SimplePublicObjectId,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.properties import PropertyCreate

from adapters.hubspot.sandbox import build
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
PEOPLE = 250
FULL, READ_ONLY, NO_FORMS = (f"pat-eu1-sandbox-{name}" for name in ("full", "read-only", "no-forms"))
CONTACTS = "/crm/v3/objects/contacts"
DATED = "/crm/objects/2026-03/contacts"


class World:
    """One running sandbox, seen through HubSpot's client, through plain HTTP, and from above."""

    def __init__(self, running, population):
        self.sandbox = running["hubspot"]
        self.population = population
        self.clock = self.sandbox.clock
        self.url = self.sandbox.url
        self.http = self.as_(FULL)
        self.sdk = HubSpot(access_token=FULL)
        self.sdk.config["host"] = self.sdk.config["base_url"] = self.url

    def as_(self, token):
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"})

    def post(self, path, body, **named):
        return self.http.post(path, json=body, **named)

    def update(self, *inputs, path=CONTACTS):
        return self.post(f"{path}/batch/update", {"inputs": list(inputs)})

    def search(self, *filters, kind="contacts", **more):
        body = {"filterGroups": [{"filters": list(filters)}], **more}
        return self.post(f"/crm/v3/objects/{kind}/search", body)

    def contact(self, **properties):
        return self.sandbox.create("contact", properties)

    def settle(self):
        self.clock.advance(timedelta(seconds=3))


def started(**options):
    population = make_population(options.pop("people", PEOPLE), 11, START)
    return serve([build(population, SandboxClock(START), **options)]), population


@pytest.fixture(scope="module")
def shared():
    """For promises that only read, or that write records of their own."""
    running, population = started(strict_limits=False)
    with running:
        yield World(running, population)


@pytest.fixture
def world(shared):
    shared.sandbox.log.clear()
    shared.sandbox.faults.clear()
    return shared


@pytest.fixture
def strict():
    running, population = started(people=5)
    with running:
        yield World(running, population)


def where(name, operator, value=None, **more):
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


# ------------------------------------------------------------------------------------------------ reading


def test_hubspots_client_lists_every_live_contact_once_in_id_order(world):
    found = world.sdk.crm.contacts.get_all(properties=["email", "lifecyclestage"])
    ids = [int(contact.id) for contact in found]
    assert ids == sorted(set(ids))
    known = [record for record in world.population.records("hubspot") if record.state == "live"]
    assert {int(record.id) for record in known} <= set(ids)


def test_the_list_never_shows_more_than_a_hundred_or_fifty_with_history(world):
    assert world.http.get(CONTACTS, params={"limit": 101}).status_code == 400
    assert world.http.get(CONTACTS, params={"limit": 51, "propertiesWithHistory": "email"}).status_code == 400
    assert world.http.get(CONTACTS, params={"limit": 50, "propertiesWithHistory": "email"}).status_code == 200


def test_values_are_text_or_null_and_unknown_names_are_dropped(world):
    answer = world.http.get(
        CONTACTS, params={"limit": 100, "properties": "email,jobtitle,num_conversion_events,nope"}
    )
    rows = [row["properties"] for row in answer.json()["results"]]
    assert all(isinstance(value, str) or value is None for row in rows for value in row.values())
    assert all("nope" not in row for row in rows)
    assert any(row["num_conversion_events"] is None for row in rows)


def test_archived_contacts_are_listed_only_when_asked_for(world):
    id = world.contact(email="gone@example.com")
    world.http.delete(f"{CONTACTS}/{id}")
    assert world.http.get(f"{CONTACTS}/{id}").status_code == 404
    archived = world.http.get(CONTACTS, params={"archived": "true", "limit": 100}).json()["results"]
    assert id in [row["id"] for row in archived]
    assert all(row["archived"] and row["archivedAt"] for row in archived)


def test_a_linked_company_comes_once_per_label(world):
    rows = world.http.get(CONTACTS, params={"limit": 100, "associations": "companies"}).json()["results"]
    linked = [row["associations"]["companies"]["results"] for row in rows if "associations" in row]
    assert linked
    assert all(len(found) == 2 and len({link["id"] for link in found}) == 1 for found in linked)


def test_the_history_of_a_stage_is_newest_first(world):
    rows = world.http.get(CONTACTS, params={"limit": 50, "propertiesWithHistory": "lifecyclestage"}).json()[
        "results"
    ]
    histories = [row["propertiesWithHistory"]["lifecyclestage"] for row in rows]
    longest = max(histories, key=len)
    assert len(longest) > 1
    assert [version["timestamp"] for version in longest] == sorted(
        (version["timestamp"] for version in longest), reverse=True
    )


def test_batch_read_gives_what_exists_and_one_entry_for_what_does_not(world):
    id = world.contact(email="Read.Me@Example.com")
    wanted = BatchReadInputSimplePublicObjectId(
        properties=["email"],
        properties_with_history=[],
        inputs=[SimplePublicObjectId(id=id), SimplePublicObjectId(id="404"), SimplePublicObjectId(id="405")],
    )
    answer = world.sdk.crm.contacts.batch_api.read(wanted)
    assert [row.properties["email"] for row in answer.results] == ["read.me@example.com"]
    (error,) = answer.errors
    assert (answer.num_errors, error.category, error.context["ids"]) == (
        1,
        "OBJECT_NOT_FOUND",
        ["404", "405"],
    )


def test_a_contact_is_found_by_any_of_its_addresses(world):
    with_two = next(record for record in world.population.records("hubspot") if len(record.emails) > 1)
    for address in with_two.emails:
        found = world.http.get(f"{CONTACTS}/{address}", params={"idProperty": "email"})
        assert found.json()["id"] == with_two.id


def test_an_endless_url_is_refused(world):
    answer = world.http.get(CONTACTS, params={"properties": ",".join(f"property_{n}" for n in range(1_500))})
    assert answer.status_code == 414


# ------------------------------------------------------------------------------------------------ searching


def test_a_write_is_searchable_only_after_the_index_caught_up(world):
    id = world.contact(email="late@example.com", mql_score="7")
    by_id = where("hs_object_id", "EQ", id)
    assert world.search(by_id).json()["total"] == 0
    world.settle()
    assert world.search(by_id).json()["total"] == 1
    world.sandbox.edit("contact", id, {"mql_score": "8"})
    hit = world.search(by_id, where("mql_score", "EQ", "7"), properties=["mql_score"]).json()["results"][0]
    assert hit["properties"]["mql_score"] == "8"  # filters on the old value, shows the new one


def test_a_window_by_keyset_finds_every_contact_once(world):
    world.settle()
    seen, last = [], "0"
    while True:
        page = world.search(
            where("lastmodifieddate", "BETWEEN", "1000000000000", highValue="1999999999999"),
            where("hs_object_id", "GT", last),
            sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            limit=100,
        ).json()
        if not page["results"]:
            break
        seen += [row["id"] for row in page["results"]]
        last = seen[-1]
    listed = [contact.id for contact in world.sdk.crm.contacts.get_all()]
    assert seen == listed


def test_hubspots_client_searches(world):
    world.contact(email="search.sdk@example.com", lastname="Zyzzyva")
    world.settle()
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [where("lastname", "EQ", "ZYZZYVA")]}], properties=["lastname"], limit=5
    )
    found = world.sdk.crm.contacts.search_api.do_search(request)
    assert (found.total, found.results[0].properties["lastname"]) == (1, "Zyzzyva")


@pytest.mark.parametrize(
    ("asked", "hit"),
    [
        (where("mql_score", "GT", "41"), True),
        (where("mql_score", "GT", "42"), False),
        (where("mql_score", "GTE", "42"), True),
        (where("mql_score", "LT", "100"), True),
        (where("mql_score", "LTE", "41.9"), False),
        (where("mql_score", "BETWEEN", "40", highValue="42"), True),
        (where("mql_score", "EQ", "42.0"), True),
        (where("mql_score", "NEQ", "42"), False),
        (where("jobtitle", "IN", values=["head of growth"]), True),
        (where("jobtitle", "IN", values=["Head of Growth"]), False),
        (where("jobtitle", "NOT_IN", values=["ceo"]), True),
        (where("jobtitle", "HAS_PROPERTY"), True),
        (where("phone", "HAS_PROPERTY"), False),
        (where("phone", "NOT_HAS_PROPERTY"), True),
        (where("jobtitle", "CONTAINS_TOKEN", "growth"), True),
        (where("jobtitle", "CONTAINS_TOKEN", "grow*"), True),
        (where("jobtitle", "CONTAINS_TOKEN", "grow"), False),
        (where("jobtitle", "NOT_CONTAINS_TOKEN", "sales"), True),
        (where("lifecyclestage", "EQ", "lead"), True),
        (where("lifecyclestage", "EQ", "LEAD"), False),
        (where("hs_lastmodifieddate", "GT", "1000000000000"), False),
    ],
)
def test_every_operator_means_what_it_says(world, asked, hit):
    existing = world.sandbox.sandbox.store.contact_of("operators@example.com")
    id = (
        str(existing.id)
        if existing
        else world.contact(
            email="operators@example.com", mql_score="42", jobtitle="Head of Growth", lifecyclestage="lead"
        )
    )
    world.settle()
    found = world.search(where("hs_object_id", "EQ", id), asked).json()
    assert (found["total"] == 1) is hit


def test_the_search_refuses_what_hubspot_refuses(world):
    assert world.search(limit=201).status_code == 400
    assert world.search(after="9900", limit=200).status_code == 400
    assert world.search(after="9800", limit=200).status_code == 200
    assert world.search(where("nope", "EQ", "1")).status_code == 400
    assert world.search(where("email", "LIKE", "1")).status_code == 400
    assert world.search(where("email", "EQ")).status_code == 400
    assert world.search(*[where("email", "HAS_PROPERTY")] * 7).status_code == 400
    assert world.search(where("email", "IN", values=["x" * 3_000])).status_code == 400
    assert "Cannot deserialize" in world.search(after="cursor-of-the-list").json()["message"]
    assert world.search(where("lastmodifieddate", "GTE", "0")).status_code == 500


def test_archived_and_merged_contacts_are_never_found(world):
    a, b, c = (world.contact(email=f"never{n}@example.com") for n in range(3))
    world.settle()
    world.sandbox.act("contact", a, "archive")
    world.sandbox.act("contact", b, "merge", other=c)
    found = world.search(where("hs_object_id", "IN", values=[a, b, c])).json()
    assert found["total"] == 0


# ------------------------------------------------------------------------------------------------ writing


def test_a_batch_update_through_hubspots_client_changes_what_was_sent_and_nothing_else(world):
    id = world.contact(email="score.me@example.com", firstname="Ada")
    batch = BatchInputSimplePublicObjectBatchInput(
        inputs=[SimplePublicObjectBatchInput(id=id, properties={"mql_score": "42", "mql_grade": "A1"})]
    )
    answer = world.sdk.crm.contacts.batch_api.update(batch)
    assert answer.status == "COMPLETE"
    raw = world.sandbox.raw("contact", id)["properties"]
    assert (raw["mql_score"], raw["mql_grade"], raw["firstname"]) == ("42", "A1", "Ada")
    (write,) = world.sandbox.log.writes(by="api")
    assert (write.object, write.id, write.changed) == ("contact", id, True)
    assert dict(write.fields) == {"mql_score": (None, "42"), "mql_grade": (None, "A1")}


def test_an_identical_write_does_not_move_the_last_modified_stamp(world):
    id = world.contact(email="same@example.com", mql_score="1")
    before = world.sandbox.raw("contact", id)["updatedAt"]
    world.clock.advance(timedelta(minutes=5))
    world.update({"id": id, "properties": {"mql_score": "1"}})
    assert world.sandbox.raw("contact", id)["updatedAt"] == before
    assert [write.changed for write in world.sandbox.log.writes(by="api")] == [False]
    world.update({"id": id, "properties": {"mql_score": "2"}})
    assert world.sandbox.raw("contact", id)["updatedAt"] > before


def test_clearing_takes_an_empty_text_and_reads_back_as_one(world):
    id = world.contact(email="clear@example.com", mql_reason="because")
    world.update({"id": id, "properties": {"mql_reason": None}})
    assert world.sandbox.raw("contact", id)["properties"]["mql_reason"] == "because"
    world.update({"id": id, "properties": {"mql_reason": ""}})
    read = world.http.get(f"{CONTACTS}/{id}", params={"properties": "mql_reason,mql_since"}).json()[
        "properties"
    ]
    assert (read["mql_reason"], read["mql_since"]) == ("", None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("mql_score", "many", "INVALID_INTEGER"),
        ("mql_status", "Qualified", "INVALID_OPTION"),
        ("lifecyclestage", "nonsense", "INVALID_OPTION"),
        ("mql_since", "yesterday", "INVALID_LONG"),
        ("mql_nope", "1", "PROPERTY_DOESNT_EXIST"),
        ("hs_email_open", "1", "READ_ONLY_VALUE"),
        ("email", "not an address", "INVALID_EMAIL"),
    ],
)
def test_one_bad_value_refuses_the_whole_batch_unless_every_input_is_traced(world, name, value, code):
    good, bad = world.contact(firstname="good"), world.contact(firstname="bad")
    inputs = [{"id": good, "properties": {"mql_band": "3"}}, {"id": bad, "properties": {name: value}}]
    refused = world.update(*inputs)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["code"] == code
    assert refused.json()["errors"][0]["context"]["propertyName"] == [name]
    assert "mql_band" not in world.sandbox.raw("contact", good)["properties"]

    for place, given in enumerate(inputs):
        given["objectWriteTraceId"] = f"t{place}"
    partly = world.update(*inputs)
    assert partly.status_code == 207
    assert [row["id"] for row in partly.json()["results"]] == [good]
    (error,) = partly.json()["errors"]
    assert (error["context"]["objectWriteTraceId"], error["errors"][0]["code"]) == (["t1"], code)
    assert world.sandbox.raw("contact", good)["properties"]["mql_band"] == "3"


def test_unknown_ids_are_told_and_the_others_written(world):
    id = world.contact(firstname="here")
    answer = world.update(
        {"id": id, "objectWriteTraceId": "a", "properties": {"mql_band": "1"}},
        {"id": "404", "objectWriteTraceId": "b", "properties": {"mql_band": "1"}},
    )
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == [id]
    (error,) = answer.json()["errors"]
    assert error["category"] == "OBJECT_NOT_FOUND"
    assert error["context"] == {"ids": ["404"], "objectWriteTraceId": ["b"]}


def test_from_2026_09_a_partly_failed_batch_is_a_200(world):
    answer = world.update({"id": "404", "properties": {}}, path="/crm/objects/2026-09/contacts")
    assert (answer.status_code, answer.json()["numErrors"]) == (200, 1)


def test_an_id_that_was_merged_away_is_left_out_of_batches_and_works_alone(world):
    a, b = world.contact(email="keep@example.com"), world.contact(email="lose@example.com", firstname="Lost")
    merged = world.sdk.crm.contacts.basic_api.merge(
        PublicMergeInput(primary_object_id=a, object_id_to_merge=b)
    )
    assert merged.id not in (a, b)
    raw = world.sandbox.raw("contact", merged.id)["properties"]
    assert set(raw["hs_merged_object_ids"].split(";")) == {a, b}
    assert (raw["email"], raw["hs_additional_emails"], raw["firstname"]) == (
        "keep@example.com",
        "lose@example.com",
        "Lost",
    )
    assert world.http.get(f"{CONTACTS}/{b}").json()["id"] == merged.id

    answer = world.update({"id": b, "objectWriteTraceId": "x", "properties": {"mql_band": "4"}})
    assert (answer.status_code, answer.json()["results"], "errors" in answer.json()) == (200, [], False)
    alone = world.http.patch(f"{CONTACTS}/{b}", json={"properties": {"mql_band": "4"}})
    assert (alone.status_code, alone.json()["id"]) == (200, merged.id)


def test_a_chain_of_merges_keeps_every_id(world):
    a, b, c = (world.contact(firstname=name) for name in "abc")
    first = world.sandbox.act("contact", a, "merge", other=b)["id"]
    second = world.sandbox.act("contact", first, "merge", other=c)["id"]
    ids = world.sandbox.raw("contact", second)["properties"]["hs_merged_object_ids"].split(";")
    assert set(ids) == {a, b, c, first}


@pytest.mark.parametrize("traced", [False, True])
def test_the_same_id_twice_refuses_the_batch(world, traced):
    id = world.contact(firstname="twice")
    inputs = [{"id": id, "properties": {"mql_band": "1"}} for _ in range(2)]
    for place, given in enumerate(inputs if traced else []):
        given["objectWriteTraceId"] = str(place)
    answer = world.update(*inputs)
    assert answer.status_code == 400
    assert answer.json()["context"]["ids"] == [id]


def test_a_body_without_inputs_is_a_silent_no_op(world):
    answer = world.post(f"{CONTACTS}/batch/update", {"id": "1"})
    assert (answer.status_code, answer.json()["status"], answer.json()["results"]) == (200, "COMPLETE", [])


def test_more_than_a_hundred_inputs_are_refused(world):
    assert world.update(*[{"id": str(n), "properties": {}} for n in range(101)]).status_code == 400


def test_an_id_property_that_is_not_unique_is_refused(world):
    answer = world.update({"id": "a@example.com", "idProperty": "email", "properties": {"mql_band": "1"}})
    assert answer.status_code == 400
    assert "non-unique 0-1 property" in answer.json()["message"]


def test_an_address_that_somebody_has_is_a_conflict_that_names_them(world):
    id = world.contact(email="taken@example.com")
    with pytest.raises(ApiException) as refused:
        world.sdk.crm.contacts.basic_api.create(
            SimplePublicObjectInputForCreate(properties={"email": "Taken@Example.com"}, associations=[])
        )
    assert refused.value.status == 409
    assert f"Existing ID: {id}" in refused.value.body
    mine = f"{CONTACTS}/{world.contact()}"
    other = world.http.patch(mine, json={"properties": {"email": "taken@example.com"}})
    assert (other.status_code, other.json()["category"]) == (409, "CONFLICT")


def test_a_stage_moves_forward_and_silently_not_backward(world):
    id = world.contact(firstname="climber", lifecyclestage="lead")

    def write(stage):
        answer = world.update({"id": id, "properties": {"lifecyclestage": stage}})
        assert answer.status_code == 200
        return answer.json()["results"][0]["properties"]["lifecyclestage"]

    assert write("marketingqualifiedlead") == "marketingqualifiedlead"
    assert write("lead") == "marketingqualifiedlead"
    assert world.sandbox.log.writes(id=id, by="api")[-1].changed is False
    assert write("") == ""
    assert write("lead") == "lead"
    raw = world.sandbox.raw("contact", id)["properties"]
    assert raw["hs_v2_date_entered_marketingqualifiedlead"]
    assert raw["hs_v2_date_exited_marketingqualifiedlead"]


def test_erased_contacts_leave_no_trace_and_cannot_come_back(world):
    id = world.contact(email="erase@example.com")
    assert world.post(f"{CONTACTS}/gdpr-delete", {"objectId": id}).status_code == 204
    assert world.http.get(f"{CONTACTS}/{id}", params={"archived": "true"}).status_code == 404
    assert world.post(CONTACTS, {"properties": {"email": "erase@example.com"}}).status_code == 400


def test_aggregates_grow_without_moving_the_last_modified_stamp(world):
    id = world.contact(email="aggregate@example.com")
    before = world.sandbox.raw("contact", id)
    world.clock.advance(timedelta(minutes=1))
    world.sandbox.act("contact", id, "page_view", url="https://www.our-company.example/pricing", times=3)
    world.sandbox.create("email_events", {"type": "OPEN", "email": "aggregate@example.com"})
    after = world.sandbox.raw("contact", id)
    assert after["updatedAt"] == before["updatedAt"]
    properties = after["properties"]
    assert (properties["hs_analytics_num_page_views"], properties["hs_email_open"]) == ("3", "1")


# ------------------------------------------------------------------------------------------------ definitions


def test_every_property_of_the_connector_is_there_by_default(world):
    found = {item.name: item for item in world.sdk.crm.properties.core_api.get_all("contacts").results}
    kinds = {name: found[name].type for name in found if name.startswith("mql_")}
    assert kinds == {
        "mql_score": "number",
        "mql_fit": "number",
        "mql_engagement": "number",
        "mql_band": "number",
        "mql_criteria_version": "number",
        "mql_grade": "enumeration",
        "mql_status": "enumeration",
        "mql_reason": "string",
        "mql_since": "datetime",
    }
    assert found["hs_email_open"].modification_metadata.read_only_value is True


def test_without_them_they_can_be_created_and_a_second_time_is_a_conflict():
    running, population = started(people=1, with_mql_fields=False, strict_limits=False)
    with running:
        bare = World(running, population)
        assert (
            bare.post("/crm/v3/properties/contacts/groups", {"name": "mql", "label": "MQL"}).status_code
            == 201
        )
        wanted = PropertyCreate(
            name="mql_score",
            label="Score",
            type="number",
            field_type="number",
            group_name="mql",
            form_field=False,
        )
        assert bare.sdk.crm.properties.core_api.create("contacts", wanted).name == "mql_score"
        body = {
            "name": "mql_score",
            "label": "x",
            "type": "number",
            "fieldType": "number",
            "groupName": "mql",
        }
        assert bare.post("/crm/v3/properties/contacts", body).status_code == 409
        batch = bare.post(
            "/crm/v3/properties/contacts/batch/create", {"inputs": [body, {**body, "name": "mql_fit"}]}
        )
        assert batch.status_code == 207
        assert [made["name"] for made in batch.json()["results"]] == ["mql_fit"]
        assert batch.json()["errors"][0]["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"


def test_options_given_to_a_property_replace_the_whole_list(world):
    body = {"options": [{"label": "Only", "value": "only", "displayOrder": 0, "hidden": False}]}
    path = "/crm/v3/properties/contacts/poll"
    world.post(
        "/crm/v3/properties/contacts",
        {"name": "poll", "label": "Poll", "type": "enumeration", "fieldType": "select", "groupName": "mql",
         "options": [{"label": "A", "value": "a"}, {"label": "B", "value": "b"}]},
    )  # fmt: skip
    changed = world.http.patch(path, json=body).json()
    assert [option["value"] for option in changed["options"]] == ["only"]


def test_the_lifecycle_pipeline_lists_an_accounts_own_stage_in_its_place(world):
    (pipeline,) = world.sdk.crm.pipelines.pipelines_api.get_all("contacts").results
    ids = [stage.id for stage in sorted(pipeline.stages, key=lambda stage: stage.display_order)]
    assert pipeline.id == "contacts-lifecycle-pipeline"
    assert ids.index("evangelist") < ids.index("51439524") < ids.index("other")
    stage = world.http.get("/crm/v3/properties/contacts/lifecyclestage").json()
    ordered = sorted(stage["options"], key=lambda option: option["displayOrder"])  # they come in no order
    assert [option["value"] for option in ordered] == ids


# ------------------------------------------------------------------------------------------------ engagement


def test_hubspots_client_reads_deals_their_pipelines_and_their_primary_company(world):
    one, other = (str(id) for id in world.sandbox.sandbox.store.tables["companies"].live[:2])
    deal = world.sandbox.create(
        "deals", {"dealname": "D", "dealstage": "98110002", "companies": [other, one]}
    )
    stages = {
        stage.id: stage.metadata["isClosed"] == "true"
        for pipeline in world.sdk.crm.pipelines.pipelines_api.get_all("deals").results
        for stage in pipeline.stages
    }
    flags = ["dealstage", "hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost"]
    found = {each.id: each.properties for each in world.sdk.crm.deals.get_all(properties=flags)}
    assert deal in found
    assert all((each["hs_is_closed"] == "true") == stages[each["dealstage"]] for each in found.values())
    assert not any(each["hs_is_closed_won"] == each["hs_is_closed_lost"] == "true" for each in found.values())

    request = BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[PublicFetchAssociationsBatchRequest(id=deal)]
    )
    ((links,),) = [world.sdk.crm.associations.v4.batch_api.get_page("deals", "companies", request).results]
    types = {str(to.to_object_id): [each.type_id for each in to.association_types] for to in links.to}
    assert types == {other: [5, 341], one: [341]}


def test_a_deal_follows_its_stage_and_the_index_follows_the_deal(world):
    deal = world.sandbox.create("deals", {"dealname": "D", "dealstage": "contractsent"})
    world.settle()
    assert world.search(where("hs_object_id", "EQ", deal), kind="deals").json()["total"] == 1
    world.sandbox.edit("deals", deal, {"dealstage": "closedlost"})
    changed = world.sandbox.raw("deals", deal)
    lost = world.sdk.crm.deals.basic_api.get_by_id(deal, properties=["hs_is_closed_lost", "closedate"])
    assert lost.properties["hs_is_closed_lost"] == "true"
    assert lost.properties["closedate"] == changed["updatedAt"]
    filters = [where("hs_lastmodifieddate", "EQ", changed["updatedAt"]), where("hs_object_id", "EQ", deal)]
    assert world.search(*filters, kind="deals").json()["total"] == 0
    world.settle()
    assert world.search(*filters, kind="deals").json()["total"] == 1
    assert world.as_("pat-eu1-sandbox-no-deals").get("/crm/v3/objects/deals").status_code == 403
    assert world.as_(READ_ONLY).patch(f"/crm/v3/objects/deals/{deal}", json={}).status_code == 403


def test_associations_tell_numbers_in_v4_and_text_in_dated_answers(world):
    meetings = world.http.get("/crm/v3/objects/meetings", params={"limit": 1}).json()["results"]
    request = BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[
            PublicFetchAssociationsBatchRequest(id=meetings[0]["id"]),
            PublicFetchAssociationsBatchRequest(id="4"),
        ]
    )
    answer = world.sdk.crm.associations.v4.batch_api.get_page("meetings", "contacts", request)
    (found,) = answer.results
    assert found.to[0].association_types[0].type_id == 200
    assert answer.errors[0].sub_category == "crm.associations.NO_ASSOCIATIONS_FOUND"
    body = {"inputs": [{"id": meetings[0]["id"]}]}
    old = world.post("/crm/v4/associations/meetings/contacts/batch/read", body).json()["results"][0]["to"][0]
    new = world.post("/crm/associations/2026-03/meetings/contacts/batch/read", body).json()["results"][0][
        "to"
    ][0]
    assert isinstance(old["toObjectId"], int)
    assert str(old["toObjectId"]) == new["toObjectId"]


def test_form_submissions_come_newest_first_to_the_very_first(world):
    forms = world.http.get("/marketing/v3/forms", params={"limit": 100}).json()["results"]
    guid = next(form["id"] for form in forms if form["name"] == "Newsletter")
    seen, params = [], {"limit": 7}
    while True:
        page = world.http.get(f"/form-integrations/v1/submissions/forms/{guid}", params=params).json()
        seen += page["results"]
        if "paging" not in page:
            break
        params["after"] = page["paging"]["next"]["after"]
    times = [row["submittedAt"] for row in seen]
    assert times == sorted(times, reverse=True)
    asked = [done for done in world.population.engagements if done.name == "Newsletter"]
    assert len(seen) == len([done for done in asked if done.channel == "hubspot_form"])


def test_forms_refuse_what_hubspot_refuses(world):
    forms = world.http.get("/marketing/v3/forms", params={"limit": 100, "formTypes": "blog_comment"}).json()[
        "results"
    ]
    path = f"/form-integrations/v1/submissions/forms/{forms[0]['id']}"
    assert world.http.get(path).json()["errorType"] == "FORM_TYPE_NOT_ALLOWED"
    assert world.http.get(path, params={"limit": 51}).status_code == 400


def test_email_events_are_read_in_windows_and_their_offset_expires(world):
    params = {"limit": 20, "startTimestamp": 0, "endTimestamp": 1_999_999_999_999, "eventType": "OPEN"}
    seen = []
    while True:
        page = world.http.get("/email/public/v1/events", params=params).json()
        seen += page["events"]
        if not page["hasMore"]:
            break
        params["offset"] = page["offset"]
    opens = [done for done in world.population.engagements if done.type == "email_open"]
    assert len({event["id"] for event in seen}) == len(seen) >= len(opens)
    clicks = world.http.get("/email/public/v1/events", params={"limit": 1_000, "eventType": "CLICK"}).json()[
        "events"
    ]
    assert {event["filteredEvent"] for event in clicks} == {True, False}
    world.clock.advance(timedelta(hours=5))
    assert world.http.get("/email/public/v1/events", params=params).status_code == 400


def test_a_form_sent_now_shows_in_the_submissions_and_on_the_contact(world):
    id = world.contact(email="form@example.com")
    before = world.sandbox.raw("contact", id)["updatedAt"]
    world.sandbox.create("form_submissions", {"form": "Request a demo", "email": "FORM@example.com"})
    raw = world.sandbox.raw("contact", id)
    assert raw["properties"]["num_conversion_events"] == "1"
    assert raw["properties"]["recent_conversion_event_name"].startswith("Request a demo")
    assert raw["updatedAt"] == before


def test_contacts_of_people_in_both_crms_may_carry_their_salesforce_id(world):
    rows = world.http.get(
        CONTACTS, params={"limit": 100, "properties": "salesforceleadid,salesforcecontactid"}
    ).json()
    known = {record.id for record in world.population.records("salesforce") if record.state == "live"}
    linked = [
        value
        for row in rows["results"]
        for name, value in row["properties"].items()
        if name.startswith("salesforce") and value
    ]
    assert linked
    assert set(linked) <= known


# ------------------------------------------------------------------------------------------------ the dated
# twins


@pytest.mark.parametrize(
    ("method", "old", "new", "body"),
    [
        ("GET", f"{CONTACTS}?limit=20&properties=email", f"{DATED}?limit=20&properties=email", None),
        ("GET", "/crm/v3/objects/companies?limit=20", "/crm/objects/2026-03/0-2?limit=20", None),
        ("POST", f"{CONTACTS}/search", f"{DATED}/search", {"filterGroups": [], "limit": 20}),
        ("POST", f"{CONTACTS}/batch/read", f"{DATED}/batch/read", {"inputs": [{"id": "9999990000"}]}),
        ("GET", f"{CONTACTS}/9999990000", f"{DATED}/9999990000", None),
        ("GET", "/crm/v3/properties/contacts", "/crm/properties/2026-03/contacts", None),
        ("GET", "/crm/v3/properties/contacts/groups", "/crm/properties/2026-03/contacts/groups", None),
        ("GET", "/crm/v3/pipelines/contacts", "/crm/pipelines/2026-03/contacts", None),
        ("GET", "/crm/v3/owners", "/crm/owners/2026-03", None),
        ("GET", "/account-info/v3/details", "/account-info/2026-03/details", None),
    ],
)
def test_a_dated_path_answers_what_its_twin_answers(world, method, old, new, body):
    answers = [world.http.request(method, path, json=body) for path in (old, new)]
    volatile = ("startedAt", "completedAt", "paging")
    first, second = ({k: v for k, v in answer.json().items() if k not in volatile} for answer in answers)
    assert answers[0].status_code == answers[1].status_code == 200
    assert first == second
    assert first.get("results", True)


def test_a_version_that_never_was_is_an_html_404(world):
    answer = world.http.get("/crm/objects/2024-01/contacts")
    assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")


# ------------------------------------------------------------------------------------------------ who and how
# often


@pytest.mark.parametrize(
    ("header", "status", "category"),
    [
        (None, 401, "INVALID_AUTHENTICATION"),
        ("Bearer pat-eu1-unknown", 401, "INVALID_AUTHENTICATION"),
    ],
)
def test_wrong_tokens_are_unauthorized(world, header, status, category):
    answer = httpx.get(f"{world.url}{CONTACTS}", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["category"]) == (status, category)


def test_a_mangled_token_breaks_the_edge(world):
    answer = httpx.get(f"{world.url}{CONTACTS}", headers={"Authorization": 'Bearer "pat-eu1"'})
    assert (answer.status_code, answer.headers["content-type"][:9]) == (530, "text/html")


def test_a_missing_scope_is_named(world):
    id = world.contact(firstname="protected")
    body = {"inputs": [{"id": id, "properties": {"mql_band": "1"}}]}
    answer = world.as_(READ_ONLY).post(f"{CONTACTS}/batch/update", json=body)
    assert answer.status_code == 403
    needed = answer.json()["errors"][0]["context"]["requiredGranularScopes"]
    assert needed == ["crm.objects.contacts.write"]


def test_without_the_forms_scope_the_list_is_refused_but_submissions_are_merely_empty(world):
    guid = world.http.get("/marketing/v3/forms").json()["results"][0]["id"]
    poor = world.as_(NO_FORMS)
    assert poor.get("/marketing/v3/forms").status_code == 403
    assert poor.get(f"/form-integrations/v1/submissions/forms/{guid}").json() == {"results": []}


def test_a_refresh_token_buys_half_an_hour(world):
    form = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
        "refresh_token": "sandbox-refresh-token",
    }
    bought = httpx.post(f"{world.url}/oauth/2026-03/token", data=form).json()
    assert bought["expires_in"] == 1_800
    client = world.as_(bought["access_token"])
    assert client.get(CONTACTS).status_code == 200
    world.clock.advance(timedelta(minutes=31))
    late = client.get(CONTACTS)
    assert (late.status_code, late.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    refused = httpx.post(f"{world.url}/oauth/v1/token", data={**form, "refresh_token": "old"})
    assert (refused.status_code, refused.json()["status"]) == (400, "BAD_REFRESH_TOKEN")


def test_the_191st_call_in_ten_seconds_is_refused(strict):
    statuses = [strict.http.get("/crm/v3/owners").status_code for _ in range(191)]
    assert (statuses.count(200), statuses[-1]) == (190, 429)
    refused = strict.http.get("/crm/v3/owners")
    assert refused.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "retry-after" not in refused.headers
    strict.clock.advance(timedelta(seconds=10))
    answer = strict.http.get("/crm/v3/owners")
    assert (answer.status_code, answer.headers["x-hubspot-ratelimit-remaining"]) == (200, "189")


def test_the_sixth_search_in_a_second_is_refused_and_searches_carry_no_rate_headers(strict):
    answers = [strict.search() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert not any(name.startswith("x-hubspot-ratelimit") for name in answers[0].headers)


def test_a_spent_day_ends_at_midnight_of_the_account():
    running, population = started(people=1, per_day=2)
    with running:
        poor = World(running, population)
        answers = [poor.http.get("/crm/v3/owners") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[-1].json()["policyName"] == "DAILY"
        poor.clock.set(datetime(2026, 11, 22, 23, 0, 1, tzinfo=UTC))  # midnight in Berlin
        assert poor.http.get("/crm/v3/owners").status_code == 200


def test_every_answer_has_a_correlation_id(world):
    assert world.http.get(CONTACTS).headers["x-hubspot-correlation-id"]
