"""Sales and marketing edit meanwhile: between plan and push, and before a waiting plan is applied. Nothing of theirs is
undone, every case ends in a receipt with its reason, and the person is decided again on the new facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from connector.core.model import Ref
from connector.ports import PlanRow
from tests.stories.world import Somebody, World, somebody, world


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


CASES = {
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
        lambda w, p: bool(lead(w, p)["IsDeleted"]),
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
        assert all(counts.planned == 0 for counts in still.crms.values()), "no third write"


@pytest.mark.parametrize("name", CASES)
async def test_what_somebody_does_between_the_decision_and_the_batch_stands(
    database_url: str, name: str
) -> None:
    case = CASES[name]
    async with world(database_url, people=60) as made:
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
