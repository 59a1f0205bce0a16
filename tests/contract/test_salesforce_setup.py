"""Set-up over real HTTP: a bare org gets what the mapping writes to, seen by whom it must be, and nothing is harmed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from xml.etree import ElementTree

import httpx
import pytest

from adapters.salesforce import PLUGIN
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.model import Outcome, RecordState, Write
from connector.core.targets import reject_reasons, targets_of
from connector.errors import FixConfig
from connector.testing.clock import LeapingClock
from tests.contract.salesforce_org import Org, served

TARGETS = targets_of(load_definition(shipped(), plugins()).mappings["salesforce"])
CUSTOM = [f"{target.object}.{target.name}" for target in TARGETS]
RUNTIME_ONLY = dict.fromkeys((each.name for each in PLUGIN.admin_variables), "")


class Bare:
    """An org, as set-up, an administrator and the integration user see it."""

    def __init__(self, running, clock):
        self.sandbox = running["salesforce"]
        self.clock = clock
        given = self.sandbox.environment()
        secret = {name: given[f"SALESFORCE_ADMIN_CLIENT_{name.upper()}"] for name in ("id", "secret")}
        form = {
            "grant_type": "client_credentials",
            "client_id": secret["id"],
            "client_secret": secret["secret"],
        }
        token = httpx.post(f"{self.sandbox.url}/services/oauth2/token", data=form).json()["access_token"]
        self.token = token
        self.http = httpx.Client(
            base_url=f"{self.sandbox.url}/services/data/v66.0", headers={"Authorization": f"Bearer {token}"}
        )

    async def steps(self, *, make, targets=TARGETS, **variables):
        admin = PLUGIN.admin({**self.sandbox.environment(), **variables}, LeapingClock(self.clock))
        try:
            return {step.what: step for step in await admin.steps(targets, make=make)}
        finally:
            await admin.close()

    @asynccontextmanager
    async def connected(self):
        adapter = PLUGIN.connect(self.sandbox.environment(), LeapingClock(self.clock), None)
        try:
            yield adapter
        finally:
            await adapter.close()

    def make(self, object_, name, **metadata):
        body = {"FullName": f"{object_}.{name}", "Metadata": {"label": name, **metadata}}
        answer = self.http.post("/tooling/sobjects/CustomField", json=body)
        assert answer.status_code == 201
        return answer.json()["id"]

    def metadata(self, id):
        return self.http.get(f"/tooling/sobjects/CustomField/{id}").json()["Metadata"]

    def changing_calls(self):
        return [call for call in self.sandbox.log.calls("services/data") if call.method != "GET"]


@pytest.fixture
def make_bare():
    ends = []

    def make(people=12, **options):
        context = served(people, **{"with_mql_fields": False, **options})
        ends.append(context)
        return Bare(*context.__enter__())

    yield make
    for context in ends:
        context.__exit__(None, None, None)


@pytest.fixture
def bare(make_bare):
    return make_bare()


def states(steps):
    return {step.state for step in steps.values()}


async def test_a_bare_org_is_set_up_and_then_takes_what_is_written(bare):
    steps = await bare.steps(make=True)

    assert states(steps) == {"made", "by_hand"}
    async with bare.connected() as adapter:
        schema = await adapter.schema("Lead")
        assert all(schema[target.name].writable for target in TARGETS if target.object == "Lead")
        org = Org({"salesforce": bare.sandbox}, bare.clock, adapter)
        lead = next(
            record
            for record in (await org.records("Lead", fields={"Lead": frozenset({"Email"})})).values()
            if record.state is RecordState.LIVE
        )
        values = {
            "MQL_Score__c": 87,
            "MQL_Grade__c": "A1",
            "MQL_Status__c": "qualified",
            "MQL_Reason__c": "Asked for a demo",
            "MQL_Since__c": "2026-11-22T10:00:00Z",
            "Lifecycle_Stage__c": "mql",
            "MQL_Criteria_Version__c": 7,
        }
        [receipt] = await adapter.push([Write(1, lead.ref, values)])
    assert receipt.outcome is Outcome.WRITTEN
    assert bare.sandbox.raw("Lead", lead.ref.id)["MQL_Score__c"] == 87


async def test_setting_up_twice_changes_nothing_the_second_time(bare):
    await bare.steps(make=True)
    before = len(bare.changing_calls())

    again = await bare.steps(make=True)

    assert states(again) == {"there", "by_hand"}
    assert len(bare.changing_calls()) == before


async def test_a_dry_run_makes_nothing_and_says_what_is_missing(bare):
    steps = await bare.steps(make=False)

    assert {steps[f"field {name}"].state for name in CUSTOM} == {"missing"}
    assert states(steps) == {"missing", "by_hand"}
    assert bare.changing_calls() == []


async def test_an_org_that_has_the_fields_already_only_gets_its_grants(make_bare):
    bare = make_bare(with_mql_fields=True)

    steps = await bare.steps(make=True)

    assert {steps[f"field {name}"].state for name in CUSTOM} == {"there"}
    assert steps["permission set MQL_Connector"].state == "made"


async def test_a_field_that_security_hides_is_seen_after_set_up(make_bare):
    bare = make_bare(with_mql_fields=True, hidden_fields=["Lead.MQL_Score__c"])
    async with bare.connected() as adapter:
        assert "MQL_Score__c" not in await adapter.schema("Lead")

    await bare.steps(make=True)

    async with bare.connected() as adapter:
        assert (await adapter.schema("Lead"))["MQL_Score__c"].writable


async def test_a_field_of_another_type_stops_everything_and_is_left_alone(bare):
    id = bare.make("Lead", "MQL_Score__c", type="Text", length=10)
    before = len(bare.changing_calls())

    steps = await bare.steps(make=True)

    assert steps["field Lead.MQL_Score__c"].state == "differs"
    assert "Number(3, 0)" in steps["field Lead.MQL_Score__c"].detail
    assert "made" not in states(steps)
    assert len(bare.changing_calls()) == before
    assert bare.metadata(id)["type"] == "Text"


@pytest.mark.parametrize(
    ("name", "metadata", "state", "said"),
    [
        ("MQL_Score__c", {"type": "Number", "precision": 5, "scale": 2}, "there", ""),
        ("MQL_Score__c", {"type": "Number", "precision": 3, "scale": 2}, "differs", "1 digits"),
        ("MQL_Reason__c", {"type": "Text", "length": 80}, "differs", "80 characters"),
        ("MQL_Reason__c", {"type": "LongTextArea", "length": 1000}, "there", ""),
        ("MQL_Grade__c", {"type": "Text", "length": 2}, "there", ""),
        ("MQL_Grade__c", {"type": "Text", "length": 1}, "differs", "1 characters"),
        ("MQL_Since__c", {"type": "Date"}, "differs", "DateTime"),
    ],
)
async def test_a_field_that_stands_is_right_when_it_holds_all_that_may_be_written(
    bare, name, metadata, state, said
):
    bare.make("Lead", name, **metadata)

    steps = await bare.steps(make=False)

    assert steps[f"field Lead.{name}"].state == state
    assert said in steps[f"field Lead.{name}"].detail


@pytest.mark.parametrize("key", ["valueName", "fullName"])
async def test_picklist_values_are_added_to_those_that_stand_and_none_is_lost(make_bare, key):
    """What the Tooling API calls a value's name is not documented for every version."""
    bare = make_bare(picklist_key=key)
    own = [{key: value, "label": value.title(), "default": False} for value in ("qualified", "parked")]
    value_set = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": own}}
    id = bare.make("Lead", "MQL_Status__c", type="Picklist", valueSet=value_set)

    steps = await bare.steps(make=True)

    values = [each[key] for each in bare.metadata(id)["valueSet"]["valueSetDefinition"]["value"]]
    assert values[:2] == ["qualified", "parked"]
    assert {"none", "accepted", "rejected", "recycled", "disqualified"} < set(values)
    assert len(values) == len(set(values))
    assert steps["field Lead.MQL_Status__c"].state == "made"
    assert steps["field Contact.MQL_Status__c"].state == "made"


