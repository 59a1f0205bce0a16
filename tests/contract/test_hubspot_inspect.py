"""What the adapter finds out about an account: rights, other integrations, names, and by trying on a test record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.hubspot import PLUGIN
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.model import Ref
from connector.errors import FixConfig
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.clock import LeapingClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
MAPPING = load_definition(shipped(), plugins()).mappings["hubspot"]
RUN, READ_ONLY, NO_FORMS, FULL = (
    f"pat-eu1-sandbox-{name}" for name in ("run", "read-only", "no-forms", "full")
)
NEEDED = {
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.schemas.contacts.read",
    "crm.schemas.companies.read",
    "forms",
    "content",
    "crm.objects.marketing_events.read",
    "crm.objects.deals.read",
}


class Account:
    """A served account and an adapter connected to it."""

    def __init__(self, sandbox, adapter):
        self.sandbox = sandbox
        self.adapter = adapter

    async def found(self, level, where=None):
        findings = await self.adapter.inspect(MAPPING)
        return [f.what for f in findings if f.level == level and where in (None, f.where)]

    async def probed(self, contact=None, **properties):
        contact = contact or self.sandbox.create("contact", {"email": "probe@example.com", **properties})
        before = self.sandbox.raw("contact", contact)["properties"]
        answers = {a.probe: a for a in await self.adapter.probe(Ref("hubspot", "contact", contact))}
        after = self.sandbox.raw("contact", contact)["properties"]
        for name in ("lifecyclestage", "mql_reason", "jobtitle"):
            assert after.get(name, "") == before.get(name, ""), f"{name} was not put back"
        return answers


@asynccontextmanager
async def account(token=RUN, people=30, **options):
    clock = SandboxClock(START)
    with serve([PLUGIN.build_sandbox(make_population(people, 5, START), clock, **options)]) as running:
        variables = running.environment()
        if "HUBSPOT_REFRESH_TOKEN" not in variables:
            variables["HUBSPOT_ACCESS_TOKEN"] = token
        adapter = PLUGIN.connect(variables, LeapingClock(clock), None)
        try:
            yield Account(running["hubspot"], adapter)
        finally:
            await adapter.close()


# -------------------------------------------------------------------------------------------------------- rights


async def test_a_token_with_just_what_a_run_needs_is_told_nothing_about_scopes():
    async with account() as made:
        findings = await made.adapter.inspect(MAPPING)

        assert not [f for f in findings if f.where == "scopes"]
        assert not [f for f in findings if f.level == "problem"]
        assert not made.sandbox.log.writes(), "looking writes nothing"


async def test_a_token_that_may_not_write_is_a_warning_for_plans_can_be_made():
    async with account(READ_ONLY) as made:
        assert not await made.found("problem")
        [told] = await made.found("warning", "scopes")

        assert "crm.objects.contacts.write" in told
        assert "plans can be made" in told


async def test_a_missing_read_scope_is_a_problem_that_says_what_stops():
    async with account(NO_FORMS) as made:
        [told] = await made.found("problem", "scopes")

        assert "lacks forms: read form_submissions" in told


async def test_a_scope_that_a_run_can_do_without_is_a_warning():
    async with account("pat-eu1-sandbox-no-marketing-events") as made:
        assert not await made.found("problem")
        told = await made.found("warning", "scopes")

        assert "crm.objects.marketing_events.read" in told[0]


@pytest.mark.parametrize("newer", [True, False], ids=["errors", "context"])
async def test_both_shapes_of_a_403_name_the_scope(newer):
    context = {"requiredGranularScopes": ["crm.objects.companies.read"]}
    body = {
        "category": "MISSING_SCOPES",
        "message": "no",
        **({"errors": [{"context": context}]} if newer else {"context": context}),
    }
    async with account() as made:
        made.sandbox.faults.add(Fault(path="*/objects/*/companies*", method="GET", status=403, json=body))

        [told] = await made.found("problem", "scopes")

        assert "crm.objects.companies.read" in told


async def test_a_static_token_that_may_change_definitions_is_told_to_have_too_much():
    async with account(FULL) as made:
        [told] = await made.found("warning", "scopes")

        assert "crm.schemas.contacts.write" in told
        assert not made.sandbox.log.writes()


async def test_an_oauth_token_tells_its_scopes_itself():
    async with account(oauth=True, grants=(NEEDED - {"content"}) | {"automation", "tickets"}) as made:
        assert await made.found("problem", "scopes") == ["The token lacks content: read email_events."]
        assert ["run needs: tickets." in told for told in await made.found("warning", "scopes")] == [True]


async def test_a_scope_that_cannot_be_tried_now_is_unknown_and_not_missing():
    async with account() as made:
        made.sandbox.faults.add(Fault(path="/marketing/v3/forms*", status=500, times=None))

        assert not await made.found("problem")
        [told] = await made.found("warning", "scopes")
        assert "forms could not be found out" in told


async def test_hubspots_own_salesforce_integration_is_noticed_by_the_ids_it_keeps():
    async with account(people=200) as made:
        [told] = await made.found("note", "integration")

        assert "contacts carry a Salesforce id" in told
        assert "ignored by default" in told
    async with account(people=0) as made:
        assert not await made.found("note", "integration")
        assert not await made.found("warning", "integration")


async def test_with_that_integration_on_each_of_our_fields_is_named_with_the_clicks_that_take_it_out():
    async with account(people=200) as made:
        [told] = [
            f for f in await made.adapter.inspect(MAPPING) if (f.level, f.where) == ("warning", "integration")
        ]

        written = [line.to for line in MAPPING.objects["contact"].write]
        assert "not shown by the API" in told.what
        assert all(name in told.what for name in written)
        assert "Connected Apps > Salesforce > Contacts > Contact property mappings" in told.next_step
        assert "If `lifecyclestage` is to stay there, say `master: salesforce`" in told.next_step
        [declared] = [
            each
            for each in await made.adapter.inspect(replace(MAPPING, master="salesforce"))
            if (each.level, each.where) == ("warning", "integration")
        ]
        assert (
            "`lifecyclestage` may stay there with the sync rule `Always use Salesforce`" in declared.next_step
        )


async def test_fields_that_it_was_seen_to_write_are_told_by_name_and_those_of_rule_never_are_not():
    async with account(people=200) as made:
        contacts = [
            record.id
            for record in make_population(200, 5, START).records("hubspot")
            if record.counterpart and record.state == "live"
        ]
        for by, id_ in zip(("salesforce", "integration Salesforce", "user 9"), contacts, strict=False):
            made.sandbox.act("contact", id_, "set", fields={"mql_score": "3"}, by=by)
        lines = tuple(
            replace(line, rule="never") if line.to == "mql_band" else line
            for line in MAPPING.objects["contact"].write
        )
        mapping = replace(MAPPING, objects={"contact": replace(MAPPING.objects["contact"], write=lines)})

        [told] = [
            f for f in await made.adapter.inspect(mapping) if (f.level, f.where) == ("warning", "integration")
        ]

        assert "the last to change mql_score (on 2 of " in told.what
        assert "mql_band" not in told.what


def test_access_says_per_feature_what_is_read_written_and_lost():
    asked = {each.feature: each for each in PLUGIN.access(MAPPING)}

    assert asked["read contacts"].rights == ("crm.objects.contacts.read", "crm.schemas.contacts.read")
    assert {"email", "jobtitle", "lifecyclestage"} <= set(asked["read contacts"].reads)
    assert "forms" in asked["read form_submissions"].rights
    assert "demo_request" in asked["read form_submissions"].without
    assert {"mql_score", "lifecyclestage"} <= set(asked["write scores and stages to contacts"].writes)
    assert "crm.schemas.contacts.write" in asked["set-up"].rights
    assert all(each.without for each in asked.values())
    contact = replace(MAPPING.objects["contact"], write=())
    silent = PLUGIN.access(replace(MAPPING, objects={"contact": contact}, engagement={}))
    assert not any("write" in right for each in silent for right in each.rights)


# --------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_the_catalog_names_what_a_mapping_may_name(version):
    async with account() as made:
        made.adapter = PLUGIN.connect(
            {**made.sandbox.environment(), "HUBSPOT_API_VERSION": version},
            LeapingClock(made.sandbox.clock),
            None,
        )
        names = await made.adapter.catalog()
        await made.adapter.close()

    kinds = {}
    for named in names:
        kinds.setdefault(named.kind, []).append(named)
    assert set(kinds) == {"stage", "status", "form", "list", "owner", "pipeline"}
    stages = [named.id for named in kinds["stage"]]
    assert stages.index("lead") < stages.index("marketingqualifiedlead") < stages.index("customer")
    own = next(named for named in kinds["stage"] if named.id.isdigit())
    assert own.label != own.id
    assert all(named.id and named.label for named in names)
    assert [named.label for named in kinds["list"]] == ["MQLs of sales", "Customers", "Trade fair 2026"]


async def test_what_the_token_may_not_see_is_left_out_of_the_catalog():
    async with account(NO_FORMS) as made:
        kinds = {named.kind for named in await made.adapter.catalog()}

    assert kinds == {"stage", "status", "list", "owner", "pipeline"}


# -------------------------------------------------------------------------------------------------------- probes


@pytest.mark.parametrize(
    ("options", "value", "told"),
    [
        ({"lifecycle_backward": "ignore"}, "clear_first", "ignored without a word"),
        ({"lifecycle_backward": "error"}, "clear_first", "is refused"),
        ({"lifecycle_backward": "apply"}, "accepted", "at once"),
    ],
)
@pytest.mark.parametrize("stage", ["subscriber", "marketingqualifiedlead", "customer"])
async def test_the_backward_lifecycle_is_tried_and_sets_the_switch(options, value, told, stage):
    async with account(**options) as made:
        answer = (await made.probed(lifecyclestage=stage))["backward lifecycle"]

        assert (answer.switch, answer.value) == ("backward_lifecycle", value)
        assert told in answer.what
        made.adapter.use({answer.switch: answer.value})


async def test_an_account_whose_workflow_restores_the_stage_lets_none_go_back():
    async with account(stage_workflow="restore") as made:
        answer = (await made.probed(lifecyclestage="customer"))["backward lifecycle"]

        assert (answer.switch, answer.value) == ("backward_lifecycle", "impossible")


@pytest.mark.parametrize(("moves", "told"), [(True, "moves the last"), (False, "leaves the last")])
async def test_whether_an_identical_write_moves_the_stamp_is_seen(moves, told):
    async with account(identical_write_moves=moves) as made:
        assert told in (await made.probed(jobtitle="CEO"))["identical write"].what


@pytest.mark.parametrize(("heeded", "told"), [(True, "fails alone"), (False, "halved")])
async def test_whether_trace_ids_are_heeded_is_seen(heeded, told):
    async with account(trace_ids=heeded) as made:
        assert told in (await made.probed())["trace ids"].what


@pytest.mark.parametrize(
    ("lag", "told"), [(2, "within the 60 s"), (30, "within the 60 s"), (600, "3 of 3 writes were not found")]
)
async def test_the_lag_of_search_is_measured_within_bounds(lag, told):
    async with account(index_lag_seconds=lag) as made:
        answer = (await made.probed(mql_reason="because"))["search lag"]

        assert told in answer.what
        assert len([call for call in made.sandbox.log.calls() if call.path.endswith("/search")]) <= 200


async def test_creating_what_exists_is_told_or_not_tried():
    async with account(FULL) as made:
        assert "409" in (await made.probed())["repeated create"].what
    async with account(RUN) as made:
        assert "Not tried" in (await made.probed())["repeated create"].what


async def test_only_the_test_record_is_written_to():
    async with account() as made:
        contact = made.sandbox.create("contact", {"email": "probe@example.com"})
        made.sandbox.log.clear()

        await made.probed(contact)

        assert {(write.object, write.id) for write in made.sandbox.log.writes()} == {("contact", contact)}
        assert not [call for call in made.sandbox.log.calls() if call.status == 429]


async def test_a_probe_that_breaks_off_puts_the_record_back():
    async with account() as made:
        contact = made.sandbox.create("contact", {"email": "p@example.com", "lifecyclestage": "customer"})
        made.sandbox.faults.add(Fault(path="*/contacts/search", status=403, json={"message": "no"}))

        with pytest.raises(FixConfig):
            await made.adapter.probe(Ref("hubspot", "contact", contact))

        raw = made.sandbox.raw("contact", contact)["properties"]
        assert (raw["lifecyclestage"], raw.get("mql_reason", "")) == ("customer", "")


async def test_a_test_record_must_be_a_contact_that_is_there():
    async with account() as made:
        for ref in (Ref("hubspot", "contact", "404"), Ref("hubspot", "company", "1")):
            with pytest.raises(FixConfig):
                await made.adapter.probe(ref)
