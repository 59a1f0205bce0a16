"""A lifecycle stage that goes back, over real HTTP: cleared, set, read back; and every way in which accounts differ."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from adapters.hubspot import PLUGIN
from connector.core.model import Outcome, Ref, Write
from connector.errors import FixConfig, OutcomeUnknown, RetryLater
from connector.sandbox.clock import SandboxClock
from connector.sandbox.faults import Fault
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from connector.testing.clock import LeapingClock

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
MQL, LEAD = "marketingqualifiedlead", "lead"
UPDATE, READ = "*/contacts/batch/update", "*/contacts/batch/read"
SETS_LEAD = '"lifecyclestage":"lead"'


class Account:
    """An account, an adapter connected to it, and what came of writes to it."""

    def __init__(self, sandbox, adapter):
        self.sandbox = sandbox
        self.adapter = adapter

    def mql(self, n=1):
        return self.sandbox.create("contact", {"email": f"m{n}@example.com", "lifecyclestage": MQL})

    async def lower(self, *ids, **values):
        values = {"lifecyclestage": LEAD, **values}
        return await self.adapter.push([lowering(n, id_, **values) for n, id_ in enumerate(ids)])

    def stage(self, id_):
        return self.sandbox.raw("contact", id_)["properties"].get("lifecyclestage", "")

    def score(self, id_):
        return self.sandbox.raw("contact", id_)["properties"].get("mql_score", "")

    def stages_written(self, id_):
        """What the stage was set to, by whomever, in order."""
        writes = [each for each in self.sandbox.log.writes("contact", id_) if "lifecyclestage" in each.fields]
        return [each.fields["lifecyclestage"][1] or "" for each in writes][1:]  # the first is the creation

    def calls(self, word="batch"):
        return [call.path.rpartition("/")[2] for call in self.sandbox.log.calls() if word in call.path]


def lowering(n, id_, **values):
    lowered = {"lifecyclestage": MQL} if "lifecyclestage" in values else {}
    return Write(n, Ref("hubspot", "contact", id_), values, lowered)


@asynccontextmanager
async def account(switches=None, **options):
    clock = SandboxClock(START)
    with serve([PLUGIN.build_sandbox(make_population(5, 5, START), clock, **options)]) as running:
        adapter = PLUGIN.connect(running.environment(), LeapingClock(clock), None)
        adapter.use(switches or {})
        try:
            yield Account(running["hubspot"], adapter)
        finally:
            await adapter.close()


@pytest.mark.parametrize("backward", ["ignore", "error", "apply"])
async def test_it_is_cleared_then_set_then_read_back_whatever_the_account_does_with_one_step(backward):
    async with account(lifecycle_backward=backward) as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_, mql_score=12)

        assert receipt.outcome is Outcome.WRITTEN
        assert made.stages_written(id_) == ["", LEAD]
        assert (made.stage(id_), made.score(id_)) == (LEAD, "12")
        assert made.calls() == ["read", "update", "update", "read"]


async def test_without_the_plan_s_word_a_lower_stage_is_sent_once_and_never_cleared():
    async with account() as made:
        id_ = made.mql()
        write = Write(1, Ref("hubspot", "contact", id_), {"lifecyclestage": LEAD})

        [receipt] = await made.adapter.push([write])

        assert (receipt.outcome, receipt.code, receipt.parked) == (
            Outcome.REJECTED,
            "LIFECYCLE_STAGE_KEPT",
            False,
        )
        assert made.stages_written(id_) == [MQL]  # the one call, which HubSpot ignored


async def test_an_account_that_was_probed_to_take_it_gets_one_call():
    async with account({"backward_lifecycle": "accepted"}, lifecycle_backward="apply") as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_)

        assert receipt.outcome is Outcome.WRITTEN
        assert made.stages_written(id_) == [LEAD]


@pytest.mark.parametrize("backward", ["ignore", "error"])
async def test_an_account_that_stopped_taking_it_since_the_probe_loses_nothing(backward):
    async with account({"backward_lifecycle": "accepted"}, lifecycle_backward=backward) as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_)

        assert receipt.outcome is Outcome.REJECTED
        assert made.stage(id_) == MQL


async def test_where_not_even_two_steps_work_the_stage_is_not_touched_and_the_rest_is_written():
    async with account({"backward_lifecycle": "impossible"}) as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_, mql_score=12)

        assert (receipt.outcome, receipt.parked) == (Outcome.REJECTED, True)
        assert made.stages_written(id_) == []
        assert made.score(id_) == "12"


async def test_a_stage_that_comes_back_by_itself_is_ignored_and_parked():
    """A workflow of the account restores it as soon as it is cleared."""
    async with account(stage_workflow="restore") as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_, mql_score=12)

        assert (receipt.outcome, receipt.parked) == (Outcome.REJECTED, True)
        assert "kept lifecyclestage `marketingqualifiedlead`" in receipt.reason
        assert "other fields were written" in receipt.reason
        assert (made.stage(id_), made.score(id_)) == (MQL, "12")


async def test_a_stage_that_somebody_else_sets_in_between_is_theirs():
    async with account(stage_workflow="customer") as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_)

        assert (receipt.outcome, receipt.code) == (Outcome.SET_ASIDE, "CHANGED_BY_OTHER")
        assert made.stage(id_) == "customer"


async def test_a_stage_that_moved_since_it_was_planned_is_not_cleared():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.edit("contact", id_, {"lifecyclestage": "opportunity"})

        [receipt] = await made.lower(id_, mql_score=12)

        assert receipt.outcome is Outcome.SET_ASIDE
        assert made.stage(id_) == "opportunity"
        assert made.score(id_) == ""


async def test_a_stage_found_empty_is_set_without_another_clearing():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.edit("contact", id_, {"lifecyclestage": ""})
        made.sandbox.log.clear()

        [receipt] = await made.lower(id_)

        assert receipt.outcome is Outcome.WRITTEN
        assert made.stage(id_) == LEAD
        assert made.calls() == ["read", "update", "read"]


async def test_a_stage_that_is_refused_after_it_was_cleared_is_put_back():
    async with account() as made:
        id_ = made.mql()
        rules = {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": "An admin's rule forbids leads.",
        }
        made.sandbox.faults.add(Fault(path=UPDATE, body=SETS_LEAD, status=400, json=rules))

        [receipt] = await made.lower(id_)

        assert (receipt.outcome, receipt.parked) == (Outcome.REJECTED, True)
        assert "An admin's rule forbids leads." in receipt.reason
        assert "put back" in receipt.reason
        assert made.stage(id_) == MQL


async def test_an_answer_that_did_nothing_leaves_no_empty_stage_behind():
    async with account() as made:
        id_ = made.mql()
        nothing = {"status": "COMPLETE", "results": [{"id": id_, "properties": {"lifecyclestage": "lead"}}]}
        made.sandbox.faults.add(Fault(path=UPDATE, body=SETS_LEAD, status=200, json=nothing))

        [receipt] = await made.lower(id_)

        assert receipt.outcome is Outcome.REJECTED
        assert made.stage(id_) == MQL


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": True},
        {"drop_after": True},
        {"status": 503, "times": None},
        {"status": 403, "json": {}},
        {"half": True},
    ],
    ids=["lost", "answer lost", "away", "forbidden", "cut off"],
)
async def test_whatever_happens_after_the_clearing_is_unknown_and_never_waiting(fault):
    async with account() as made:
        ids = [made.mql(1), made.mql(2)]
        made.sandbox.faults.add(Fault(**{"path": UPDATE, "body": SETS_LEAD, **fault}))

        receipts = await made.lower(*ids)

        assert {receipt.outcome for receipt in receipts} == {Outcome.UNKNOWN}
        assert all(receipt.reason for receipt in receipts)
        assert {made.stage(id_) for id_ in ids} <= {"", LEAD}


async def test_a_read_back_that_fails_is_unknown():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.faults.add(Fault(path=READ, status=403, json={}, skip=1))

        [receipt] = await made.lower(id_)

        assert receipt.outcome is Outcome.UNKNOWN
        assert made.stage(id_) == LEAD


async def test_before_anything_is_cleared_an_error_speaks_for_all():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.faults.add(Fault(path=READ, status=503, times=None))
        with pytest.raises(RetryLater):
            await made.lower(id_)
        made.sandbox.faults.clear()
        made.sandbox.faults.add(Fault(path=UPDATE, drop=True))

        with pytest.raises(OutcomeUnknown):
            await made.lower(id_)

        assert made.stage(id_) == MQL


async def test_records_that_go_forward_and_back_and_records_that_ended_share_a_batch():
    async with account() as made:
        back, gone, lost, forward = (made.mql(n) for n in range(4))
        survivor = made.sandbox.act("contact", gone, "merge", other=made.mql(9))["id"]
        made.sandbox.act("contact", lost, "gdpr_delete")
        writes = [lowering(n, id_, lifecyclestage=LEAD) for n, id_ in enumerate((back, gone, lost))]
        writes.append(lowering(3, forward, mql_score=88))

        receipts = await made.adapter.push(writes)

        outcomes = [receipt.outcome for receipt in receipts]
        assert outcomes == [Outcome.WRITTEN, Outcome.SET_ASIDE, Outcome.SET_ASIDE, Outcome.WRITTEN]
        assert receipts[1].moved_to == Ref("hubspot", "contact", survivor)
        assert (made.stage(back), made.stage(survivor), made.score(forward)) == (LEAD, MQL, "88")


async def test_one_bad_record_among_those_that_go_back_fails_alone_with_and_without_trace_ids():
    for trace_ids in (True, False):
        async with account(trace_ids=trace_ids) as made:
            good, bad = made.mql(1), made.mql(2)
            writes = [
                lowering(1, good, lifecyclestage=LEAD),
                lowering(2, bad, lifecyclestage=LEAD, email="no address"),
            ]

            one, other = await made.adapter.push(writes)

            assert (one.outcome, other.outcome) == (Outcome.WRITTEN, Outcome.REJECTED)
            assert (made.stage(good), made.stage(bad)) == (LEAD, MQL)


async def test_a_hundred_and_one_records_take_eight_calls():
    async with account() as made:
        ids = [made.mql(n) for n in range(101)]

        receipts = await made.lower(*ids)

        assert {receipt.outcome for receipt in receipts} == {Outcome.WRITTEN}
        assert len(made.calls()) == 8


async def test_a_switch_has_its_positions_and_no_others():
    async with account() as made:
        made.adapter.use({"some_other_switch": 1})

        with pytest.raises(FixConfig, match="backward_lifecycle"):
            made.adapter.use({"backward_lifecycle": "perhaps"})