async def test_a_user_who_may_not_set_up_is_told_what_to_do_and_makes_nothing(bare):
    with pytest.raises(FixConfig, match="SALESFORCE_ADMIN_"):
        await bare.steps(make=True, **RUNTIME_ONLY)

    assert bare.changing_calls() == []


async def test_an_administrator_of_another_org_is_refused(bare, make_bare):
    other = make_bare(people=13)
    given = {
        "SALESFORCE_ADMIN_ACCESS_TOKEN": other.token.replace(other.token[:15], "00D000000000000"),
        "SALESFORCE_ADMIN_INSTANCE_URL": other.sandbox.url,
    }
    with pytest.raises(FixConfig, match="another org"):
        await bare.steps(make=True, **{**RUNTIME_ONLY, **given})


async def test_an_administrators_session_does_as_well_as_a_login(bare):
    given = {"SALESFORCE_ADMIN_ACCESS_TOKEN": bare.token, "SALESFORCE_ADMIN_INSTANCE_URL": bare.sandbox.url}

    steps = await bare.steps(make=True, **{**RUNTIME_ONLY, **given})

    assert "missing" not in states(steps)


async def test_a_standard_field_is_never_made_and_its_missing_values_are_for_people(bare):
    status = next(target for target in TARGETS if target.object == "Lead" and target.result == "status")
    targets = [replace(status, name="Rating"), replace(status, name="pkg__Status__c")]

    steps = await bare.steps(make=True, targets=targets)

    assert steps["field Lead.Rating"].state == "there"  # not restricted: it takes any value
    assert steps["field Lead.pkg__Status__c"].state == "by_hand"


