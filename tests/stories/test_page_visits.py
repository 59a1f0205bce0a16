"""Page visits one by one cost a call per person: a sync asks of the best alone, and an account without them is fine."""

from __future__ import annotations

from dataclasses import replace

from ruamel.yaml import YAML

from connector.app.commands.init import shipped
from connector.core.mapping_file import parse_mapping
from tests.contract.hubspot_account import uncommented
from tests.stories.world import World, world

BANDS = (3, 4, 5)  # a made-up population of this size has few people in the highest


def with_visits(made: World, at_most: int) -> None:
    """The shipped mapping with the stream that it proposes."""
    text = uncommented((shipped() / "hubspot.yaml").read_text(encoding="utf-8"))
    stream = parse_mapping(YAML(typ="safe").load(text)).engagement["behavioural_events"]
    shipped_ = made.definition.mappings["hubspot"]
    streams = {**shipped_.engagement, stream.stream: replace(stream, only_bands=BANDS, at_most=at_most)}
    mappings = {**made.definition.mappings, "hubspot": replace(shipped_, engagement=streams)}
    made.definition = replace(made.definition, mappings=mappings)


def questions(made: World) -> list[str]:
    calls = made.hubspot.log.calls()
    return [
        call.query.split("objectId=")[1].split("&")[0] for call in calls if "event-occurrences" in call.path
    ]


async def test_a_sync_asks_for_page_visits_of_the_best_people_alone(database_url: str) -> None:
    async with world(database_url) as made:
        with_visits(made, at_most=500)
        await made.sync()
        assert questions(made) == []  # nobody had been decided yet
        await made.sync()

        best = [view for view in await made.ledger.people(limit=10_000) if view.score.band in BANDS]
        asked = {ref.id for view in best for ref in view.refs if ref.crm == "hubspot"}
        assert asked
        assert set(questions(made)) == asked
        assert len(questions(made)) == len(asked)


async def test_never_more_people_than_the_mapping_allows_and_the_highest_first(database_url: str) -> None:
    async with world(database_url) as made:
        with_visits(made, at_most=3)
        await made.sync()
        result = await made.sync()

        ranked = [view for view in await made.ledger.people(limit=10_000) if view.score.band in BANDS]
        refs = [ref.id for view in ranked for ref in view.refs if ref.crm == "hubspot"]
        assert set(questions(made)) == set(refs[:3])
        fetched = result.crms["hubspot"].fetched["behavioural_events"]
        assert fetched.rows == fetched.stored > 0


async def test_an_account_below_enterprise_syncs_green_and_is_told(database_url: str) -> None:
    async with world(database_url, options={"hubspot": {"enterprise": False}}) as made:
        with_visits(made, at_most=500)
        await made.sync()
        result = await made.sync()

        assert result.status == "succeeded"
        assert "not read" in result.document()["crms"]["hubspot"]["fetched"]["behavioural_events"]["note"]
        assert len(questions(made)) == 1
