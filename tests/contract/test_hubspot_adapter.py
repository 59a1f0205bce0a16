"""The HubSpot adapter over real HTTP against the made-up account: what only HubSpot does, and how we live
with it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from adapters.hubspot import PLUGIN
from connector.core.model import Outcome, RecordState, Ref, Write
from connector.errors import FixConfig, RetryLater, StopRun
from connector.phases.gather import is_mapped
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.clock import LeapingClock
from tests.contract.hubspot_account import MAPPING

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIELDS = {
    "contact": frozenset(
        {
            "email",
            "firstname",
            "mql_score",
            "mql_reason",
            "hs_analytics_num_page_views",
            "hs_analytics_last_timestamp",
            "docs_views",
            "last_docs_view",
        }
    )
}


class Account:
    """A served account and an adapter connected to it."""

    def __init__(self, sandbox, clock, adapter):
        self.sandbox = sandbox
        self.clock = clock
        self.adapter = adapter
        self.cursors = {}

    async def pull(self, stream, fields=FIELDS):
        pages = []
        async for page in self.adapter.pull(stream, self.cursors.get(stream), fields):
            pages.append(page)
            self.cursors[stream] = page.cursor
        return pages

    async def records(self, stream="contacts", fields=FIELDS):
        return {r.ref.id: r for page in await self.pull(stream, fields) for r in page.records}

    async def events(self, stream):
        return {e.key: e for page in await self.pull(stream) for e in page.events}

    async def quiet(self):
        """Everything read, the overlap long past."""
        for stream in self.adapter.streams():
            await self.pull(stream.name)
        self.clock.advance(2 * HOUR)
        for stream in self.adapter.streams():
            await self.pull(stream.name)
        self.clock.advance(2 * HOUR)

    def ids(self, many=1):
        live = [r.id for r in POPULATION.records("hubspot") if r.state == "live"]
        return sorted(live)[:many]


POPULATION = make_population(250, 5, START)


@asynccontextmanager
async def connected(variables=None, *, population=POPULATION, our_clock=None, store=None, **options):
    """`variables` replace the environment's, `our_clock` is another than the account's, `options` are the sandbox's."""
    clock = SandboxClock(START)
    with serve([PLUGIN.build_sandbox(population, clock, **options)]) as running:
        environment = {**running.environment(), **(variables or {})}
        adapter = PLUGIN.connect(environment, our_clock or LeapingClock(clock), store)
        try:
            yield Account(running["hubspot"], clock, adapter)
        finally:
            await adapter.close()


@pytest.fixture
async def account():
    async with connected() as account:
        yield account


@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_both_versions_of_the_api_bring_the_same(version):
    async with connected({"HUBSPOT_API_VERSION": version}) as account:
        found = {stream.name: await account.pull(stream.name) for stream in account.adapter.streams()}

    assert sum(page.fetched for page in found.pop("behavioural_events")) == 0  # nobody was named
    rows = {name: sum(len(p.records) + len(p.events) for p in pages) for name, pages in found.items()}
    assert all(rows.values()), rows
    assert not [q for pages in found.values() for page in pages for q in page.quarantined]
    assert rows["contacts"] >= 250


async def test_the_whole_of_the_engagement_is_read_once(account):
    counts = account.sandbox.counts()
    submissions = await account.events("form_submissions")
    meetings = await account.events("meetings")
    calls = await account.events("calls")

    assert len(submissions) == counts["form_submissions"]
    assert len(meetings) == counts["meetings"]
    assert len(calls) == counts["calls"]
    assert all(event.email for event in submissions.values() if event.values.get("email"))
    assert any(event.about for event in meetings.values())
    assert all(ref.object == "contact" for event in calls.values() for ref in event.about)


async def test_an_unchanged_account_costs_few_calls_and_meets_no_limit(account):
    await account.quiet()
    before = account.adapter.calls()

    for stream in account.adapter.streams():
        if is_mapped(stream, MAPPING):
            assert not [r for page in await account.pull(stream.name) for r in page.records]

    assert account.adapter.calls() - before <= 12
    assert not [call for call in account.sandbox.log.calls() if call.status == 429]


async def test_a_contact_brings_company_stage_date_and_salesforce_ids(account):
    records = (await account.records()).values()

    assert any(r.company for r in records)
    assert any(r.stage_at for r in records if r.values.get("lifecyclestage"))
    assert {ref.object for r in records for ref in r.counterparts} == {"Lead", "Contact"}


