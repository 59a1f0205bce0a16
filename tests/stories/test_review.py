"""Review of identity: what a human says of two records lasts, moves history with it, and can be taken back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sqlalchemy import select

from connector.app.commands.init import shipped
from connector.app.explaining import gather, kept_definitions
from connector.app.settings import load_settings
from connector.core.model import Ref
from connector.errors import StopRun
from connector.ledger import open_ledger
from connector.ledger.tables import DUE, STAGE_HISTORY
from connector.ports import PersonView, Review
from tests.stories.ledger_words import ADA, BOB, DAY, LEAD, NOON, Desk, a_stage, contact, decided
from tests.stories.test_cli import answer, run
from tests.stories.world import World, world

SHARED = "a.byron@byron-engines.example"


def lead(made: World, last_name: str, **more: object) -> Ref:
    fields = {"LastName": last_name, "Company": "Byron Engines", "Email": SHARED, **more}
    return Ref("salesforce", "Lead", made.salesforce.create("Lead", fields))


async def person(made: World, ref: Ref) -> PersonView:
    [number] = await made.ledger.find(str(ref))
    view = await made.ledger.person(number)
    assert view is not None
    return view


async def history(made: World, number: int) -> list[tuple[str, int | None]]:
    query = select(STAGE_HISTORY).where(STAGE_HISTORY.c.person == number).order_by(STAGE_HISTORY.c.id)
    rows = await made.ledger._db.read(lambda db: db.execute(query).all())
    return [(row.to_stage, row.was_of) for row in rows]


async def test_a_join_lasts_moves_history_and_its_undo_gives_back_what_was_moved(database_url: str) -> None:
    async with world(database_url, people=12) as made:
        one = lead(made, "Byron")
        await made.sync()
        made.later(days=1)
        other = lead(made, "Babbage", Status="Working - Contacted")
        await made.sync()
        (pair,) = [each for each in await made.ledger.reviews() if {each.a, each.b} == {one, other}]
        apart = [await person(made, ref) for ref in (one, other)]
        assert apart[0].id != apart[1].id
        assert "different last names" in pair.why

        await made.ledger.answer_review(one, other, "join", made.clock.now(), author="Grace", note="married")
        due = await made.ledger._db.read(lambda db: {row.ref for row in db.execute(select(DUE))})
        assert {str(one), str(other)} <= due  # both, at once
        made.later(minutes=15)
        await made.sync()

        joined = await person(made, one)
        assert {one, other} <= set(joined.refs)
        while_joined = joined.decided_at
        gone = ({apart[0].id, apart[1].id} - {joined.id}).pop()
        assert ("lead", gone) in await history(made, joined.id)  # whose it was stays known
        assert await history(made, gone) == []
        told = [line.text for line in await made.ledger.story(joined.id) if line.kind == "review"]
        assert any("join by Grace: married" in line for line in told)

        reread = open_ledger(database_url)  # a restart, and the records read again
        await reread.close()
        made.salesforce.edit("Lead", other.id, {"City": "London"})
        made.later(days=1)
        await made.sync()
        assert (await person(made, other)).id == joined.id

        await made.ledger.undo_review(one, other, made.clock.now(), author="Ada")
        made.later(minutes=15)
        await made.sync()
        again = [await person(made, ref) for ref in (one, other)]
        assert [each.id for each in again] == [each.id for each in apart]
        assert [each.refs for each in again] == [each.refs for each in apart]
        assert [each.state.stage for each in again] == [each.state.stage for each in apart]
        for each in again:
            assert all(was_of is None for _, was_of in await history(made, each.id))
        assert pair.number in [each.number for each in await made.ledger.reviews()]  # it waits again

        # a past decision is told with whom was one person then, by what humans had said by then
        settings = load_settings(database_url=database_url, mappings_dir=shipped())
        for ref, each in zip((one, other), again, strict=True):
            gathered = await gather(
                made.ledger, each, kept_definitions(made.ledger, settings), made.clock.now()
            )
            told_of = [
                {record.ref for record in gathered.past(at).facts.records} & {one, other}
                for at in (apart[1].decided_at, while_joined, made.clock.now())
            ]
            assert told_of == [{ref}, {one, other}, {ref}]


async def test_what_only_a_join_has_brought_is_given_back_when_the_two_are_parted(sqlite_url: str) -> None:
    ledger = open_ledger(sqlite_url)
    try:
        desk = Desk(ledger)
        await desk.keep(contact(ADA), contact(BOB))
        mql = a_stage("mql", change=True, mql_since=NOON - DAY, first_mql_at=NOON - DAY)
        await desk.decide(decided(ADA), decided(BOB, stage=mql))
        ada, bob = await desk.person_of(ADA), await desk.person_of(BOB)
        await ledger.answer_review(ADA, BOB, "join", NOON, author="Grace")
        desk.at += DAY
        await as_grouped(desk, [(ADA, BOB)])
        assert (await ledger.person(bob)).refs == (ADA, BOB)  # who is in a spell as MQL goes on

        await ledger.answer_review(ADA, BOB, "split", NOON, author="Grace")
        desk.at += DAY
        [ada_facts, bob_facts] = await ledger.facts([[ADA], [BOB]])
        assert (ada_facts.person, ada_facts.state.stage, ada_facts.state.first_mql_at) == (ada, "lead", None)
        assert (bob_facts.person, bob_facts.state.stage) == (bob, "mql")
    finally:
        await ledger.close()


async def as_grouped(desk: Desk, groups: list[tuple[Ref, ...]]) -> None:
    facts = await desk.ledger.facts(groups)
    await desk.decide(
        *(
            decided(*group, person=each.person, before=each.state, stage=a_stage(each.state.stage))
            for group, each in zip(groups, facts, strict=True)
        )
    )


async def test_an_answer_that_contradicts_others_is_refused_and_ids_against_it_are_told(
    sqlite_url: str,
) -> None:
    from connector.app.reviewing import answer as say

    ledger = open_ledger(sqlite_url)
    try:
        desk = Desk(ledger)
        await desk.keep(
            contact(ADA, same_as=(LEAD,)), contact(BOB, same_as=(Ref("salesforce", "Lead", "00Q2"),))
        )
        await desk.keep(contact(LEAD), crm="salesforce", stream="Lead")
        done = await say(ledger, ADA, BOB, "join", NOON, by="Grace", note="")
        assert "explicit ids name two different Lead records" in done.told[0]
        split = await say(ledger, ADA, LEAD, "split", NOON, by="Grace", note="")
        assert "an explicit id says they are one" in split.told[0]
        with pytest.raises(StopRun, match="were split by a human"):
            await say(ledger, BOB, LEAD, "join", NOON, by="Grace", note="")
        with pytest.raises(StopRun, match="No person's record"):
            await say(ledger, ADA, Ref("hubspot", "contact", "4711"), "join", NOON, by="Grace", note="")
        with pytest.raises(StopRun, match="Nobody has joined or split"):
            await ledger.undo_review(BOB, LEAD, NOON)
        again = await say(ledger, ADA, BOB, "join", NOON, by="Ada", note="")
        assert (again.changed, again.review.answered_by) == (False, "Grace")
        assert len(await ledger.acts(f"{ADA} {BOB}")) == 1
    finally:
        await ledger.close()


async def test_a_list_is_answered_in_a_spreadsheet_all_of_it_or_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    ledger = open_ledger(sqlite_url)
    desk = Desk(ledger)
    three = Ref("hubspot", "contact", "3")
    for ref, name in ((ADA, "=Ada"), (BOB, "Bob"), (three, "Eve")):
        fields = {"first_name": name, "company_name": "Acme", "owner": "77"}
        await desk.keep(contact(ref, fields=fields, emails=("ada.byron@acme.example",)))
    await desk.decide(
        decided(ADA),
        decided(BOB),
        decided(three),
        reviews=[Review(ADA, BOB, "why"), Review(BOB, three, "why")],
    )
    await ledger.close()
    environment = {"CONNECTOR_DATABASE_URL": sqlite_url}
    target = tmp_path / "pairs.csv"
    run(environment, "review", "list", "--csv", str(target))

    rows = list(csv.DictReader(target.open(newline="")))
    assert [row["number"] for row in rows] == ["1", "2"]
    assert (rows[0]["a_name"], rows[0]["a_emails"]) == ("'=Ada", "a***@acme.example")
    rows[0]["answer"], rows[1]["answer"] = "join", "perhaps"
    write(target, [*rows, {**rows[0], "number": "9", "a": "", "b": ""}])
    bad = answer(environment, "review", "import", str(target), code=2)
    assert [each["line"] for each in bad["error"]["problems"]] == [3, 4]
    assert answer(environment, "review", "list", "--answered")["pairs"] == []

    rows[1]["answer"] = ""
    write(target, rows)
    done = answer(environment, "review", "import", str(target), "--as", "Grace")
    twice = answer(environment, "review", "import", str(target), "--as", "Ada")
    assert (done["changed"], twice["changed"]) == (1, 0)
    assert [each["answered_by"] for each in twice["pairs"]] == ["Grace"]
    undone = run(environment, "review", "undo", "1")
    assert "left to the rules again" in undone.stdout


def write(target: Path, rows: list[dict[str, str]]) -> None:
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
