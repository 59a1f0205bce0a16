"""Who last changed a property, over real HTTP: what its history tells, in words."""

from __future__ import annotations

import pytest

from adapters.hubspot import PLUGIN
from adapters.hubspot.changes import who
from connector.core.model import Ref, Write
from connector.sandbox.faults import Fault
from connector.testing.clock import LeapingClock
from tests.contract.hubspot_account import HOUR, START, engaged

ASKED = {"contact": frozenset({"mql_score", "lifecyclestage", "mql_reason"})}


def contact(id_):
    return Ref("hubspot", "contact", id_)


def edited(made, id_, by, **fields):
    made.sandbox.act("contact", id_, "set", fields=fields, by=by)


async def asked(made, *ids, fields=ASKED):
    found = await made.adapter.last_changes([contact(id_) for id_ in ids], fields)
    return {(ref.id, name): change for (ref, name), change in found.items()}


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("user 11", "user 11 (Hugo Test)"),
        ("user 404", "user 404"),
        ("workflow 7", "a workflow (enrolment 7)"),
        ("workflow 7 Nurture leads", 'workflow "Nurture leads" (enrolment 7)'),
        ("integration HubSpot-Salesforce", 'integration "HubSpot-Salesforce"'),
        ("integration", "integration 52447"),
        ("salesforce", "HubSpot's Salesforce integration"),
        ("import", "import"),
        ("form", "form"),
    ],
)
async def test_whoever_changed_it_last_is_told_in_words_with_the_value_and_the_time(by, told):
    async with engaged(people=20) as made:
        made.sandbox.sandbox.store.owners[2] |= {"firstName": "Hugo", "lastName": "Test"}
        [(id_, _)] = made.people()
        edited(made, id_, "user 11", mql_score="7")
        made.clock.advance(HOUR)

        edited(made, id_, by, mql_score="12")
        change = (await asked(made, id_))[id_, "mql_score"]

        assert (change.value, change.by, change.of_record) == ("12", told, False)
        assert abs((change.at - START - HOUR).total_seconds()) < 60


async def test_our_own_write_is_told_as_the_api_s_and_a_cleared_value_as_none():
    async with engaged(people=20) as made:
        [(id_, _)] = made.people()
        edited(made, id_, "user 9", mql_score="7")

        await made.adapter.push([Write(1, contact(id_), {"mql_score": None, "mql_reason": "why"})])
        found = await asked(made, id_)

        assert (found[id_, "mql_score"].value, found[id_, "mql_score"].by) == (
            None,
            "API of integration sandbox-app",
        )
        now = await made.adapter.read([contact(id_)], ASKED)
        assert now[contact(id_)].values["mql_score"] == found[id_, "mql_score"].value


async def test_what_was_never_set_is_left_out_and_what_was_imported_says_so():
    async with engaged(people=20) as made:
        [(id_, _)] = made.people()

        found = await asked(made, id_, fields={"contact": frozenset({"mql_score", "email", "no_such"})})

        assert set(found) == {(id_, "email")}
        assert found[id_, "email"].by == "import"


async def test_records_that_are_gone_or_were_merged_away_are_left_out():
    for merged_read in ("told", "silent"):
        async with engaged(people=30, merged_read=merged_read) as made:
            (kept, _), (other, _), (erased, _) = made.people(3)
            for id_ in (kept, other, erased):
                edited(made, id_, "user", mql_score="12")
            survivor = made.sandbox.act("contact", kept, "merge", other=other)["id"]
            made.sandbox.act("contact", erased, "gdpr_delete")

            found = await asked(made, kept, other, erased, survivor, "404")

            assert {id_ for id_, _ in found} == {survivor}


async def test_an_account_that_refuses_owners_still_tells_who_by_number():
    async with engaged(people=20) as made:
        [(id_, _)] = made.people()
        edited(made, id_, "user 9", mql_score="12")
        made.sandbox.faults.add(Fault(path="*/owners*", status=403, json={"category": "MISSING_SCOPES"}))

        assert (await asked(made, id_))[id_, "mql_score"].by == "user 9"


@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_a_hundred_and_twenty_records_take_three_calls_and_nobody_s_name_costs_one(version):
    async with engaged({"HUBSPOT_API_VERSION": version}, people=200) as made:
        ids = [id_ for id_, _ in made.people(120)]
        for id_ in ids:
            edited(made, id_, "form", mql_score="12")
        made.sandbox.log.clear()

        found = await asked(made, *ids, fields={"contact": frozenset({"mql_score"})})

        assert {id_ for id_, _ in found} == set(ids)
        assert [call.path.rpartition("/")[2] for call in made.sandbox.log.calls()] == ["read"] * 3


async def test_a_history_keeps_twenty_versions_each_with_its_source():
    async with engaged(people=20) as made:
        [(id_, _)] = made.people()
        for n in range(25):
            edited(made, id_, "user 9" if n % 2 else "form", mql_score=str(n))
        api = PLUGIN.connect(made.sandbox.environment(), LeapingClock(made.clock), None)._api
        body = {"properties": [], "propertiesWithHistory": ["mql_score"], "inputs": [{"id": id_}]}

        [row] = (await api.post(f"{api.paths.objects('contacts')}/batch/read", body)).json["results"]
        await api.close()

        versions = row["propertiesWithHistory"]["mql_score"]
        assert [each["value"] for each in versions] == [str(n) for n in range(24, 4, -1)]
        assert [each["sourceType"] for each in versions[:2]] == ["FORM", "CRM_UI"]
        assert versions[1]["updatedByUserId"] == 9


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"sourceType": "WORKFLOWS", "sourceId": "123"}, "workflow 123"),
        (
            {"sourceType": "AUTOMATION_PLATFORM", "sourceId": "flowId:5", "sourceLabel": "Keep"},
            'workflow 5 ("Keep")',
        ),
        ({"sourceType": "AUTOMATION_PLATFORM"}, "a workflow"),
        ({"sourceType": "API"}, "API"),
        ({"sourceType": "MERGE_OBJECTS"}, "a merge"),
        ({"sourceType": "SOME_NEW_THING", "sourceLabel": "Robo"}, 'some new thing "Robo"'),
        ({"sourceType": "CRM_UI"}, "crm ui"),
        ({"sourceType": "CRM_UI_BULK_ACTION", "updatedByUserId": 7}, "user 7"),
        ({"sourceType": "IMPORT", "sourceId": "1", "updatedByUserId": "7"}, "import by user 7"),
        ({"sourceType": "INTEGRATION", "sourceId": "5", "updatedByUserId": 7}, "integration 5"),
        ({}, ""),
        ({"sourceType": None, "sourceId": None, "updatedByUserId": True}, ""),
    ],
)
def test_sources_of_every_shape_become_words_and_none_fails(entry, told):
    assert who(entry, {}) == told


async def test_companies_have_changes_too_and_an_object_without_asked_fields_none():
    async with engaged(people=60) as made:
        company = made.sandbox.create("company", {"name": "Acme", "domain": "acme.example"})
        ref = Ref("hubspot", "company", company)

        found = await made.adapter.last_changes([ref, contact("1")], {"company": frozenset({"domain"})})

        assert [(place, change.value, change.by) for place, change in found.items()] == [
            ((ref, "domain"), "acme.example", "user 9 (Robin Seller)")
        ]