async def test_a_page_view_is_found_though_it_leaves_the_last_modified_time_alone(account):
    await account.quiet()
    viewer, reader = account.ids(2)
    account.sandbox.act("contact", viewer, "page_view", times=3)
    account.sandbox.act("contact", reader, "count", counter="docs_views")
    account.clock.advance(timedelta(minutes=5))

    assert set(await account.records()) == {viewer, reader}


async def test_a_change_that_the_search_index_learns_late_is_not_missed(account):
    await account.quiet()
    (id_,) = account.ids()
    account.sandbox.edit("contact", id_, {"mql_reason": "by hand"})
    found = dict(await account.records())  # the index may or may not know it yet
    account.clock.advance(timedelta(minutes=2))
    found |= await account.records()

    assert found[id_].values["mql_reason"] == "by hand"


async def test_more_changes_than_fit_a_search_page_all_come(account):
    await account.quiet()
    ids = account.ids(230)
    for id_ in ids:
        account.sandbox.edit("contact", id_, {"mql_reason": "mass update"})
    account.clock.advance(timedelta(minutes=2))

    pages = await account.pull("contacts")

    assert {r.ref.id for page in pages for r in page.records} == set(ids)
    assert len(pages) > 1


async def test_a_window_that_broke_off_goes_on_where_it_was(account):
    await account.quiet()
    ids = account.ids(230)
    for id_ in ids:
        account.sandbox.edit("contact", id_, {"mql_reason": "mass update"})
    account.clock.advance(timedelta(minutes=20))
    seen = set()
    async for page in account.adapter.pull("contacts", account.cursors["contacts"], FIELDS):
        seen |= {r.ref.id for r in page.records}
        account.cursors["contacts"] = page.cursor
        break
    account.clock.advance(HOUR / 3)

    rest = set(await account.records())

    assert len(seen) == 200
    assert seen | rest == set(ids)
    assert len(rest) < 60  # it did not start over


async def test_a_merge_is_followed_by_survivor_read_and_push(account):
    await account.quiet()
    kept, lost = account.ids(2)
    survivor = account.sandbox.act("contact", kept, "merge", other=lost)["id"]
    account.clock.advance(timedelta(minutes=2))
    gone = Ref("hubspot", "contact", lost)

    changed = await account.records()
    read = await account.adapter.read([gone], FIELDS)
    (receipt,) = await account.adapter.push([Write(1, gone, {"mql_score": 5})])

    assert gone in changed[survivor].absorbed
    assert read[gone].state is RecordState.MERGED
    assert read[gone].moved_to == Ref("hubspot", "contact", survivor)
    assert (receipt.outcome, receipt.moved_to) == (Outcome.SET_ASIDE, Ref("hubspot", "contact", survivor))


async def test_a_push_to_a_deleted_contact_is_set_aside(account):
    one, two = account.ids(2)
    account.sandbox.act("contact", one, "archive")

    gone, good = await account.adapter.push(
        [Write(n, Ref("hubspot", "contact", id_), {"mql_score": 7}) for n, id_ in enumerate((one, two))]
    )

    assert gone.outcome is Outcome.SET_ASIDE
    assert good.outcome is Outcome.WRITTEN


async def test_a_stage_is_not_taken_back_and_this_is_said(account):
    (id_,) = account.ids()
    account.sandbox.edit("contact", id_, {"lifecyclestage": "customer"})

    (receipt,) = await account.adapter.push(
        [Write(1, Ref("hubspot", "contact", id_), {"lifecyclestage": "lead", "mql_score": 3})]
    )

    assert receipt.outcome is Outcome.REJECTED
    assert "kept" in receipt.reason
    assert account.sandbox.raw("contact", id_)["properties"]["lifecyclestage"] == "customer"


async def test_a_new_submission_is_found_for_few_calls(account):
    await account.quiet()
    forms = account.sandbox.sandbox.store.forms
    name = min(form.name for form in forms.values())
    email = next(r.emails[0] for r in POPULATION.records("hubspot") if r.state == "live" and r.emails)
    account.sandbox.create("form_submissions", {"form": name, "email": email})
    account.clock.advance(timedelta(minutes=5))
    before = account.adapter.calls()

    found = await account.events("form_submissions")

    assert [event.values["form_name"] for event in found.values()] == [name]
    assert account.adapter.calls() - before <= 2 + len(forms)


