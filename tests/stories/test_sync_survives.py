"""What random histories found: unanswered writes, CRMs that go away, records that end. On both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from connector.core.model import Outcome, Receipt, Ref
from connector.phases.settle import settle
from connector.ports import CrmCounts
from connector.sandbox.faults import Fault
from tests.stories.world import START, QuickClock, Somebody, World, somebody, world


def quiet(counts: CrmCounts) -> bool:
    return counts.planned == counts.written == counts.rejected == counts.unknown == 0


def contact(world: World, who: Somebody) -> dict[str, Any]:
    return dict(world.hubspot.raw("contacts", who.contact)["properties"])


async def test_a_crm_that_goes_away_before_the_push_leaves_its_plan_waiting_and_the_other_is_written(
    database_url: str,
) -> None:
    async with world(database_url, people=30, clock=QuickClock(START)) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.salesforce.edit("Lead", who.lead, {"MQL_Score__c": 1})
        made.later(minutes=15)
        planned = await made.sync(plan_only=True)
        made.later(minutes=10)
        made.hubspot.faults.add(Fault(path="*/contacts/batch/read", status=503, times=None))

        cut = await made.apply("hubspot", planned.plans["hubspot"])
        made.hubspot.faults.clear()
        healed = await made.sync()

        assert cut.waiting == 1
        assert "503" in (cut.error or "")
        assert healed.crms["hubspot"].written == 1
        assert contact(made, who)["mql_score"] != "1"


async def test_writes_under_way_that_cannot_be_read_back_hold_up_their_crm_only(database_url: str) -> None:
    async with world(database_url, people=30, clock=QuickClock(START)) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.later(minutes=15)
        await leave_under_way(made, "hubspot")
        made.salesforce.edit("Lead", who.lead, {"MQL_Score__c": 1})
        made.later(minutes=15)
        made.hubspot.faults.add(Fault(path="*/contacts/batch/read", status=503, times=None))

        cut = await made.sync()
        made.hubspot.faults.clear()
        healed = await made.sync()

        assert cut.status == "partial"
        assert "read back" in (cut.crms["hubspot"].error or "")
        assert cut.crms["salesforce"].written == 1
        assert healed.status == "succeeded"
        assert not await made.ledger.sending("hubspot")
        assert contact(made, who)["mql_score"] != "1"


async def leave_under_way(made: World, crm: str) -> None:
    """What a process leaves that dies between "sending" and the call."""
    planned = await made.sync(crm, plan_only=True)
    rows = await made.ledger.plan_rows(planned.plans[crm], status="waiting")
    assert rows
    lease = await made.ledger.acquire(f"push:{crm}", "another process", made.clock.now())
    await made.ledger.mark_sending(rows, [], lease, made.clock.now())
    made.later(minutes=1)


async def test_an_erased_contact_is_set_aside_once_and_is_no_target_any_more(database_url: str) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.salesforce.edit("Lead", who.lead, {"Title": "Chief Executive Officer"})
        made.hubspot.act("contacts", who.contact, "gdpr_delete")
        made.later(minutes=15)

        met = await made.sync()
        made.later(minutes=15)
        after = await made.sync()
        made.later(minutes=15)
        calm = await made.sync()

        assert met.crms["hubspot"].set_aside == 1
        assert after.crms["hubspot"].set_aside == 0
        assert calm.people == 0


async def test_an_mql_whose_unanswered_write_had_arrived_has_a_receipt_for_it(database_url: str) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        who = await somebody(made)
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, {"mql_score": "1"})
        made.hubspot.faults.add(Fault(method="POST", path="*/contacts/batch/update*", drop_after=True))
        made.later(minutes=5)
        cut = await made.sync()

        again = await made.sync()

        [row] = await made.ledger.plan_rows(cut.plans["hubspot"])
        assert row.status == "written"
        score = next(line for line in row.writes if line.result == "score")
        assert (score.before, contact(made, who)["mql_score"]) == ("1", str(score.after))
        assert quiet(again.crms["hubspot"])
        written = await made.ledger.written([Ref("hubspot", "contact", who.contact)])
        assert written[Ref("hubspot", "contact", who.contact), "mql_score"].value == score.after


async def test_page_views_of_two_contacts_count_once_after_hubspot_merged_them(database_url: str) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        one, other = [view for view in await made.ledger.people(limit=100) if view.refs[0].crm == "hubspot"][
            :2
        ]
        made.hubspot.act("contacts", one.refs[0].id, "page_view", url="https://www.example.com/pricing")
        made.later(minutes=15)
        await made.sync()

        merged = made.hubspot.act("contacts", one.refs[0].id, "merge", other=other.refs[0].id)
        made.later(minutes=15)
        await made.sync()

        survivor = Ref("hubspot", "contact", merged["id"])
        [person] = await made.ledger.find(str(survivor))
        view = await made.ledger.person(person)
        assert view is not None
        assert {one.refs[0], other.refs[0], survivor} <= set(view.refs)
        [facts] = await made.ledger.facts([view.refs])
        told = [known.engagement for known in facts.engagement if known.engagement.stream == "counters"]
        assert not [each for each in told if each.about == survivor], "the merge itself was counted as visits"


async def test_a_rejected_write_is_tried_again_after_a_day_though_its_person_was_decided_meanwhile(
    database_url: str,
) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        nobody = {
            "LastName": "Ito",
            "Company": "Example",
            "Email": "ito@new.example",
        }  # no engagement, no decay
        lead = Ref("salesforce", "Lead", made.salesforce.create("Lead", nobody))
        made.later(hours=1)
        refusal = {"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Industry is missing."}
        made.salesforce.act("Lead", lead.id, "refuse", **refusal)
        made.later(minutes=15)
        refused = await made.sync()
        made.salesforce.edit("Lead", lead.id, {"City": "Bergen"})
        made.later(minutes=15)

        between = await made.sync()
        due_tomorrow = await made.ledger.due(["salesforce"], made.clock.now() + timedelta(hours=24), 1_000)

        assert refused.crms["salesforce"].rejected == 1
        assert between.people >= 1
        assert between.crms["salesforce"].planned == 0
        assert lead in due_tomorrow


class HandsOver(QuickClock):
    """Whoever holds the push is done while somebody else waits for it."""

    def __init__(self, done: Callable[[], Awaitable[None]]) -> None:
        super().__init__(START)
        self._done: Callable[[], Awaitable[None]] | None = done

    async def sleep(self, span: timedelta) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            await done()
        await super().sleep(span)


async def test_writes_that_another_process_received_while_we_waited_for_it_are_not_settled_again(
    database_url: str,
) -> None:
    async with world(database_url, people=30, clock=QuickClock(START)) as made:
        planned = await made.sync(plan_only=True)
        ledger = made.ledger
        lease = await ledger.acquire("push:hubspot", "another process", made.clock.now())
        plan = planned.plans["hubspot"]
        rows = await ledger.plan_rows(plan, status="waiting")
        await ledger.mark_sending(rows, [], lease, made.clock.now())

        async def done() -> None:
            receipts = [Receipt(row.id, Outcome.WRITTEN) for row in rows]
            await ledger.receive(rows, receipts, lease, made.clock.now())
            await ledger.release(lease)

        settled = await settle(
            made.adapters["hubspot"],
            made.definition.mappings["hubspot"],
            ledger,
            HandsOver(done),
            holder="story",
        )

        assert settled == 0
        assert {row.status for row in await ledger.plan_rows(plan) if row.writes} == {"written"}
