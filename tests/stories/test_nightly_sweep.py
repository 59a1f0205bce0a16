"""The nightly sweep: who is active is looked at again, who has long done nothing is not."""

from __future__ import annotations

from sqlalchemy import select

from connector.core.aging import ages
from connector.core.known import known_now
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.tables import PERSON
from tests.stories.world import world


async def test_only_those_whose_score_time_can_change_are_decided_again_at_night(sqlite_url: str) -> None:
    async with world(sqlite_url, people=60) as made:
        await made.sync()
        quiet = await made.sync()
        with build_engine(parse_url(sqlite_url)).connect() as db:
            active = {row.id for row in db.execute(select(PERSON.c.id).where(PERSON.c.decays))}
        dormant = []
        for view in await made.ledger.people(limit=1_000):
            [facts] = await made.ledger.facts([view.refs])
            known = known_now(facts, made.definition)
            if known.engagement and not ages(known.criteria, view.score, known.engagement, view.decided_at):
                dormant.append(view)
        made.later(days=1)
        night = await made.sync()
        before = {view.id: view.score.score for view in dormant}
        made.later(days=400)
        await made.sync()
        after = {view.id: view.score.score for view in await made.ledger.people(limit=1_000)}

    assert quiet.people == 0
    assert night.people == len(active) > 10
    assert len(dormant) > 5  # they have done something, which has long ceased to count
    assert {each: after[each] for each in before} == before