async def test_a_new_open_is_found_in_one_call(account):
    await account.quiet()
    account.sandbox.create("email_events", {"type": "OPEN", "email": "ada@example.com"})
    account.clock.advance(timedelta(minutes=5))
    before = account.adapter.calls()

    found = await account.events("email_events")

    assert "ada@example.com" in {event.email for event in found.values()}
    assert account.adapter.calls() - before == 1


async def test_trap_an_empty_page_with_200_in_the_middle_of_a_list_is_not_taken_for_its_end(account):
    await account.adapter.account()
    account.sandbox.faults.add(path="*/objects/*/contacts", json={"results": []}, status=200, skip=1, times=1)

    with pytest.raises(RetryLater, match="records should follow"):
        await account.pull("contacts")

    assert account.cursors["contacts"]["kind"] == "list"
    rest = await account.records()
    assert len(rest) > 100


@pytest.mark.parametrize(
    "body", [{"results": []}, {}, [], {"total": 5, "results": []}, {"total": "x", "results": []}]
)
async def test_a_search_that_does_not_add_up_keeps_the_watermark(account, body):
    await account.quiet()
    before = dict(account.cursors)
    account.sandbox.faults.add(path="*/contacts/search", json=body, status=200, times=None)

    with pytest.raises((RetryLater, StopRun)):
        await account.pull("contacts")

    assert account.cursors == before


async def test_a_batch_read_that_leaves_everybody_out_keeps_the_watermark(account):
    await account.quiet()
    before = dict(account.cursors)
    for id_ in account.ids(3):
        account.sandbox.edit("contact", id_, {"mql_reason": "x"})
    account.clock.advance(timedelta(minutes=2))
    account.sandbox.faults.add(path="*/batch/read", json={"results": []}, status=200, times=None)

    with pytest.raises(RetryLater, match="left out 3 of 3"):
        await account.pull("contacts")

    assert account.cursors == before


async def test_a_row_that_is_no_record_is_set_apart(account):
    await account.adapter.account()
    page = {"results": [{"id": "1", "properties": {}}, {"id": "2"}]}
    account.sandbox.faults.add(path="*/objects/*/companies", json=page, status=200, times=1)

    first = (await account.pull("companies"))[0]

    assert [(q.object, q.id) for q in first.quarantined] == [("company", "1"), ("company", "2")]
    assert first.fetched == 2


async def test_a_full_window_of_somebody_else_is_waited_out(account):
    body = {
        "policyName": "TEN_SECONDLY_ROLLING",
        "message": "You have reached your ten_secondly_rolling limit.",
    }
    account.sandbox.faults.add(status=429, json=body, times=3)

    assert len(await account.records()) >= 250


async def test_wide_property_lists_do_not_overflow_the_url(account):
    wide = {"contact": FIELDS["contact"] | {f"made_up_property_number_{n:04}" for n in range(250)}}

    records = await account.records(fields=wide)

    assert len(records) >= 250
    assert not [call for call in account.sandbox.log.calls() if call.status == 414]


async def test_a_missing_scope_is_named():
    async with connected({"HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-no-forms"}) as account:
        with pytest.raises(FixConfig, match="forms"):
            await account.pull("form_submissions")


async def test_a_read_only_token_cannot_push():
    async with connected({"HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-read-only"}) as account:
        with pytest.raises(FixConfig, match=r"contacts\.write"):
            await account.adapter.push(
                [Write(1, Ref("hubspot", "contact", account.ids()[0]), {"mql_score": 1})]
            )


async def test_stages_come_in_the_accounts_own_order(account):
    stages = (await account.adapter.schema("contact"))["lifecyclestage"].options

    assert stages.index("lead") < stages.index("marketingqualifiedlead") < stages.index("customer")
    assert any(stage.isdigit() for stage in stages)


async def test_the_full_rate_meets_no_429(account):
    await account.adapter.account()  # which tells the plan
    began = account.clock.now()

    for many in (170, 80):  # what a window holds, and what has to wait for the next one
        await asyncio.gather(*(account.adapter.account() for _ in range(many)))

    calls = account.sandbox.log.calls()
    assert len(calls) == 251
    assert not [call for call in calls if call.status == 429]
    assert account.clock.now() - began < timedelta(seconds=25)  # 171 in 10 s
