"""Questions to the ledger: finding people, ranking them, telling what happened to one."""

from __future__ import annotations

import pytest

from connector.core.model import Outcome, Ref
from connector.ports import Review
from tests.stories.ledger_words import (
    ADA,
    BOB,
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


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


async def test_a_person_is_found_by_address_record_and_number(desk):
    await desk.keep(contact(ADA, emails=("ada@bücher.example", "ada@xn--bcher-kva.example")), contact(LEAD))
    await desk.decide(decided(ADA, LEAD))
    person = await desk.person_of(ADA)
    for who in (
        "Ada@Bücher.example",
        " ada@xn--bcher-kva.example",
        "hubspot:contact:1",
        "00Q1",
        f"person:{person}",
    ):
        assert await desk.ledger.find(who) == [person]


@pytest.mark.parametrize(
    "who", ["nobody@example.com", "person:999", "person:x", "hubspot:contact:0", "zzz", "", "@"]
)
async def test_whoever_is_not_known_is_not_found(ledger, who):
    assert await ledger.find(who) == []


async def test_a_record_id_that_two_crms_use_finds_both_people(desk):
    twin = Ref("salesforce", "Lead", "1")
    await desk.keep(contact(ADA), contact(twin))
    await desk.decide(decided(ADA), decided(twin))
    assert len(await desk.ledger.find("1")) == 2


async def test_a_person_that_was_never_decided_is_not_shown(ledger):
    assert await ledger.person(1) is None


async def test_people_are_ranked_by_score_within_a_stage(desk):
    refs = [Ref("hubspot", "contact", str(n)) for n in range(4)]
    await desk.keep(*(contact(ref) for ref in refs))
    stages = ["mql", "lead", "mql", "mql"]
    await desk.decide(
        *(
            decided(r, score=a_score(10.0 * n), stage=a_stage(s))
            for n, (r, s) in enumerate(zip(refs, stages, strict=True))
        )
    )
    best = await desk.ledger.people(stage="mql", limit=2)
    assert [view.refs for view in best] == [(refs[3],), (refs[2],)]
    assert await desk.ledger.stage_counts() == {"mql": 3, "lead": 1}


async def test_a_story_tells_what_happened_oldest_first(desk):
    await desk.keep(contact(ADA, emails=("ada@example.com",)), contact(BOB))
    seen = click(email="ada@example.com", at=NOON - HOUR, name="Autumn letter")
    unseen = click("e2", about=ADA, counted=False)
    await desk.keep(stream="events", engagement=(seen, unseen))
    stage = a_stage("mql", change=True)
    plan = await desk.ledger.open_plan(1, "hubspot", await desk.lease(), NOON)
    desk.at = NOON + MINUTE
    await desk.decide(
        decided(ADA, stage=stage, plan=[a_write(ADA, mql_score=61)]),
        decided(BOB),
        plans={"hubspot": plan},
        reviews=[Review(ADA, BOB, "same name")],
    )
    rows = await desk.ledger.plan_rows(plan)
    await desk.send(rows)
    desk.at = NOON + HOUR
    await desk.receive(rows, Outcome.REJECTED, reason="not a number")
    await desk.ledger.answer_review(ADA, BOB, "split", NOON + 2 * HOUR, author="Grace")
    lines = await desk.ledger.story(await desk.person_of(ADA))
    assert [(line.at, line.kind) for line in lines] == [
        (NOON - HOUR, "engagement"),
        (NOON, "stage"),
        (NOON + MINUTE, "review"),
        (NOON + HOUR, "write"),
        (NOON + 2 * HOUR, "review"),
    ]
    assert lines[0].text == "email click: Autumn letter, seen in hubspot"
    assert lines[1].text == "lead to mql: score 61 >= 60"
    assert lines[3].text == "rejected at hubspot:contact:1: mql_score = 61 (not a number)"
    assert lines[4].text.endswith("split by Grace")


async def test_the_story_of_nobody_is_empty(ledger):
    assert await ledger.story(4711) == []
