"""Sales and marketing edit meanwhile: between plan and push, and before a waiting plan is applied. Nothing of theirs is
undone, every case ends in a receipt with its reason, and the person is decided again on the new facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from connector.core.model import Ref
from connector.ports import Limits, PlanRow
from tests.stories.test_bulk_push import jobs, org_of_jobs
from tests.stories.world import Somebody, World, look, somebody, world


@dataclass(frozen=True)
class Case:
    """What somebody does, how the row ends, and what stands afterwards."""

    crm: str
    does: Callable[[World, Somebody], Any]
    status: str
    said: str
    theirs: Callable[[World, Somebody], bool]


def contact(made: World, who: Somebody) -> dict[str, Any]:
    return dict(made.hubspot.raw("contacts", who.contact))


def lead(made: World, who: Somebody) -> dict[str, Any]:
    return dict(made.salesforce.raw("Lead", who.lead))


def property_(made: World, who: Somebody, name: str) -> Any:
    return contact(made, who)["properties"].get(name)


def another_lead(made: World, who: Somebody) -> str:
    rows = made.salesforce.sandbox.store.tables["Lead"].rows
    return next(
        key
        for key, row in rows.items()
        if key != who.lead and not row.get("IsDeleted") and not row.get("IsConverted")
    )


def another_contact(made: World, who: Somebody) -> str:
    return next(
        str(each) for each in made.hubspot.sandbox.store.table("contacts").live if str(each) != who.contact
    )


CASES = {
    "hubspot, merged into another": Case(
        "hubspot",
        lambda w, p: w.hubspot.act("contacts", another_contact(w, p), "merge", other=p.contact),
        "set_aside", "merged",
        lambda w, p: int(p.contact) not in w.hubspot.sandbox.store.table("contacts").live,
    ),
    "salesforce, merged into another": Case(
        "salesforce",
        lambda w, p: w.salesforce.act("Lead", p.lead, "merge", into=another_lead(w, p)),
        "set_aside", "merged|deleted",
        lambda w, p: bool(lead(w, p).get("IsDeleted")),
    ),
    "salesforce, a field is not theirs to edit any more": Case(
        "salesforce",
        lambda w, p: w.salesforce.act(
            "Lead", p.lead, "refuse", code="INVALID_FIELD_FOR_INSERT_UPDATE", message="Not editable: MQL_Status__c"
        ),
        "rejected", "editable",
        lambda w, p: lead(w, p)["MQL_Status__c"] != "qualified",
    ),
    "hubspot, sales takes the person on": Case(
        "hubspot",
        lambda w, p: w.hubspot.edit("contacts", p.contact, {"lifecyclestage": "salesqualifiedlead"}),
        "set_aside", "changed",
        lambda w, p: property_(w, p, "lifecyclestage") == "salesqualifiedlead",
    ),
    "hubspot, deleted": Case(
        "hubspot",
        lambda w, p: w.hubspot.act("contacts", p.contact, "archive"),
        "set_aside", "no longer exists|deleted",
        lambda w, p: int(p.contact) not in w.hubspot.sandbox.store.table("contacts").live,
    ),
    "hubspot, erased": Case(
        "hubspot",
        lambda w, p: w.hubspot.act("contacts", p.contact, "gdpr_delete"),
        "set_aside", "no longer exists",
        lambda w, p: int(p.contact) not in w.hubspot.sandbox.store.table("contacts").live,
    ),
    "hubspot, another owner": Case(
        "hubspot",
        lambda w, p: w.hubspot.edit("contacts", p.contact, {"hubspot_owner_id": "1"}),
        "written", "",
        lambda w, p: property_(w, p, "hubspot_owner_id") == "1",
    ),
    "salesforce, sales takes the person on": Case(
        "salesforce",
        lambda w, p: w.salesforce.edit("Lead", p.lead, {"Lifecycle_Stage__c": "sql"}),
        "set_aside", "changed",
        lambda w, p: lead(w, p)["Lifecycle_Stage__c"] == "sql",
    ),
    "salesforce, converted": Case(
        "salesforce",
        lambda w, p: w.salesforce.act("Lead", p.lead, "convert"),
        "set_aside", "converted",
        lambda w, p: bool(lead(w, p)["IsConverted"]),
    ),
    "salesforce, deleted": Case(
        "salesforce",
        lambda w, p: w.salesforce.act("Lead", p.lead, "delete"),
        "set_aside", "deleted|no longer exists",
        lambda w, p: bool(lead(w, p).get("IsDeleted")),
    ),
    "salesforce, deleted for good": Case(
        "salesforce",
        lambda w, p: [w.salesforce.act("Lead", p.lead, each) for each in ("delete", "purge")],
        "set_aside", "no longer exists",
        lambda w, p: p.lead not in w.salesforce.sandbox.store.tables["Lead"].rows,
    ),
}  # fmt: skip


async def qualifying(made: World) -> Somebody:
    """Somebody who is about to become an MQL: asked for a demo after the last sync."""
    await made.sync()
    who = await somebody(made, where=lambda view: view.score.fit >= 25 and view.state.rejected_at is None)
    made.later(minutes=30)
    made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
    made.later(minutes=10)
    return who


def of(rows: list[PlanRow], case: Case, who: Somebody) -> PlanRow:
    ref = (
        Ref("hubspot", "contact", who.contact)
        if case.crm == "hubspot"
        else Ref("salesforce", "Lead", who.lead)
    )
    [row] = [row for row in rows if row.ref == ref]
    return row


@pytest.mark.parametrize("name", CASES)
async def test_what_somebody_does_before_a_waiting_plan_is_applied_stands(
    database_url: str, name: str
) -> None:
    case = CASES[name]
    async with world(database_url, people=60) as made:
        who = await qualifying(made)
        planned = await made.sync(plan_only=True)
        plan = planned.plans[case.crm]
        assert of(await made.ledger.plan_rows(plan), case, who).status == "waiting"

        made.later(minutes=10)
        case.does(made, who)
        made.later(minutes=5)
        await made.apply(case.crm, plan)

        row = of(await made.ledger.plan_rows(plan), case, who)
        assert row.status == case.status, row.reason
        assert any(word in row.reason for word in case.said.split("|")), row.reason
        assert case.theirs(made, who)
        made.later(minutes=15)
        after = await made.sync()
        assert after.status == "succeeded"
        assert case.theirs(made, who), "the next run undid what they did"
        made.later(minutes=15)
        still = await made.sync()
        assert all(counts.written == 0 for counts in still.crms.values()), "no third write"


@pytest.mark.parametrize("name", CASES)
async def test_what_somebody_does_between_the_decision_and_the_batch_stands(
    sqlite_url: str, name: str
) -> None:
    case = CASES[name]
    async with world(sqlite_url, people=60) as made:
        who = await qualifying(made)
        done: list[str] = []
        ledger = made.ledger
        opened = ledger.keep_decisions

        async def decided(*args: Any, **named: Any) -> None:
            await opened(*args, **named)
            if not done:
                done.append(name)
                case.does(made, who)
                made.later(minutes=3)  # so that the batch is read again

        ledger.keep_decisions = decided  # type: ignore[method-assign]

        result = await made.sync()

        assert done
        row = of(await made.ledger.plan_rows(result.plans[case.crm]), case, who)
        assert row.status == case.status, row.reason
        assert any(word in row.reason for word in case.said.split("|")), row.reason
        assert case.theirs(made, who)
        assert result.crms[case.crm].adds_up()
        made.later(minutes=15)
        after = await made.sync()
        assert after.status == "succeeded"
        assert case.theirs(made, who), "the next run undid what they did"


@pytest.mark.parametrize("name", CASES)
async def test_what_somebody_does_between_two_batches_of_a_push_stands(sqlite_url: str, name: str) -> None:
    case = CASES[name]
    async with world(sqlite_url, people=60) as made:
        await made.sync()
        who = await somebody(made, where=lambda view: view.score.fit >= 25 and view.state.rejected_at is None)
        made.later(minutes=30)
        made.hubspot.create("form_submissions", {"form": "Request a demo", "email": who.email})
        for view in await made.ledger.people(limit=60):
            for ref in view.refs:
                if ref.crm == "hubspot" and ref.id != who.contact:
                    made.hubspot.edit("contacts", ref.id, {"mql_score": "99"})
                if ref.object == "Lead" and ref.id != who.lead:
                    made.salesforce.edit("Lead", ref.id, {"MQL_Score__c": 99})
        made.later(minutes=10)
        planned = await made.sync(plan_only=True)
        plan = planned.plans[case.crm]
        ours = of(await made.ledger.plan_rows(plan), case, who).id
        adapter: Any = made.adapters[case.crm]
        adapter.limits = Limits(write_batch=1, read_batch=100)
        push, sent = adapter.push, []

        async def and_then_somebody(batch: Any, **named: Any) -> Any:
            answers = await push(batch, **named)
            sent.extend(write.id for write in batch)
            if len(sent) == 1:
                case.does(made, who)
                made.later(minutes=3)  # values read before are not believed any more
            return answers

        adapter.push = and_then_somebody
        try:
            pushed = await made.apply(case.crm, plan)
        finally:
            del adapter.push, adapter.limits

        assert sent[0] != ours
        assert len(sent) > 3, "the others go on"
        row = of(await made.ledger.plan_rows(plan), case, who)
        assert row.status == case.status, row.reason
        assert any(word in row.reason for word in case.said.split("|")), row.reason
        assert case.theirs(made, who)
        assert not pushed.error


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("salesforce")])
async def test_what_somebody_does_before_a_job_of_very_many_rows_stands(sqlite_url: str, name: str) -> None:
    case = CASES[name]
    async with org_of_jobs(sqlite_url, people=60) as made:
        who = await qualifying(made)
        for view in await made.ledger.people(limit=60):
            for ref in view.refs:
                if ref.object == "Lead" and ref.id != who.lead:
                    made.salesforce.edit("Lead", ref.id, {"MQL_Score__c": 99})
        made.later(minutes=10)
        planned = await made.sync(plan_only=True)
        plan = planned.plans["salesforce"]
        before = len(jobs(made))

        made.later(minutes=10)
        case.does(made, who)
        made.later(minutes=5)
        await made.apply("salesforce", plan)

        assert len(jobs(made)) > before
        row = of(await made.ledger.plan_rows(plan), case, who)
        assert row.status == case.status, row.reason
        assert any(word in row.reason for word in case.said.split("|")), row.reason
        assert case.theirs(made, who)


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_an_edit_in_the_same_stamp_as_our_write_is_not_lost_and_our_write_is_no_news(
    sqlite_url: str, crm: str
) -> None:
    """The echo of our write and a human's edit come back as one change of the record."""
    async with world(sqlite_url, people=60) as made:
        who = await qualifying(made)
        await made.sync()
        title = "Head of Purchasing"
        if crm == "hubspot":
            made.hubspot.edit("contacts", who.contact, {"jobtitle": title})
        else:
            made.salesforce.edit("Lead", who.lead, {"Title": title})
        writes = {each: len(made.writes(each)) for each in made.adapters}

        made.later(minutes=15)
        await made.sync()

        ref = (
            Ref("hubspot", "contact", who.contact)
            if crm == "hubspot"
            else Ref("salesforce", "Lead", who.lead)
        )
        [facts] = await made.ledger.facts([[ref]])
        assert facts.records[0].fields["title"] == title
        view = await look(made, who)
        assert view.state.stage == "mql"
        echoed = [write for each in made.adapters for write in made.writes(each, writes[each])]
        assert all(who.contact in str(write) or who.lead in str(write) for write in echoed), (
            "an echo was news"
        )
