"""Who may let a plan leave: with `approval: second_person`, somebody who neither asked for its run nor applies it."""

from __future__ import annotations

import pytest

from connector.app.applying import approve
from connector.core.approval import Proof
from connector.core.limits import PlanLimits
from connector.core.mapping import SECOND_PERSON
from connector.errors import FixConfig
from tests.stories.world import World, somebody, world

PEOPLE = 40


async def waiting(made: World, crm: str, *, yes: bool = False, asked_by: str = "Ada") -> int:
    """A plan beyond its limits, of a CRM where a second person must approve."""
    made.remap(crm, limits=PlanLimits(people=0), approval=SECOND_PERSON)
    result = await made.sync(crm, yes=yes, asked_by=asked_by)
    assert result.crms[crm].waiting == result.crms[crm].planned > 0
    return result.plans[crm]


async def acts(made: World, plan: int) -> list[tuple[str, str]]:
    return [(each.act, each.by) for each in await made.ledger.acts(f"plan:{plan}")]


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_yes_replaces_no_second_person_and_the_plan_says_so(database_url: str, crm: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan = await waiting(made, crm, yes=True)
        info = await made.ledger.plan(plan)
        [run, *_] = await made.ledger.runs(1)

        assert info is not None
        assert info.held.endswith("a second person has to approve it")
        assert run.document["waits_because"] == {crm: info.held}
        assert made.asked == []  # whoever runs it is not asked: the answer could not count
        with pytest.raises(FixConfig, match="needs the approval of a second person"):
            await made.plan_apply(plan, by="Grace")
        assert not made.writes(crm)


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_a_plan_leaves_once_a_second_person_approved_and_all_names_stay(
    database_url: str, crm: str
) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan = await waiting(made, crm)

        info = await made.plan_approve(plan, by="Grace", note="checked")
        told = await made.plan_apply(plan, by="Ada")

        assert (info.approved_by, info.approval_note, info.asked_by) == ("Grace", "checked", "Ada")
        assert told["written"] > 0
        assert (await acts(made, plan))[:2] == [("approve plan", "Grace"), ("apply plan", "Ada")]


async def test_nobody_approves_their_own_by_whatever_spelling(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        plan = await waiting(made, "hubspot")
        with pytest.raises(FixConfig, match="nobody approves their own"):
            await made.plan_approve(plan, by=" aDA ")

        await made.plan_approve(plan, by="Grace")
        with pytest.raises(FixConfig, match="who also applies it"):
            await made.plan_apply(plan, by="GRACE ")

        await made.ledger.approve_plan(plan, "ada ", "", made.clock.now())  # whatever way it came there
        with pytest.raises(FixConfig, match="who also asked for its run"):
            await made.plan_apply(plan, by="Sam")
        assert not made.writes("hubspot")


async def test_where_anyone_may_whoever_applies_has_decided(database_url: str) -> None:
    async with world(database_url, people=PEOPLE) as made:
        made.remap("hubspot", limits=PlanLimits(people=0))
        plan = (await made.sync("hubspot", yes=False, asked_by="Ada")).plans["hubspot"]

        told = await made.plan_apply(plan, by="Ada")

        assert told["written"] > 0


async def test_a_run_inside_the_limits_needs_nobody(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        await made.sync()  # the first plan waits for a human in any case
        made.remap("hubspot", limits=PlanLimits(share=None, demoted=None), approval=SECOND_PERSON)
        who = await somebody(made)
        made.hubspot.act("contact", who.contact, "set", fields={"mql_score": "1"}, by="user 42")
        made.later(minutes=20)
        result = await made.sync("hubspot", yes=False)

        assert result.crms["hubspot"].written == 1


async def test_an_approval_goes_on_to_a_plan_of_the_same_and_to_no_other(sqlite_url: str) -> None:
    async with world(sqlite_url, people=PEOPLE) as made:
        plan = await waiting(made, "hubspot")
        await made.plan_approve(plan, by="Grace", note="checked")

        same = (await made.sync("hubspot", yes=True, asked_by="Ada")).plans["hubspot"]
        carried = await made.ledger.plan(same)
        row = (await made.ledger.plan_rows(same, status="waiting"))[0]
        score = next(write for write in row.writes if write.result == "score")
        made.hubspot.edit(row.ref.object, row.ref.id, {score.field: 5})
        made.later(hours=1)
        other = (await made.sync("hubspot", yes=False, asked_by="Ada")).plans["hubspot"]
        fresh = await made.ledger.plan(other)

        assert same != plan
        assert carried is not None
        assert (carried.approved_by, carried.approval_note) == (
            "Grace", f"carried over from plan {plan}, which held the same: checked",
        )  # fmt: skip
        assert other != same
        assert fresh is not None
        assert fresh.approved_by is None
        old = await made.ledger.plan(plan)
        assert old is not None
        assert (old.status, old.superseded_by) == ("superseded", same)


async def test_a_discard_keeps_the_name_of_who_did_it(sqlite_url: str) -> None:
    from connector.app.applying import discard

    async with world(sqlite_url, people=PEOPLE) as made:
        plan = await waiting(made, "hubspot")
        await discard(made.ledger, plan, by="Grace", holder="story", at=made.clock.now())
        with pytest.raises(FixConfig, match="is discarded, not open"):
            await made.plan_approve(plan, by="Sam")
        assert ("discard plan", "Grace") in await acts(made, plan)


async def test_neither_a_token_of_the_environment_nor_a_program_is_the_second_person(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        plan = await waiting(made, "hubspot")
        for by, proof in (("bootstrap", Proof.BOOTSTRAP), ("nightly", Proof.SERVICE), ("ada", Proof.PROVEN)):
            with pytest.raises(FixConfig, match="not approved"):
                await approve(
                    made.ledger, plan, by=by, note="", holder="here", at=made.clock.now(), proof=proof
                )
        await made.ledger.approve_plan(plan, "x", "", made.clock.now(), proof=Proof.BOOTSTRAP)
        with pytest.raises(FixConfig, match="a second person has to approve"):
            await made.plan_apply(plan, by="Ada")

        told = await approve(
            made.ledger, plan, by="Grace", note="", holder="here", at=made.clock.now(),
            approval=SECOND_PERSON, proof=Proof.PROVEN,
        )  # fmt: skip

        assert told.approval_proof is Proof.PROVEN
        assert (await made.ledger.acts(f"plan:{plan}"))[-1].detail["proof"] == "proven"
        assert (await made.plan_apply(plan, by="Ada"))["written"] > 0
