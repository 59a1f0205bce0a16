"""What leaves and what comes back: every planned write ends with an outcome, whatever dies in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.core.model import FieldWrite, Outcome, Receipt, RecordState
from connector.errors import LeaseBusy, StopRun
from connector.ledger import open_ledger
from connector.ports import Held, Refusal
from tests.stories.ledger_words import ADA, BOB, DAY, HOUR, LEAD, MINUTE, NOON, Desk, a_write, contact


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


async def one_row(desk, ref=ADA, crm="hubspot", **values):
    """A known record with one planned write."""
    await desk.keep(contact(ref))
    (row,) = await desk.plan(a_write(ref, **(values or {"mql_score": 61})), crm=crm)
    return row


async def status_of(desk, row):
    (found,) = await desk.ledger.plan_rows(row.plan)
    return found.status, found.reason


async def test_rows_that_leave_are_sending_with_their_fresh_before_images(desk):
    row = await one_row(desk)
    fresh = replace(row, writes=(FieldWrite("mql_score", 12, 61, "always", "score"),), read_at=NOON + MINUTE)
    await desk.send([fresh])
    (found,) = await desk.ledger.sending("hubspot")
    assert (found.status, found.writes, found.read_at) == ("sending", fresh.writes, NOON + MINUTE)
    assert await desk.ledger.sending("salesforce") == []


async def test_a_process_that_dies_while_sending_leaves_rows_the_next_one_finds(database_url):
    first = open_ledger(database_url)
    desk = Desk(first)
    row = await one_row(desk)
    await desk.send([row])
    await first.close()
    second = open_ledger(database_url)
    after = Desk(second)
    (found,) = await second.sending("hubspot")
    await after.receive([found], Outcome.WRITTEN)
    (facts,) = await second.facts([[ADA]])
    assert await second.sending("hubspot") == []
    assert facts.written[ADA, "mql_score"].value == 61
    await second.close()


async def test_a_written_value_is_remembered_and_the_stored_record_holds_it(desk):
    row = await one_row(desk)
    await desk.send([row])
    desk.at = NOON + MINUTE
    await desk.receive([row], Outcome.WRITTEN)
    (facts,) = await desk.ledger.facts([[ADA]])
    assert facts.written == {(ADA, "mql_score"): Held(61, NOON + MINUTE, row=row.id)}
    assert facts.records[0].held == {"mql_score": 61}
    assert (await status_of(desk, row), await desk.due()) == (("written", ""), [])


async def test_a_written_stage_is_remembered_in_our_word_too(desk):
    row = await one_row(desk, stage="marketingqualifiedlead")
    await desk.send([row])
    await desk.receive([row], Outcome.WRITTEN)
    (facts,) = await desk.ledger.facts([[ADA]])
    assert facts.written[ADA, "stage"] == Held("marketingqualifiedlead", NOON, "lead", row.id)


async def test_a_rejected_write_is_remembered_with_what_was_wanted_and_tried_again_after_a_day(desk):
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.REJECTED, reason="not a number", code="INVALID")
    (facts,) = await desk.ledger.facts([[ADA]])
    soon = await desk.due()
    desk.at = NOON + DAY
    assert facts.refused == {ADA: Refusal("rejected", {"mql_score": 61}, NOON, "not a number")}
    assert (soon, await desk.due()) == ([], [ADA])


async def test_an_unknown_outcome_is_remembered_and_due_again_at_once(desk):
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.UNKNOWN, reason="timed out")
    (facts,) = await desk.ledger.facts([[ADA]])
    assert (facts.refused[ADA].kind, await desk.due()) == ("unknown", [ADA])


async def test_a_write_that_succeeds_lifts_an_earlier_refusal(desk):
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.REJECTED)
    (again,) = await desk.plan(a_write(ADA, mql_score=62))
    await desk.send([again])
    await desk.receive([again], Outcome.WRITTEN)
    (facts,) = await desk.ledger.facts([[ADA]])
    assert facts.refused == {}


async def test_a_row_set_aside_before_leaving_is_due_again_at_once(desk):
    row = await one_row(desk)
    await desk.ledger.mark_sending([], [(row, "changed since")], await desk.lease("push"), NOON)
    assert (await status_of(desk, row), await desk.due()) == (("set_aside", "changed since"), [ADA])


async def test_a_row_that_waits_can_be_sent_later(desk):
    row = await one_row(desk)
    waiting = await desk.ledger.wait(row.plan, "waits for a human", await desk.lease("push"), NOON)
    stood = await status_of(desk, row)
    await desk.send(await desk.ledger.plan_rows(row.plan, status="waiting"))
    await desk.receive([row], Outcome.WAITING, reason="allowance spent")
    assert (waiting, stood) == (1, ("waiting", "waits for a human"))
    assert await status_of(desk, row) == ("waiting", "allowance spent")


async def test_a_row_cannot_be_sent_twice(desk):
    row = await one_row(desk)
    await desk.send([row])
    with pytest.raises(StopRun, match="not planned or waiting"):
        await desk.send([row])


async def test_receipts_that_do_not_answer_the_writes_are_refused_whole(desk):
    row = await one_row(desk)
    await desk.send([row])
    with pytest.raises(StopRun, match="one by one"):
        await desk.ledger.receive([row], [], await desk.lease("push"), NOON)
    with pytest.raises(StopRun, match="one by one"):
        await desk.ledger.receive(
            [row], [Receipt(row.id + 1, Outcome.WRITTEN)], await desk.lease("push"), NOON
        )
    assert (await status_of(desk, row))[0] == "sending"


async def test_a_receipt_under_a_lost_lease_changes_nothing(desk):
    row = await one_row(desk)
    lease = await desk.ledger.acquire("push:hubspot", "one", NOON)
    await desk.ledger.mark_sending([row], [], lease, NOON)
    await desk.ledger.acquire("push:hubspot", "two", NOON + MINUTE)
    with pytest.raises(LeaseBusy, match="lease lost"):
        await desk.ledger.receive([row], [Receipt(row.id, Outcome.WRITTEN)], lease, NOON)
    (facts,) = await desk.ledger.facts([[ADA]])
    assert ((await status_of(desk, row))[0], facts.written) == ("sending", {})


async def test_a_record_that_turned_out_merged_points_to_its_survivor(desk):
    await desk.keep(contact(BOB))
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.SET_ASIDE, reason="merged", moved_to=BOB)
    found = await desk.ledger.neighbourhood([BOB])
    (ada,) = [record for record in found.records if record.ref == ADA]
    assert (ada.state, ada.moved_to, ADA in await desk.due()) == (RecordState.MERGED, BOB, True)


async def test_a_write_that_reached_the_survivor_is_remembered_there(desk):
    await desk.keep(contact(LEAD))
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.WRITTEN, moved_to=LEAD)
    facts, merged = await desk.ledger.facts([[LEAD], [ADA]])
    assert (facts.written[LEAD, "mql_score"].value, facts.records[0].held) == (61, {"mql_score": 61})
    assert (merged.records[0].state, merged.written) == (RecordState.CONVERTED, {})


async def test_a_discarded_plan_remembers_what_is_not_to_be_proposed_again(desk):
    row = await one_row(desk)
    await desk.ledger.close_plan(row.plan, "discarded", await desk.lease("push"), NOON)
    (facts,) = await desk.ledger.facts([[ADA]])
    (plan,) = await desk.ledger.plans()
    assert (facts.refused[ADA].kind, facts.refused[ADA].wanted) == ("discarded", {"mql_score": 61})
    assert (plan.status, await desk.due()) == ("discarded", [])


async def test_nothing_of_a_plan_that_has_ended_is_sent(desk):
    row = await one_row(desk)
    await desk.ledger.close_plan(row.plan, "applied", await desk.lease("push"), NOON)
    with pytest.raises(StopRun, match="is applied"):
        await desk.send([row])


async def test_the_counts_of_a_plan_add_up_to_its_rows(desk):
    await desk.keep(contact(ADA), contact(BOB), contact(LEAD))
    rows = await desk.plan(a_write(ADA, mql_score=1), a_write(BOB, mql_score=2), a_write(LEAD, mql_score=3))
    rows += await desk.ledger.plan_rows(rows[0].plan, after=rows[-1].id)
    await desk.send(rows[:2])
    await desk.receive(rows[:2], Outcome.WRITTEN, Outcome.REJECTED)
    (plan,) = await desk.ledger.plans()
    assert plan.counts == {"written": 1, "rejected": 1}  # the Lead is another CRM's, and that has no plan
    assert sum(plan.counts.values()) == len(rows)


async def test_rows_are_handed_out_page_by_page(desk):
    await desk.keep(contact(ADA), contact(BOB))
    first, second = await desk.plan(a_write(ADA, mql_score=1), a_write(BOB, mql_score=2))
    assert await desk.ledger.plan_rows(first.plan, limit=1) == [first]
    assert await desk.ledger.plan_rows(first.plan, status="planned", limit=1, after=first.id) == [second]
    assert await desk.ledger.plan_rows(first.plan, status="sending") == []


async def test_a_value_of_ours_that_waits_a_while_is_still_no_news(desk):
    row = await one_row(desk)
    await desk.send([row])
    await desk.receive([row], Outcome.WRITTEN)
    kept = await desk.keep(contact(ADA, at=NOON + HOUR, held={"mql_score": "61.0"}))
    assert kept.touched == frozenset()