async def test_people_are_told_where_to_click_so_that_sales_sees_the_results(bare):
    steps = await bare.steps(make=True)

    manual = " ".join(f"{step.what} {step.detail}" for step in steps.values() if step.state == "by_hand")
    for words in ("Page Layouts", "list view", "Map Lead Fields", "Manage Assignments"):
        assert words in manual
    # the readers' set grants reading alone
    granted = bare.http.get(
        "/query",
        params={
            "q": "SELECT Field, PermissionsEdit FROM FieldPermissions WHERE Parent.Name = 'MQL_Connector_Read'"
        },
    ).json()["records"]
    assert {row["Field"] for row in granted} == set(CUSTOM)
    assert not any(row["PermissionsEdit"] for row in granted)


def test_the_fields_as_files_are_well_formed_and_complete():
    hostile = replace(TARGETS[0], label="Fit & <score>", what='says "x" > y')

    files = PLUGIN.as_source([hostile, *TARGETS[1:]])

    trees = {
        path: ElementTree.fromstring(text.encode()) for path, text in files.items() if path.endswith(".xml")
    }
    root = "force-app/main/default"
    assert {f"{root}/objects/{t.object}/fields/{t.name}.field-meta.xml" for t in TARGETS} <= set(trees)
    space = "{http://soap.sforce.com/2006/04/metadata}"
    field = trees[f"{root}/objects/{hostile.object}/fields/{hostile.name}.field-meta.xml"]
    assert field.findtext(f"{space}label") == "Fit & <score>"
    writers = trees[f"{root}/permissionsets/MQL_Connector.permissionset-meta.xml"]
    editable = [each.findtext(f"{space}editable") for each in writers.findall(f"{space}fieldPermissions")]
    assert editable == ["true"] * len(TARGETS)
    picklist = trees[f"{root}/objects/Lead/fields/MQL_Status__c.field-meta.xml"]
    assert [each.text for each in picklist.iter(f"{space}fullName")][:3] == [
        "MQL_Status__c",
        "none",
        "qualified",
    ]
    assert "sfdx-project.json" in files


async def test_the_field_for_sales_reasons_is_made_on_request_and_the_integration_user_only_reads_it(bare):
    mapping = load_definition(shipped(), plugins()).mappings["salesforce"]
    asked = reject_reasons(mapping, PLUGIN.reject_reason)
    assert [(each.object, each.name) for each in asked] == [("Lead", "MQL_Reject_Reason__c")]

    made = await bare.steps(make=True, targets=(*TARGETS, *asked))
    again = await bare.steps(make=True, targets=(*TARGETS, *asked))

    assert made["field Lead.MQL_Reject_Reason__c"].state == "made"
    assert "read on Lead.MQL_Reject_Reason__c by MQL_Connector" in made
    assert "edit on Lead.MQL_Reject_Reason__c by MQL_Connector" not in made
    assert made["sales may edit Lead.MQL_Reject_Reason__c"].state == "by_hand"
    assert {step.state for step in again.values()} <= {"there", "by_hand"}
    async with bare.connected() as adapter:
        info = (await adapter.schema("Lead"))["MQL_Reject_Reason__c"]
        assert not info.writable
        assert "no_budget" in info.options
