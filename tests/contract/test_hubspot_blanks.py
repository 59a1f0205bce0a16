"""Values that were blank become blank again, over real HTTP: properties of every kind, and the lifecycle stage."""

from __future__ import annotations

import pytest

from connector.core.model import Outcome, Ref, Write
from connector.sandbox.faults import Fault
from tests.contract.hubspot_account import engaged
from tests.contract.test_hubspot_backward import LEAD, MQL, READ, UPDATE, account, lowering

CLEARS = '"lifecyclestage":""'
KINDS = {
    "number": ("mql_score", 12, "12"),
    "text": ("mql_reason", "why", "why"),
    "enum": ("mql_grade", "A1", "A1"),
    "multiple choice": ("asked_for", "a;b", "a;b"),
    "datetime": ("mql_since", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
    "date": ("renewal", "2026-11-22", "2026-11-22"),
    "bool": ("is_vip", True, "true"),
}
OWN = (
    {
        "name": "is_vip",
        "type": "bool",
        "fieldType": "booleancheckbox",
        "options": [{"value": value, "label": value} for value in ("true", "false")],
    },
    {"name": "renewal", "type": "date", "fieldType": "date"},
    {
        "name": "asked_for",
        "type": "enumeration",
        "fieldType": "checkbox",
        "options": [{"value": value, "label": value} for value in "ab"],
    },
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ["2026-03", "v3"])
async def test_a_property_of_any_kind_is_set_and_made_blank_again_and_read_back_as_none(kind, version):
    name, value, stored = KINDS[kind]
    async with engaged({"HUBSPOT_API_VERSION": version}, people=20) as made:
        api = made.adapter._api
        inputs = [{"groupName": "contactinformation", "label": each["name"], **each} for each in OWN]
        await api.post(f"{api.paths.properties('contacts')}/batch/create", {"inputs": inputs})
        [(id_, _)] = made.people()
        ref, fields = Ref("hubspot", "contact", id_), {"contact": frozenset({name})}

        for given, expected in ((value, stored), (None, None)):
            [receipt] = await made.adapter.push([Write(1, ref, {name: given})])

            assert receipt.outcome is Outcome.WRITTEN
            assert (await made.adapter.read([ref], fields))[ref].values[name] == expected
        [change] = (await made.adapter.last_changes([ref], fields)).values()
        assert change.value is None


@pytest.mark.parametrize("kind", ["number", "text", "enum", "datetime"])
async def test_what_was_read_before_a_write_can_be_written_back_as_it_was_read(kind):
    name, value, _ = KINDS[kind]
    other = {
        "mql_score": 99,
        "mql_reason": "other",
        "mql_grade": "D4",
        "mql_since": "2026-01-01T00:00:00.123Z",
    }[name]
    async with engaged(people=20) as made:
        [(id_, _)] = made.people()
        ref, fields = Ref("hubspot", "contact", id_), {"contact": frozenset({name})}
        await made.adapter.push([Write(1, ref, {name: value})])
        before = (await made.adapter.read([ref], fields))[ref].values[name]
        await made.adapter.push([Write(2, ref, {name: other})])

        [receipt] = await made.adapter.push([Write(3, ref, {name: before})])

        assert receipt.outcome is Outcome.WRITTEN
        assert (await made.adapter.read([ref], fields))[ref].values[name] == before


@pytest.mark.parametrize("backward", ["ignore", "error", "apply"])
@pytest.mark.parametrize("switch", ["clear_first", "accepted"])
async def test_a_stage_that_was_blank_is_cleared_and_read_back_and_stays_so(backward, switch):
    async with account({"backward_lifecycle": switch}, lifecycle_backward=backward) as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_, lifecyclestage=None, mql_score=12)

        assert receipt.outcome is Outcome.WRITTEN
        assert made.stages_written(id_) == [""]
        assert (made.stage(id_), made.score(id_)) == ("", "12")
        assert made.calls() == ["read", "update", "read"]


async def test_a_stage_that_is_blank_already_is_written_and_the_other_fields_go_along():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.edit("contact", id_, {"lifecyclestage": ""})

        [receipt] = await made.lower(id_, lifecyclestage=None, mql_score=12)

        assert receipt.outcome is Outcome.WRITTEN
        assert (made.stage(id_), made.score(id_)) == ("", "12")


async def test_a_stage_that_somebody_moved_since_is_not_cleared():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.edit("contact", id_, {"lifecyclestage": "customer"})

        [receipt] = await made.lower(id_, lifecyclestage=None, mql_score=12)

        assert (receipt.outcome, receipt.code) == (Outcome.SET_ASIDE, "CHANGED_BY_OTHER")
        assert (made.stage(id_), made.score(id_)) == ("customer", "")


