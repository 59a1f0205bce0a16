"""Workflows of the account that listen to our properties or write them; and those that the sandbox really runs."""

from __future__ import annotations

import pytest

from connector.core.model import Ref, Write
from connector.errors import RetryLater
from connector.sandbox.faults import Fault
from tests.contract.hubspot_account import HOUR, engaged

NO_AUTOMATION = {"HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-no-automation"}
TARGETS = ("contact.mql_score", "contact.mql_status", "contact.lifecyclestage", "contact.mql_since")
STATIC = {"type": "STATIC_VALUE", "staticValue": "none"}


def workflow(made, name, **given):
    return made.sandbox.create("workflows", {"name": name, **given})


def action(type_="0-5", **fields):
    return {"actionId": "1", "actionTypeId": type_, "type": "SINGLE_CONNECTION", "fields": fields}


async def found(made, targets=TARGETS):
    """What was found, by name: what it listens to, what it writes."""
    told = await made.adapter.automations(targets)
    return {each.name: (set(each.listens), set(each.writes)) for each in told.found}


async def test_of_an_account_s_own_workflows_none_concerns_us():
    """Among them one that was turned off, and one whose property only begins like one of ours."""
    async with engaged(people=5) as made:
        assert await found(made) == {}


async def test_a_workflow_is_told_with_what_it_listens_to_what_it_writes_and_where_it_is():
    async with engaged(people=5) as made:
        id_ = workflow(made, "Tug", when="mql_status", equals="qualified", sets="mql_score", to="0")

        [told] = (await made.adapter.automations(TARGETS)).found

        assert (told.kind, told.name) == ("workflow", "Tug")
        assert told.listens == {"contact.mql_status"}
        assert told.writes == {"contact.mql_score"}
        assert id_ in told.where


async def test_one_that_is_turned_off_is_not_told():
    async with engaged(people=5) as made:
        id_ = workflow(made, "Tug", when="mql_status", sets="mql_score", to="0")
        made.sandbox.act("workflows", id_, "off")
        assert await found(made) == {}
        made.sandbox.act("workflows", id_, "on")
        assert set(await found(made)) == {"Tug"}


