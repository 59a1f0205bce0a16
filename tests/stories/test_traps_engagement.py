"""Traps of engagement, over whole syncs of both CRMs: nothing is doubled, nothing a machine did counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from connector.core.conditions import parse_condition
from connector.core.criteria import HandRaise
from connector.core.mapping import ScannerRule, TypeRule
from tests.stories.world import Somebody, World, look, somebody, world

OURS = parse_condition({"field": "url", "contains": "x.example"}, (), [])
TWO_CLICKS = (
    HandRaise(id="two-clicks", name="Clicked twice", events=("email_click",), where=OURS, at_least=2),
)


async def lines(made: World, contact: str, what: str) -> list[str]:
    """What the story of a HubSpot contact's person tells of this."""
    [number] = await made.ledger.find(f"hubspot:contact:{contact}")
    return [line.text for line in await made.ledger.story(number) if what in line.text]


async def pair(made: World) -> tuple[Somebody, Somebody]:
    """Two people who are leads in both CRMs."""

    one = await somebody(made)
    return one, await somebody(made, where=lambda view: view.id != one.view.id)


def click(made: World, email: str, link: str, seconds: float = 0, campaign: int = 70_001) -> str:
    at = int((made.clock.now() + timedelta(seconds=seconds)).timestamp() * 1000)
    event = {
        "type": "CLICK",
        "email": email,
        "campaign": campaign,
        "url": f"https://x.example/{link}",
        "at": at,
    }
    return made.hubspot.create("email_events", event)


async def test_trap_an_engagement_moved_to_another_contact_moves_and_is_not_doubled(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        await made.sync()
        one, other = await pair(made)
        meeting = made.hubspot.create(
            "meetings", {"hs_meeting_title": "The moving one", "contacts": [one.contact]}
        )
        made.later(minutes=10)
        await made.sync()
        assert len(await lines(made, one.contact, "The moving one")) == 1
        before = (await look(made, one)).score.engagement

        made.hubspot.act("meetings", meeting, "associate", contacts=[other.contact])
        made.later(days=8)
        await made.sync()

        assert await lines(made, one.contact, "The moving one") == []
        assert len(await lines(made, other.contact, "The moving one")) == 1
        assert (await look(made, one)).score.engagement < before


async def test_trap_all_links_of_a_mail_clicked_within_seconds_make_no_mql_in_either_crm(
    database_url: str,
) -> None:
    async with world(database_url) as made:
        shipped = made.definition.mappings["salesforce"]
        tasks = shipped.engagement["Task"]
        clicked = TypeRule(
            "email_click", parse_condition({"field": "Subject", "starts_with": "https://"}, (), [])
        )
        tasks = replace(
            tasks,
            fields={**tasks.fields, "name": ("Type",), "url": ("Subject",)},
            types=(clicked, *tasks.types),
            scanner=ScannerRule("email_click", 3, timedelta(seconds=10)),
        )
        members = replace(shipped.engagement["CampaignMember"], source_of=frozenset())
        streams = {**shipped.engagement, "Task": tasks, "CampaignMember": members}
        mappings = {**made.definition.mappings, "salesforce": replace(shipped, engagement=streams)}
        made.definition = replace(made.definition, mappings=mappings)
        made.redefine(hand_raise=TWO_CLICKS, suspect=())
        await made.sync()
        scanned, human = await pair(made)
        kept = len(await lines(made, scanned.contact, "email click"))

        for n, link in enumerate(("offer", "blog", "unsubscribe", "imprint")):
            click(made, scanned.email, link, seconds=n)
        for n, link in enumerate(("offer", "blog")):
            click(made, human.email, link, seconds=n * 40)
        made.later(minutes=10)
        await made.sync()

        assert (await look(made, scanned)).state.stage == "lead"
        assert (await look(made, human)).state.stage == "mql"
        assert len(await lines(made, scanned.contact, "email click")) == kept + 4  # stored all the same

        click(made, scanned.email, "offer")  # the human reads the mail at last: one click, and it counts
        made.later(minutes=10)
        await made.sync()
        assert (await look(made, scanned)).state.stage == "lead"
        click(made, scanned.email, "blog")
        made.later(minutes=10)
        await made.sync()
        assert (await look(made, scanned)).state.stage == "mql"

        third = await somebody(made, where=lambda view: view.id not in (scanned.view.id, human.view.id))
        for link in ("offer", "blog", "imprint"):
            made.salesforce.create(
                "Task",
                {
                    "Subject": f"https://x.example/{link}",
                    "Status": "Completed",
                    "Type": "Click",
                    "WhoId": third.lead,
                },
            )
        made.later(minutes=10)
        await made.sync()
        assert len(await lines(made, third.contact, "email click: Click")) == 3  # kept
        assert (await look(made, third)).state.stage == "lead"


async def test_trap_one_event_twice_counts_once(database_url: str) -> None:
    async with world(database_url) as made:
        made.redefine(hand_raise=TWO_CLICKS, suspect=())
        await made.sync()
        one, _ = await pair(made)
        before = await lines(made, one.contact, "email click")
        store = made.hubspot.sandbox.store
        key = click(made, one.email, "offer")
        twin = next(event for event in store.email_events if event.id == key)
        store.emailed(twin)  # the very same event, `id` and `created` alike, a second time in the list
        made.later(minutes=10)
        told = (await made.sync()).crms["hubspot"]
        made.later(minutes=20)
        await made.sync()  # and again by the overlap

        assert told.fetched["email_events"].duplicate > 0
        assert told.adds_up()
        assert len(await lines(made, one.contact, "email click")) == len(before) + 1
        assert (await look(made, one)).state.stage == "lead"


async def test_a_run_whose_form_submissions_vanished_is_partial_and_demotes_nobody(database_url: str) -> None:
    async with world(database_url, options={"hubspot": {"submissions_hidden": True}}) as made:
        result = await made.sync()

        assert result.status == "partial"
        assert "scope `forms`" in (result.crms["hubspot"].error or "")
        assert result.left == 0