@pytest.mark.parametrize(
    ("workflow", "outcome", "stands"),
    [("restore", Outcome.REJECTED, MQL), ("customer", Outcome.SET_ASIDE, "customer")],
)
async def test_a_stage_that_does_not_stay_blank_is_told_with_what_stands_there(workflow, outcome, stands):
    async with account(stage_workflow=workflow) as made:
        id_ = made.mql()

        [receipt] = await made.lower(id_, lifecyclestage=None, mql_score=12)

        assert receipt.outcome is outcome
        assert f"`{stands}`" in receipt.reason
        assert made.stage(id_) == stands


async def test_a_workflow_that_sets_it_again_before_the_read_back_is_seen():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.create(
            "workflows",
            {"name": "Keep", "when": "lifecyclestage", "equals": "", "sets": "lifecyclestage", "to": MQL},
        )

        [receipt] = await made.lower(id_, lifecyclestage=None)

        assert (receipt.outcome, receipt.parked) == (Outcome.REJECTED, True)
        assert "kept lifecyclestage `marketingqualifiedlead` instead of none" in receipt.reason


async def test_a_read_back_that_fails_is_unknown_and_says_what_was_done():
    async with account() as made:
        id_ = made.mql()
        made.sandbox.faults.add(Fault(path=READ, status=403, json={}, skip=1))

        [receipt] = await made.lower(id_, lifecyclestage=None)

        assert (receipt.outcome, receipt.code) == (Outcome.UNKNOWN, "NOT_READ_BACK")
        assert "cleared" in receipt.reason


@pytest.mark.parametrize("trace_ids", [True, False])
@pytest.mark.parametrize("stage", [None, LEAD])
async def test_a_rule_that_forbids_a_blank_stage_leaves_the_whole_record_as_it_was(trace_ids, stage):
    """Cleared on the way to an earlier stage, or for good: refused is refused, and nothing is half done."""
    async with account(required="lifecyclestage", trace_ids=trace_ids) as made:
        one, other = made.mql(1), made.mql(2)
        writes = [
            lowering(1, one, lifecyclestage=stage, mql_score=12),
            lowering(2, other, mql_score=88),
        ]

        refused, written = await made.adapter.push(writes)

        assert (refused.outcome, written.outcome) == (Outcome.REJECTED, Outcome.WRITTEN)
        assert "lifecyclestage must have a value" in refused.reason
        assert (made.stage(one), made.score(one)) == (MQL, "")
        assert made.score(other) == "88"


async def test_a_rule_that_forbids_a_blank_score_rejects_that_record_alone():
    async with account(required="mql_score") as made:
        one, other = made.mql(1), made.mql(2)
        await made.adapter.push([lowering(n, id_, mql_score=12) for n, id_ in enumerate((one, other))])

        refused, written = await made.adapter.push(
            [lowering(1, one, mql_score=None, mql_reason="why"), lowering(2, other, mql_reason="why")]
        )

        assert (refused.outcome, written.outcome) == (Outcome.REJECTED, Outcome.WRITTEN)
        assert made.score(one) == "12"


async def test_blanks_stages_that_go_back_and_stages_that_go_on_share_a_batch_with_other_fields():
    async with account() as made:
        blank, back, forward, plain = (made.mql(n) for n in range(4))
        writes = [
            lowering(1, blank, lifecyclestage=None, mql_score=1),
            lowering(2, back, lifecyclestage=LEAD, mql_score=2),
            Write(3, Ref("hubspot", "contact", forward), {"lifecyclestage": "customer", "mql_score": 3}),
            lowering(4, plain, mql_score=4),
        ]

        receipts = await made.adapter.push(writes)

        assert {receipt.outcome for receipt in receipts} == {Outcome.WRITTEN}
        ids = (blank, back, forward, plain)
        assert [made.stage(id_) for id_ in ids] == ["", LEAD, "customer", MQL]
        assert [made.score(id_) for id_ in ids] == ["1", "2", "3", "4"]


async def test_a_stage_that_was_put_back_says_that_the_other_fields_stand():
    async with account() as made:
        id_ = made.mql()
        body = {"status": "error", "category": "VALIDATION_ERROR", "message": "No leads here."}
        made.sandbox.faults.add(Fault(path=UPDATE, body='"lifecyclestage":"lead"', status=400, json=body))

        [receipt] = await made.lower(id_, mql_score=12)

        assert "put back. The other fields were written." in receipt.reason
        assert (made.stage(id_), made.score(id_)) == (MQL, "12")


async def test_an_answer_that_is_lost_while_clearing_is_unknown_and_reads_back_as_blank():
    async with account() as made:
        ids = [made.mql(1), made.mql(2)]
        made.sandbox.edit(
            "contact", ids[0], {"lifecyclestage": ""}
        )  # answered first, so that no error speaks for all
        made.sandbox.faults.add(Fault(path=UPDATE, body=CLEARS, drop_after=True))

        one, other = await made.lower(*ids, lifecyclestage=None)

        assert (one.outcome, other.outcome) == (Outcome.WRITTEN, Outcome.UNKNOWN)
        ref = Ref("hubspot", "contact", ids[1])
        assert (await made.adapter.read([ref], {}))[ref].values["lifecyclestage"] is None
