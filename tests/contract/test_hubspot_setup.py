"""Set-up over real HTTP: a bare account gets what the mapping writes to, and nothing that stands there is harmed."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from adapters.hubspot import PLUGIN
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.model import Outcome, Ref, Write
from connector.core.targets import reject_reasons, targets_of
from connector.errors import FixConfig
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.clock import LeapingClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
PROPERTIES = "/crm/v3/properties/contacts"
TARGETS = targets_of(load_definition(shipped(), plugins()).mappings["hubspot"])
OURS = [target.name for target in TARGETS if target.name != "lifecyclestage"]


class Bare:
    """An account without our properties, seen by set-up, by plain HTTP and by its screens."""

    def __init__(self, sandbox, clock):
        self.sandbox = sandbox
        self.clock = clock
        token = sandbox.environment()["HUBSPOT_ACCESS_TOKEN"]
        self.http = httpx.Client(base_url=sandbox.url, headers={"Authorization": f"Bearer {token}"})

    async def steps(self, *, make, targets=TARGETS, **variables):
        admin = PLUGIN.admin({**self.sandbox.environment(), **variables}, LeapingClock(self.clock))
        try:
            return {step.what: step for step in await admin.steps(targets, make=make)}
        finally:
            await admin.close()

    def property(self, name):
        return self.http.get(f"{PROPERTIES}/{name}").json()

    def create(self, **body):
        body = {"groupName": "contactinformation", "label": body["name"], **body}
        assert self.http.post(PROPERTIES, json=body).status_code == 201

    def changing_calls(self):
        return [call for call in self.sandbox.log.calls() if call.method != "GET"]


@contextmanager
def account(**options):
    clock = SandboxClock(START)
    sandbox = PLUGIN.build_sandbox(make_population(5, 5, START), clock, with_mql_fields=False, **options)
    with serve([sandbox]) as running:
        yield Bare(running["hubspot"], clock)


@pytest.fixture
def bare():
    with account() as made:
        yield made


@asynccontextmanager
async def connected(bare):
    adapter = PLUGIN.connect(bare.sandbox.environment(), LeapingClock(bare.clock), None)
    try:
        yield adapter
    finally:
        await adapter.close()


def states(steps, word="property mql_"):
    return {step.state for what, step in steps.items() if word in what}


@pytest.mark.parametrize("version", ["2026-03", "2026-09", "v3"])
async def test_a_bare_account_gets_every_property_and_can_be_written_to(bare, version):
    made = await bare.steps(make=True, HUBSPOT_API_VERSION=version)

    assert states(made) == {"made"}
    assert made["contact property group mql_connector"].state == "made"
    assert made["contact property lifecyclestage"].state == "there"
    score, since, grade = (bare.property(name) for name in ("mql_score", "mql_since", "mql_grade"))
    assert (score["type"], score["fieldType"], score["groupName"]) == ("number", "number", "mql_connector")
    assert (since["type"], since["fieldType"]) == ("datetime", "date")
    assert [option["value"] for option in grade["options"]][:2] == ["A1", "A2"]
    async with connected(bare) as hubspot:
        contact = bare.sandbox.create("contact", {"email": "new@example.com"})
        values = {
            "mql_score": 61,
            "mql_grade": "A1",
            "mql_status": "qualified",
            "mql_since": "2026-11-22T10:00:00Z",
        }
        [receipt] = await hubspot.push([Write(1, Ref("hubspot", "contact", contact), values)])
        assert receipt.outcome is Outcome.WRITTEN


async def test_twice_is_harmless_and_calls_nothing_that_changes(bare):
    await bare.steps(make=True)
    bare.sandbox.log.clear()

    again = await bare.steps(make=True)

    assert states(again) == {"there"}
    assert not bare.changing_calls()
    assert len(bare.sandbox.log.calls()) == 3


async def test_a_dry_run_only_looks(bare):
    steps = await bare.steps(make=False)

    assert states(steps) == {"missing"}
    assert steps["contact property group mql_connector"].state == "missing"
    assert not bare.changing_calls()


async def test_another_type_stops_everything_and_says_what_differs(bare):
    bare.create(name="mql_score", type="string", fieldType="text")

    steps = await bare.steps(make=True)

    assert steps["contact property mql_score"].state == "differs"
    assert "type string and must be number" in steps["contact property mql_score"].detail
    assert states(steps) == {"differs", "missing"}
    assert [call.path for call in bare.changing_calls()] == [PROPERTIES]  # the test's own


async def test_options_are_added_to_what_an_admin_put_there_and_labels_stay(bare):
    options = [
        {"label": "On hold", "value": "on_hold", "displayOrder": 0, "hidden": True},
        {"label": "QUALIFIED!", "value": "qualified", "displayOrder": 1, "hidden": False},
    ]
    bare.create(
        name="mql_status", type="enumeration", fieldType="select", options=options, label="Sales status"
    )

    looked = await bare.steps(make=False)
    made = await bare.steps(make=True)

    assert looked["contact property mql_status"].state == "missing"
    assert made["contact property mql_status"].state == "made"
    after = bare.property("mql_status")
    assert after["label"] == "Sales status"
    assert after["options"][:2] == options
    assert {"none", "qualified", "accepted", "recycled"} <= {option["value"] for option in after["options"]}
    assert len(after["options"]) == 7


async def test_a_property_made_meanwhile_by_somebody_else_counts_as_there(bare):
    """HubSpot tells an existing name in a 207 of the batch, and by a 409 where it is made alone."""
    exists = {
        "status": "COMPLETE",
        "results": [],
        "numErrors": 1,
        "errors": [
            {
                "status": "error",
                "category": "OBJECT_ALREADY_EXISTS",
                "subCategory": "Properties.PROPERTY_WITH_NAME_EXISTS",
                "message": "A property named 'mql_fit' already exists.",
                "context": {"name": ["mql_fit"]},
            }
        ],
    }
    bare.sandbox.faults.add(Fault(method="POST", path="*/batch/create", status=207, json=exists))

    steps = await bare.steps(make=True)

    assert states(steps) == {"missing"}, "nothing came of it, so nothing is said to be made"


async def test_where_the_batch_is_refused_each_property_is_made_alone_and_a_409_is_no_failure(bare):
    refused = {"status": "error", "category": "VALIDATION_ERROR", "message": "one of them is wrong"}
    bare.sandbox.faults.add(Fault(method="POST", path="*/batch/create", status=400, json=refused))
    conflict = {
        "status": "error",
        "category": "CONFLICT",
        "message": "A property named 'mql_score' already exists.",
    }
    bare.sandbox.faults.add(
        Fault(method="POST", path="*/properties/*/contacts", body="mql_score", status=409, json=conflict)
    )
    full = {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": "The limit of properties is reached.",
    }
    bare.sandbox.faults.add(
        Fault(method="POST", path="*/properties/*/contacts", body="mql_fit", status=400, json=full)
    )

    steps = await bare.steps(make=True)

    assert steps["contact property mql_band"].state == "made"
    assert steps["contact property mql_score"].state == "missing"  # told 409, and yet it is not there
    assert "limit of properties" in steps["contact property mql_fit"].detail


async def test_an_archived_property_keeps_its_name_and_is_for_a_human_to_restore(bare):
    bare.create(name="mql_fit", type="number", fieldType="number")
    bare.http.delete(f"{PROPERTIES}/mql_fit")

    steps = await bare.steps(make=True)

    assert steps["contact property mql_fit"].state == "by_hand"
    assert "Restore" in steps["contact property mql_fit"].detail
    assert steps["contact property mql_score"].state == "made"


async def test_a_calculated_property_differs_because_nobody_can_write_to_it(bare):
    target = replace(TARGETS[0], name="hubspotscore")

    steps = await bare.steps(make=True, targets=[target])

    assert steps["contact property hubspotscore"].state == "differs"


async def test_a_missing_stage_is_told_with_the_clicks_and_never_made(bare):
    stage = next(target for target in TARGETS if target.result == "stage")
    target = replace(stage, options=(*stage.options, ("hand_over", "Hand-over")))

    steps = await bare.steps(make=True, targets=[target])

    step = steps["contact property lifecyclestage"]
    assert step.state == "by_hand"
    assert "Hand-over (hand_over)" in step.detail
    assert "Lifecycle Stage" in step.detail
    assert not bare.changing_calls()


async def test_what_makes_the_fields_seen_is_told_click_by_click(bare):
    steps = await bare.steps(make=False)

    by_hand = [step for step in steps.values() if step.state == "by_hand"]
    assert len(by_hand) == 3
    assert all("Settings >" in step.detail or "CRM >" in step.detail for step in by_hand)
    assert any("list view sorted by MQL score" in step.what for step in by_hand)
    assert any("only the connector edits" in step.what for step in by_hand)


async def test_a_token_without_the_right_to_create_is_named_and_an_admin_token_of_its_own_may():
    with account() as bare:
        with pytest.raises(FixConfig, match=r"crm\.schemas\.contacts\.write"):
            await bare.steps(make=True, HUBSPOT_ACCESS_TOKEN="pat-eu1-sandbox-read-only")

        made = await bare.steps(
            make=True,
            HUBSPOT_ACCESS_TOKEN="pat-eu1-sandbox-read-only",
            HUBSPOT_ADMIN_TOKEN="pat-eu1-sandbox-full",
        )

    assert states(made) == {"made"}


async def test_oauth_credentials_set_up_as_well():
    clock = SandboxClock(START)
    sandbox = PLUGIN.build_sandbox(make_population(5, 5, START), clock, with_mql_fields=False, oauth=True)
    with serve([sandbox]) as running:
        admin = PLUGIN.admin(running["hubspot"].environment(), LeapingClock(clock))
        steps = await admin.steps(TARGETS, make=True)
        await admin.close()

    assert states({step.what: step for step in steps}) == {"made"}


def test_the_files_are_the_bodies_that_hubspot_takes(bare):
    files = PLUGIN.as_source(TARGETS)

    group = json.loads(files["hubspot/groups/contact/mql_connector.json"])
    assert bare.http.post(f"{PROPERTIES}/groups", json=group).status_code == 201
    bodies = [json.loads(text) for name, text in sorted(files.items()) if "/properties/" in name]
    assert sorted(body["name"] for body in bodies) == sorted(OURS)
    for body in bodies:
        assert bare.http.post(PROPERTIES, json=body).status_code == 201
    assert "POST /crm/v3/properties/contacts" in files["hubspot/README.md"]
    assert "lifecyclestage" in files["hubspot/README.md"]


async def test_the_property_for_sales_reasons_is_made_on_request_and_theirs_is_left_as_it_is(bare):
    mapping = load_definition(shipped(), plugins()).mappings["hubspot"]
    asked = reject_reasons(mapping, PLUGIN.reject_reason)
    made = await bare.steps(make=True, targets=(*TARGETS, *asked))
    options = [each["value"] for each in bare.property("mql_reject_reason")["options"]]
    assert made["contact property mql_reject_reason"].state == "made"
    assert options == [value for value, _ in asked[0].options]
    assert "contact property MQL reject reason: sales edit it" in made

    theirs = [replace(each, options=(("another", "Another"),)) for each in asked]
    again = await bare.steps(make=True, targets=(*TARGETS, *theirs))
    assert again["contact property mql_reject_reason"].state == "there"
    assert [each["value"] for each in bare.property("mql_reject_reason")["options"]] == options
