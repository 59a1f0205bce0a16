"""Who is due, what is known of them, and what one commit of decisions keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.core.model import FieldWrite, HeldBack, MqlStatus, PlannedWrite, RecordState, Ref
from connector.errors import LeaseBusy, StopRun
from connector.ports import Review
from tests.stories.ledger_words import (
    ADA,
    BOB,
    DAY,
    HOUR,
    LEAD,
    MINUTE,
    NOON,
    Desk,
    a_score,
    a_stage,
    a_write,
    click,
    contact,
    decided,
)

EVE = Ref("salesforce", "Contact", "0031")


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


# ------------------------------------------------------------------------------------------------------------- due


async def test_a_decision_clears_the_marks_it_was_asked_about(desk):
    await desk.keep(contact(ADA), contact(BOB))
    await desk.decide(decided(ADA))
    assert await desk.due() == [BOB]


async def test_due_people_come_in_order_page_by_page(desk):
    refs = [Ref("hubspot", "contact", str(n)) for n in range(100, 130)]
    await desk.keep(*(contact(ref) for ref in reversed(refs)))
    first = await desk.due(limit=4)
    second = await desk.due(limit=4, after=first[-1])
    assert first + second == refs[:8]
    assert await desk.due(limit=4, after=refs[-3]) == refs[-2:]


async def test_a_few_due_people_are_paged_like_many(desk):
    await desk.keep(contact(ADA), contact(BOB), contact(LEAD))
    assert await desk.due(limit=2) == [ADA, BOB]
    assert await desk.due(limit=2, after=BOB) == [LEAD]


async def test_somebody_to_look_at_again_is_due_at_that_moment_and_not_before(desk):
    await desk.keep(contact(ADA))
    await desk.decide(decided(ADA, stage=replace(a_stage(), look_again_at=NOON + DAY)))
    before = await desk.due()
    desk.at = NOON + DAY
    assert (before, await desk.due()) == ([], [ADA])


async def test_a_score_that_decays_is_looked_at_once_a_day_after_midnight(desk):
    await desk.keep(contact(ADA))
    await desk.decide(decided(ADA, decays=True))
    desk.at = NOON + 11 * HOUR
    same_day = await desk.due()
    desk.at = NOON + 12 * HOUR
    next_day = await desk.due()
    await desk.decide(decided(ADA, person=await desk.person_of(ADA), decays=True))
    assert (same_day, next_day, await desk.due()) == ([], [ADA], [])


async def test_a_record_held_for_later_comes_back_then(desk):
    await desk.keep(contact(ADA))
    await desk.decide(decided(ADA, later={ADA: NOON + HOUR}))
    desk.at = NOON + HOUR
    assert await desk.due() == [ADA]


async def test_a_crm_that_was_not_asked_takes_its_records_up_when_it_is(desk):
    await desk.keep(contact(ADA), contact(LEAD))
    await desk.decide(decided(ADA, LEAD, pending=frozenset({"salesforce"})))
    assert await desk.due("hubspot") == []
    assert await desk.due("salesforce") == [LEAD]


async def test_news_that_comes_while_people_are_decided_is_not_cleared_by_the_decision(desk):
    await desk.keep(contact(ADA))
    await desk.ledger.neighbourhood([ADA])
    await desk.keep(contact(ADA, at=NOON + MINUTE, fields={"title": "CTO"}))
    await desk.decide(decided(ADA))
    assert await desk.due() == [ADA]


async def test_news_of_somebody_who_was_not_due_survives_the_decision_too(desk):
    await desk.keep(contact(ADA))
    await desk.decide(decided(ADA))
    await desk.ledger.neighbourhood([ADA])
    await desk.keep(contact(ADA, at=NOON + MINUTE, fields={"title": "CTO"}))
    await desk.decide(decided(ADA, person=await desk.person_of(ADA)))
    assert await desk.due() == [ADA]


async def test_dead_records_are_due_too_so_that_links_dissolve(desk):
    await desk.keep(contact(ADA, state=RecordState.GONE))
    assert await desk.due() == [ADA]


async def test_a_changed_definition_makes_everybody_due_once(desk):
    await desk.keep(contact(ADA), contact(BOB))
    first = await desk.ledger.adopt_files({"criteria.yaml": "version: 1"}, NOON)
    await desk.decide(decided(ADA), decided(BOB))
    same = await desk.ledger.adopt_files({"criteria.yaml": "version: 1"}, NOON)
    quiet = await desk.due()
    other = await desk.ledger.adopt_files({"criteria.yaml": "version: 2"}, NOON)
    assert (first, same, other) == (1, 1, 2)
    assert (quiet, await desk.due()) == ([], [ADA, BOB])
    assert await desk.ledger.files() == {"criteria.yaml": "version: 2"}
    assert await desk.ledger.files(1) == {"criteria.yaml": "version: 1"}


# --------------------------------------------------------------------------------------------------- neighbourhood


async def hood(desk, *refs):
    found = await desk.ledger.neighbourhood(refs)
    return {record.ref for record in found.records}


async def test_the_neighbourhood_follows_addresses_ids_and_conversions_both_ways(desk):
    await desk.keep(
        contact(ADA, emails=("ada@example.com", "a@example.org")),
        contact(BOB, emails=("a@example.org",)),
        contact(LEAD, same_as=(BOB,), state=RecordState.CONVERTED, moved_to=EVE),
        contact(EVE),
        contact(Ref("hubspot", "contact", "stranger"), emails=("x@example.net",)),
    )
    for start in (ADA, BOB, LEAD, EVE):
        assert await hood(desk, start) == {ADA, BOB, LEAD, EVE}


async def test_the_neighbourhood_keeps_those_together_who_were_one_person(desk):
    await desk.keep(contact(ADA), contact(LEAD))
    await desk.decide(decided(ADA, LEAD))
    found = await desk.ledger.neighbourhood([LEAD])
    person = await desk.person_of(ADA)
    assert {record.ref for record in found.records} == {ADA, LEAD}
    assert found.person_of == {ADA: person, LEAD: person}


async def test_an_address_that_a_crowd_shares_does_not_extend_the_neighbourhood(desk):
    crowd = [Ref("hubspot", "contact", f"c{n}") for n in range(51)]
    await desk.keep(*(contact(ref, emails=("info@example.com",)) for ref in crowd))
    assert await hood(desk, crowd[0]) == {crowd[0]}


async def test_an_address_that_is_taken_away_no_longer_links(desk):
    await desk.keep(contact(ADA, emails=("a@example.com",)), contact(BOB, emails=("a@example.com",)))
    await desk.keep(contact(BOB, at=NOON + HOUR))
    assert await hood(desk, ADA) == {ADA}


async def test_a_first_load_is_told_until_the_first_decision(desk):
    await desk.keep(contact(ADA), contact(BOB), first_load=True)
    await desk.keep(contact(BOB, at=NOON + HOUR, fields={"title": "CTO"}))
    before = await desk.ledger.neighbourhood([ADA, BOB])
    await desk.decide(decided(ADA), decided(BOB))
    after = await desk.ledger.neighbourhood([ADA, BOB])
    assert (before.first_load, after.first_load) == ({ADA}, frozenset())


async def test_unknown_records_are_simply_not_there(desk):
    found = await desk.ledger.neighbourhood([ADA])
    assert found.records == ()


# ----------------------------------------------------------------------------------------------------------- facts


async def test_facts_bring_engagement_by_record_and_by_address_oldest_first_and_once(desk):
    await desk.keep(contact(ADA, emails=("ada@example.com",)), contact(LEAD, emails=("ada@example.com",)))
    late, early = click("late", about=LEAD), click("early", email="ada@example.com", at=NOON - DAY)
    await desk.keep(stream="events", engagement=(late, early))
    (facts,) = await desk.ledger.facts([[ADA, LEAD]])
    assert [known.engagement for known in facts.engagement] == [early, late]


async def test_facts_remember_the_person_their_state_and_score(desk):
    await desk.keep(contact(ADA))
    stage = a_stage("mql", mql_since=NOON, first_mql_at=NOON)
    await desk.decide(decided(ADA, stage=stage, score=a_score(61.5)))
    (facts,) = await desk.ledger.facts([[ADA]])
    assert (facts.person, facts.state, facts.score) == (await desk.person_of(ADA), stage.state, a_score(61.5))


async def test_two_people_who_become_one_go_on_as_the_one_who_is_mql(desk):
    await desk.keep(contact(ADA), contact(BOB))
    was_mql = a_stage("lead", first_mql_at=NOON - DAY)
    is_mql = a_stage("mql", mql_since=NOON, first_mql_at=NOON)
    await desk.decide(decided(ADA, stage=was_mql), decided(BOB, stage=is_mql))
    ada, bob = await desk.person_of(ADA), await desk.person_of(BOB)
    (facts,) = await desk.ledger.facts([[ADA, BOB]])
    await desk.decide(decided(ADA, BOB, person=facts.person))
    assert (facts.person, facts.state.stage, facts.state.first_mql_at) == (bob, "mql", NOON - DAY)
    assert await desk.person_of(ADA) == bob
    assert (await desk.ledger.person(ada)).refs == ()
    assert [view.id for view in await desk.ledger.people()] == [bob]


async def test_a_person_who_is_split_goes_on_with_most_of_the_records(desk):
    await desk.keep(contact(ADA), contact(BOB), contact(LEAD))
    await desk.decide(decided(ADA, BOB, LEAD))
    person = await desk.person_of(ADA)
    small, large = await desk.ledger.facts([[ADA], [BOB, LEAD]])
    await desk.decide(decided(ADA, person=small.person), decided(BOB, LEAD, person=large.person))
    assert (small.person, large.person) == (None, person)
    assert await desk.person_of(ADA) != person
    assert await desk.person_of(LEAD) == person


async def test_an_id_asked_for_twice_in_a_commit_goes_to_one(desk):
    await desk.keep(contact(ADA), contact(BOB))
    await desk.decide(decided(ADA, BOB))
    person = await desk.person_of(ADA)
    await desk.decide(decided(ADA, person=person), decided(BOB, person=person))
    assert (await desk.person_of(ADA), await desk.person_of(BOB) == person) == (person, False)


# ------------------------------------------------------------------------------------------------------- decisions


async def test_a_decision_keeps_fields_score_stage_and_the_definition_it_was_made_by(desk):
    await desk.ledger.adopt_files({"criteria.yaml": "version: 7"}, NOON)
    await desk.keep(contact(ADA))
    stage = a_stage("mql", status=MqlStatus.QUALIFIED)
    await desk.decide(decided(ADA, stage=stage, fields={"title": "CTO", "created_at": NOON}))
    view = await desk.ledger.person(await desk.person_of(ADA))
    assert (view.refs, view.fields) == ((ADA,), {"title": "CTO", "created_at": NOON})
    assert (view.score, view.state, view.decided_at, view.criteria_version) == (
        a_score(),
        stage.state,
        NOON,
        1,
    )


async def test_a_decision_about_somebody_unknown_keeps_nothing(desk):
    await desk.keep(contact(ADA))
    with pytest.raises(StopRun, match="does not know"):
        await desk.decide(decided(ADA, person=4711))
    assert await desk.due() == [ADA]


async def test_a_commit_under_a_lost_lease_keeps_nothing_and_everybody_stays_due(desk):
    await desk.keep(contact(ADA))
    lease = await desk.ledger.acquire("decide", "one", NOON)
    await desk.ledger.acquire("decide", "two", NOON + HOUR)
    with pytest.raises(LeaseBusy, match="lease lost"):
        await desk.ledger.keep_decisions(1, [decided(ADA)], {}, [], [ADA], lease, NOON)
    assert (await desk.due(), await desk.ledger.people()) == ([ADA], [])


async def test_planned_and_held_back_writes_are_kept_and_unchanged_ones_are_not(desk):
    held = PlannedWrite(LEAD, (), (HeldBack("Stage", "SQL", "MQL", "only_raise"),), "why")
    await desk.keep(contact(ADA), contact(LEAD), contact(BOB))
    plan = await desk.ledger.open_plan(1, "hubspot", await desk.lease(), NOON)
    other = await desk.ledger.open_plan(1, "salesforce", await desk.lease(), NOON)
    writes = [a_write(ADA, mql_score=61), held, PlannedWrite(BOB, ())]
    await desk.decide(decided(ADA, LEAD, BOB, plan=writes), plans={"hubspot": plan, "salesforce": other})
    (row,) = await desk.ledger.plan_rows(plan)
    (held_row,) = await desk.ledger.plan_rows(other)
    assert (row.ref, row.status, row.because) == (ADA, "planned", "score 61 >= 60")
    assert row.writes == (FieldWrite("mql_score", None, 61, "always", "score"),)
    assert (row.person, row.read_at) == (await desk.person_of(ADA), NOON)
    assert (held_row.status, held_row.held_back) == ("held_back", held.held_back)


async def test_a_later_decision_in_the_same_run_replaces_the_planned_write(desk):
    await desk.keep(contact(ADA))
    plan = await desk.ledger.open_plan(1, "hubspot", await desk.lease(), NOON)
    await desk.decide(decided(ADA, plan=[a_write(ADA, mql_score=61)]), plans={"hubspot": plan})
    person = await desk.person_of(ADA)
    await desk.decide(decided(ADA, person=person, plan=[a_write(ADA, mql_score=64)]), plans={"hubspot": plan})
    (row,) = await desk.ledger.plan_rows(plan)
    assert row.writes[0].after == 64


async def test_a_pair_for_review_waits_for_a_human_whose_answer_stands(desk):
    await desk.keep(contact(ADA), contact(BOB))
    await desk.decide(decided(ADA), decided(BOB), reviews=[Review(BOB, ADA, "same address")])
    open_before = await desk.ledger.reviews()
    await desk.ledger.answer_review(ADA, BOB, "join", NOON, author="Grace")
    await desk.decide(reviews=[Review(ADA, BOB, "same address")], clear=[])
    found = await desk.ledger.neighbourhood([ADA])
    assert [(each.a, each.b, each.why, each.number) for each in open_before] == [
        (ADA, BOB, "same address", 1)
    ]
    assert await desk.ledger.reviews() == []
    assert (found.decided, len(found.records)) == ({(ADA, BOB): "join"}, 2)
    assert await desk.due() == [ADA, BOB]


# ----------------------------------------------------------------------------------------------------------- plans


async def test_a_new_plan_supersedes_the_older_and_its_unsent_people_are_due_again(desk):
    await desk.keep(contact(ADA), contact(BOB))
    (old, _) = await desk.plan(a_write(ADA, mql_score=1), a_write(BOB, mql_score=2))
    await desk.send([old])
    quiet = await desk.due()
    await desk.ledger.open_plan(2, "hubspot", await desk.lease(), NOON)
    statuses = [plan.status for plan in await desk.ledger.plans()]
    assert (quiet, await desk.due(), statuses) == ([], [BOB], ["open", "superseded"])


async def test_a_plan_of_one_crm_leaves_the_other_crms_plan_open(desk):
    await desk.ledger.open_plan(1, "hubspot", await desk.lease(), NOON)
    await desk.ledger.open_plan(1, "salesforce", await desk.lease(), NOON)
    assert [plan.status for plan in await desk.ledger.plans()] == ["open", "open"]


async def test_an_older_plan_than_a_day_has_expired(desk):
    await desk.keep(contact(ADA))
    rows = await desk.plan(a_write(ADA, mql_score=1))
    desk.at = NOON + DAY
    with pytest.raises(StopRun, match="expired"):
        await desk.send(rows)
    told = [plan.status for plan in await desk.ledger.plans(at=desk.at)]
    await desk.ledger.open_plan(2, "hubspot", await desk.lease(), desk.at)
    kept = [plan.status for plan in await desk.ledger.plans()]
    assert (told, kept, await desk.due()) == (["expired"], ["open", "expired"], [ADA])


async def test_thousands_of_records_fit_into_one_page_and_one_question(desk):
    refs = [Ref("hubspot", "contact", f"{n:05}") for n in range(2000)]
    kept = await desk.keep(*(contact(ref, emails=(f"p{ref.id}@example.com",)) for ref in refs))
    found = await desk.ledger.neighbourhood(refs)
    facts = await desk.ledger.facts([[ref] for ref in refs])
    assert (kept.stored, len(facts)) == (2000, 2000)
    assert [record.ref for record in found.records] == refs


async def test_an_approval_is_of_a_plan_as_it_stands(desk):
    await desk.keep(contact(ADA), contact(BOB))
    (row,) = await desk.plan(a_write(ADA, mql_score=1))
    await desk.ledger.approve_plan(row.plan, "Grace", "checked", NOON)
    approved = await desk.ledger.plan(row.plan)
    await desk.decide(decided(BOB, plan=[a_write(BOB, mql_score=2)]), plans={"hubspot": row.plan})
    grown = await desk.ledger.plan(row.plan)
    assert (approved.approved_by, grown.approved_by, grown.approval_note) == ("Grace", None, "")


async def test_a_plan_that_is_being_sent_is_not_retired_by_another_run(desk):
    await desk.keep(contact(ADA))
    (row,) = await desk.plan(a_write(ADA, mql_score=1))
    pushing = await desk.ledger.acquire("push:hubspot", "another", desk.at)
    await desk.ledger.retire_plans(["hubspot"], await desk.lease("decide"), desk.at)
    leaving = (await desk.ledger.plan(row.plan)).status
    await desk.ledger.release(pushing)
    await desk.ledger.retire_plans(["hubspot"], await desk.lease("decide"), desk.at)
    assert (leaving, (await desk.ledger.plan(row.plan)).status, await desk.due()) == (
        "open",
        "superseded",
        [ADA],
    )


async def test_a_plan_that_waits_for_a_human_is_retired_when_it_is_a_day_old_or_on_demand(desk):
    await desk.keep(contact(ADA))
    (row,) = await desk.plan(a_write(ADA, mql_score=1))
    await desk.ledger.hold_plan(row.plan, "too many", await desk.lease("push"), desk.at)
    retire = desk.ledger.retire_plans
    await retire(["hubspot"], await desk.lease("decide"), desk.at)
    kept = (await desk.ledger.plan(row.plan)).status
    desk.at = NOON + DAY
    await retire(["hubspot"], await desk.lease("decide"), desk.at)
    (again,) = await desk.plan(a_write(ADA, mql_score=1))
    await desk.ledger.hold_plan(again.plan, "too many", await desk.lease("push"), desk.at)
    await retire(["hubspot"], await desk.lease("decide"), desk.at, anew=True)
    ended = [(await desk.ledger.plan(plan)).status for plan in (row.plan, again.plan)]
    assert (kept, ended, await desk.due()) == ("open", ["expired", "superseded"], [ADA])