FILTER = {"property": "mql_score", "filterType": "PROPERTY", "operation": {"operator": "IS_KNOWN"}}
SHAPES = {
    "enrolment": ({"enrollmentCriteria": {"listFilterBranch": {"filters": [FILTER]}}}, True, False),
    "re-enrolment": (
        {"enrollmentCriteria": {"reEnrollmentTriggersFilterBranches": [{"filters": [FILTER]}]}},
        True,
        False,
    ),
    "a change of any value": (
        {
            "enrollmentCriteria": {
                "type": "EVENT_BASED",
                "eventFilterBranches": [
                    {
                        "eventTypeId": "4-655002",
                        "filters": [
                            {
                                "property": "hs_name",
                                "filterType": "PROPERTY",
                                "operation": {"operator": "IS_ANY_OF", "values": ["mql_score"]},
                            }
                        ],
                    }
                ],
            }
        },
        True,
        False,
    ),
    "a branch by filter": (
        {"actions": [{"type": "LIST_BRANCH", "listBranches": [{"filterBranch": {"filters": [FILTER]}}]}]},
        True,
        False,
    ),
    "a branch by value": (
        {
            "actions": [
                {
                    "type": "STATIC_BRANCH",
                    "inputValue": {"type": "OBJECT_PROPERTY", "propertyName": "mql_score"},
                }
            ]
        },
        True,
        False,
    ),
    "a token in a mail": (
        {"actions": [action("0-8", body="Score: {{ enrolled_object.mql_score }}.")]},
        True,
        False,
    ),
    "set": ({"actions": [action(property_name="mql_score", value=STATIC)]}, False, True),
    "cleared": (
        {"actions": [action(property_name="mql_score", value={"type": "STATIC_VALUE", "staticValue": ""})]},
        False,
        True,
    ),
    "copied to": (
        {
            "actions": [
                action(
                    property_name="mql_score",
                    value={"type": "OBJECT_PROPERTY", "propertyName": "hubspotscore"},
                )
            ]
        },
        False,
        True,
    ),
    "copied from": (
        {
            "actions": [
                action(
                    property_name="old_score", value={"type": "OBJECT_PROPERTY", "propertyName": "mql_score"}
                )
            ]
        },
        True,
        False,
    ),
    "counted up": (
        {"actions": [action(property_name="mql_score", value={"type": "INCREMENT", "incrementAmount": 5})]},
        False,
        True,
    ),
    "several at once": (
        {"actions": [action(properties=[{"targetProperty": "mql_score", "value": STATIC}])]},
        False,
        True,
    ),
    "of an associated record": (
        {
            "actions": [
                action(property_name="mql_score", value=STATIC, association={"associationTypeId": 279})
            ]
        },
        False,
        False,
    ),
    "a company's workflow, its own property": (
        {
            "objectTypeId": "0-2",
            "enrollmentCriteria": {"filters": [FILTER]},
            "actions": [action(property_name="mql_score", value=STATIC)],
        },
        False,
        False,
    ),
    "a company's workflow, its contacts'": (
        {
            "objectTypeId": "0-2",
            "enrollmentCriteria": {
                "filterBranches": [
                    {"filterBranchType": "ASSOCIATION", "objectTypeId": "0-1", "filters": [FILTER]}
                ]
            },
            "actions": [
                action(property_name="mql_score", value=STATIC, association={"associationTypeId": 280})
            ],
        },
        True,
        True,
    ),
    "decoys": (
        {
            "description": "Nothing to do with mql_score",
            "actions": [
                action(property_name="mql_score_2", value={"staticValue": "my_mql_score x-mql_score"})
            ],
        },
        False,
        False,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_property_is_found_in_every_shape_in_which_a_workflow_names_it(shape):
    details, listens, writes = SHAPES[shape]
    async with engaged(people=5) as made:
        workflow(made, "One", details=details)

        told = (await found(made)).get("One", (set(), set()))

        assert told == (
            {"contact.mql_score"} if listens else set(),
            {"contact.mql_score"} if writes else set(),
        )


async def test_a_company_s_stage_is_not_a_contact_s():
    async with engaged(people=5) as made:
        workflow(
            made, "Companies", object="companies", when="lifecyclestage", sets="lifecyclestage", to="customer"
        )

        assert await found(made) == {}
        told = await found(made, ("company.lifecyclestage",))
        assert told == {"Companies": ({"company.lifecyclestage"}, {"company.lifecyclestage"})}


@pytest.mark.parametrize(("most", "calls"), [(100, 4), (1, 2 + 1 + 1 + 103)])
async def test_however_many_there_are_all_are_read_and_where_a_batch_is_refused_one_by_one(most, calls):
    async with engaged(people=5, most_flows=most) as made:
        for n in range(101):
            workflow(made, f"W{n:03}", when="mql_status", sets="jobtitle", to="x")
        made.sandbox.log.clear()

        assert len(await found(made)) == 101
        assert len(made.sandbox.log.calls("/flows")) == calls


async def test_one_that_was_deleted_meanwhile_is_told_as_not_read():
    async with engaged(people=5) as made:
        workflow(made, "Tug", when="mql_status", sets="mql_score", to="0")
        ids = made.sandbox.sandbox.store.workflows
        made.sandbox.faults.add(Fault(path="*/flows/batch/read", status=200, json={"results": []}))
        made.sandbox.faults.add(
            Fault(path=f"*/flows/{list(ids._all)[-1]}", status=404, json={"message": "gone"})
        )

        told = await made.adapter.automations(TARGETS)

        assert not told.found
        assert "could not be read: Tug" in told.unseen[0]


@pytest.mark.parametrize(
    ("variables", "options", "told"),
    [
        (NO_AUTOMATION, {}, "lacks the scope `automation`"),
        ({}, {"professional": False}, "may have none"),
    ],
    ids=["scope", "plan"],
)
async def test_a_missing_scope_or_plan_is_a_sentence_and_no_error(variables, options, told):
    async with engaged(variables, people=5, **options) as made:
        workflow(made, "Tug", when="mql_status", sets="mql_score", to="0")

        answer = await made.adapter.automations(TARGETS)

        assert not answer.found
        assert told in answer.unseen[0]


async def test_what_the_api_never_shows_is_always_said():
    async with engaged(people=5) as made:
        [told] = (await made.adapter.automations(TARGETS)).unseen

        assert "scoring properties" in told
        assert "Sync lifecycle stages" in told


async def test_an_answer_that_is_no_list_is_a_sentence_and_an_outage_waits():
    async with engaged(people=5) as made:
        made.sandbox.faults.add(Fault(path="*/flows", status=200, json={"flows": []}))
        assert "could not be looked into" in (await made.adapter.automations(TARGETS)).unseen[0]
        made.sandbox.faults.clear()
        made.sandbox.faults.add(Fault(path="*/flows", status=503, times=None))
        with pytest.raises(RetryLater):
            await made.adapter.automations(TARGETS)


# ------------------------------------------------------------------------------------------------- that really run


def held(made, id_, name):
    return made.sandbox.raw("contact", id_)["properties"].get(name, "")


async def wrote(made, id_, **values):
    return await made.adapter.push([Write(1, Ref("hubspot", "contact", id_), values)])


async def test_a_workflow_changes_our_field_back_each_time_and_its_own_write_starts_nothing():
    async with engaged(people=5) as made:
        [(id_, _)] = made.people()
        workflow(made, "Tug", when="mql_status", equals="qualified", sets="mql_status", to="none", after=60)
        workflow(made, "Chain", when="mql_status", equals="none", sets="jobtitle", to="Chained")

        for _ in range(3):
            await wrote(made, id_, mql_status="qualified")
            assert held(made, id_, "mql_status") == "qualified"
            made.clock.advance(HOUR)
            assert held(made, id_, "mql_status") == "none"

        assert held(made, id_, "jobtitle") != "Chained"
        assert [each.by for each in made.sandbox.log.writes("contact", id_)] == ["api", "workflow"] * 3


async def test_it_writes_at_its_own_time_and_the_history_names_its_enrolment():
    async with engaged(people=5) as made:
        [(id_, _)] = made.people()
        workflow(made, "Tug", when="mql_status", equals="qualified", sets="mql_score", to="0", after=60)
        await wrote(made, id_, mql_status="qualified")
        written = made.clock.now()
        made.clock.advance(HOUR)

        asked = {"contact": frozenset({"mql_score"})}
        [change] = (await made.adapter.last_changes([Ref("hubspot", "contact", id_)], asked)).values()

        assert change.by.startswith("a workflow (enrolment ")
        assert change.value == "0"
        assert 50 < (change.at - written).total_seconds() < 61


async def test_a_human_s_edit_starts_it_too_and_what_it_sets_may_take_two_steps():
    async with engaged(people=5, history_names_workflows=True) as made:
        [(id_, _)] = made.people()
        made.sandbox.edit("contact", id_, {"lifecyclestage": "customer"})
        workflow(made, "Back", when="mql_since", sets="lifecyclestage", to=["", "lead"])

        made.sandbox.edit("contact", id_, {"mql_since": "2026-11-01T00:00:00Z"})

        assert held(made, id_, "lifecyclestage") == "lead"
        asked = {"contact": frozenset({"lifecyclestage"})}
        [change] = (await made.adapter.last_changes([Ref("hubspot", "contact", id_)], asked)).values()
        assert 'workflow "Back"' in change.by


@pytest.mark.parametrize(
    ("equals", "value", "runs"), [(None, "5", True), (None, "", False), ("", "", True), ("6", "5", False)]
)
async def test_it_starts_by_a_value_by_any_value_or_by_none(equals, value, runs):
    async with engaged(people=5) as made:
        [(id_, _)] = made.people()
        made.sandbox.edit("contact", id_, {"mql_score": "7"})
        workflow(made, "One", when="mql_score", equals=equals, sets="jobtitle", to="Ran")

        await wrote(made, id_, mql_score=value or None)

        assert (held(made, id_, "jobtitle") == "Ran") is runs


async def test_it_does_not_run_for_whom_it_no_longer_finds_nor_once_it_is_off():
    async with engaged(people=30) as made:
        (one, _), (gone, _) = made.people(2)
        id_ = workflow(made, "Tug", when="mql_score", sets="jobtitle", to="Ran", after=60)
        for contact in (one, gone):
            await wrote(made, contact, mql_score=5)
        made.sandbox.act("contact", gone, "archive")
        made.sandbox.act("workflows", id_, "off")
        made.clock.advance(HOUR)

        assert held(made, one, "jobtitle") != "Ran"
        assert held(made, gone, "jobtitle") != "Ran"
