"""People who may not be scored, or not by what they did, through whole syncs: decided, cleared, counted, told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.previewing import preview
from connector.app.ranking import row_of
from connector.core.account import ENGAGED, Around
from connector.core.conditions import Leaf
from connector.core.criteria import MqlStage, StageAny, StageEntry, Stages, StageTest
from connector.core.notify import MQL
from connector.core.privacy_rules import DO_NOT_SCORE, NO_BEHAVIOUR, PrivacyRule
from tests.stories.world import Somebody, World, look, somebody, world


def forbidding(email: str, do: str = DO_NOT_SCORE) -> PrivacyRule:
    return PrivacyRule(Leaf("email", "is", email.casefold()), do, "Objected to profiling")


def contact_of(made: World, who: Somebody) -> Mapping[str, Any]:
    values: Mapping[str, Any] = made.hubspot.raw("contact", who.contact)["properties"]
    return values


def clearing(made: World, *results: str) -> None:
    """The lines of these results clear what may not stand any more."""
    for crm, mapping in made.definition.mappings.items():
        objects = {
            name: replace(
                each,
                write=tuple(replace(line, clear=line.clear or line.result in results) for line in each.write),
            )
            for name, each in mapping.objects.items()
        }
        made.remap(crm, objects=objects)


async def test_who_may_not_be_scored_any_more_is_cleared_where_the_mapping_says_so(database_url: str) -> None:
    async with world(database_url, people=24) as made:
        mapping = made.definition.mappings["hubspot"]
        lines = {line.result: line.to for line in mapping.objects["contact"].write}
        clearing(made, "score", "reason", "status", "grade")
        easy = StageEntry((StageTest("fit", "gte", 10.0),))
        made.redefine(stages=Stages(MqlStage(easy, StageAny(()))))
        assert "privacy" not in (await made.sync()).document()
        who = await somebody(made, stage="mql")
        contact = contact_of(made, who)
        assert contact[lines["score"]]
        assert contact[lines["reason"]]
        band = contact[lines["band"]]
        running = await made.ledger.in_the_running({""})
        theirs = "D4" if contact[lines["grade"]] != "D4" else "A1"
        made.hubspot.edit("contact", who.contact, {lines["grade"]: theirs})
        made.later(minutes=5)

        made.redefine(privacy=(forbidding(who.email),))
        told = await preview(
            made.definition, made.adapters, made.ledger, made.ledger_url, made.clock, holder="preview"
        )
        assert (told["privacy"], told["mql"]["left"]) == ({DO_NOT_SCORE: 1}, 1)

        result = await made.sync()
        assert result.document()["privacy"] == {DO_NOT_SCORE: 1}
        assert result.left == 1
        view = await look(made, who)
        assert (view.state.stage, view.state.privacy, view.scored) == ("lead", DO_NOT_SCORE, False)
        assert view.state.because == "Lead: not scored: Objected to profiling"
        row = row_of(1, view, None, made.definition.criteria, email=False)
        assert [row[name] for name in ("score", "band", "grade", "privacy")] == [
            None,
            None,
            None,
            DO_NOT_SCORE,
        ]
        contact = contact_of(made, who)
        assert [contact.get(lines[name]) or None for name in ("score", "reason", "status")] == [None] * 3
        assert contact[lines["band"]] == band, "its line has no `clear: true`"
        assert contact[lines["grade"]] == theirs, "somebody else wrote it"
        assert await made.ledger.in_the_running({""}) == running - 1
        held = result.crms["hubspot"].held_back + result.crms["hubspot"].planned
        assert held

        # what is cleared stays so, and what stands without `clear` is told as held back, not written
        since = len(made.hubspot.log.writes())
        again = await made.sync()
        assert made.writes("hubspot", since) == []
        assert again.crms["hubspot"].planned == 0

        # allowed again: scored as before, as an MQL by the rules
        made.redefine(privacy=())
        await made.sync()
        view = await look(made, who)
        assert (view.state.stage, view.state.privacy) == ("mql", "")
        assert contact_of(made, who)[lines["score"]]


async def test_whose_behaviour_may_not_count_is_judged_by_fit_alone_and_counts_for_no_colleague(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=40) as made:
        await made.sync()
        engaged = [
            view
            for view in await made.ledger.people(sort="engagement", limit=5)
            if view.score.hand_raised is None
        ]
        who = engaged[0]
        assert who.score.engagement > 0
        around = Around(made.clock.now(), frozenset({ENGAGED}))
        [before] = await made.ledger.facts([who.refs], around)

        made.redefine(privacy=(forbidding(str(who.fields["email"]), NO_BEHAVIOUR),))
        result = await made.sync()
        assert result.document()["privacy"] == {NO_BEHAVIOUR: 1}
        view = await made.ledger.person(who.id)
        assert view is not None
        assert (view.score.engagement, view.score.fit) == (0.0, who.score.fit)
        assert view.scored
        assert "behaviour is not counted: Objected to profiling" in view.state.because
        reasons = {
            write.after
            for plan in result.plans.values()
            for row in await made.ledger.plan_rows(plan, limit=1_000)
            if row.person == who.id
            for write in row.writes
            if write.result == "reason"
        }
        assert reasons == {view.state.because}
        [after] = await made.ledger.facts([who.refs], around)
        assert before.account is not None
        assert after.account is not None
        assert before.account.engaged
        assert after.account.engaged == before.account.engaged - 1


async def test_an_mql_whom_a_human_set_and_we_may_not_score_is_observed_and_handed_to_nobody(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        who = await somebody(made)
        other = await somebody(made, where=lambda view: view.id != who.view.id)
        made.redefine(privacy=(forbidding(who.email),))
        await made.sync()
        for each in (who, other):
            made.hubspot.edit("contact", each.contact, {"lifecyclestage": "marketingqualifiedlead"})
        made.later(hours=1)
        await made.sync()

        assert [(await look(made, each)).state.stage for each in (who, other)] == ["mql", "mql"]
        environment = {"CONNECTOR_DATABASE_URL": sqlite_url}
        words = ["explain", who.email, "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
        explained = json.loads(done.output)
        numbers = [explained[name] for name in ("privacy", "score", "fit", "band", "grade", "why")]
        assert numbers == [DO_NOT_SCORE, None, None, None, None, None]
        told = {spell.person for spell in await made.ledger.spells()}
        assert (who.view.id in told, other.view.id in told) == (False, True)
        assert await made.ledger.notices(who.view.id) == []
        assert (await made.ledger.notices(other.view.id))[0].kind == MQL
