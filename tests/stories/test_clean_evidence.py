"""Evidence that a machine made is kept and not counted, for the past too; consent stops mail, not a conversation."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from connector.app.cli import app
from connector.core.conditions import parse_condition
from connector.core.consent import Consent, mail_consent
from connector.core.criteria import HandRaise
from connector.core.known import judged
from connector.core.mapping import WriteLine
from tests.stories.world import Somebody, World, look, somebody, world

OURS = parse_condition({"field": "url", "contains": "x.example"}, (), [])
A_CLICK = (HandRaise(id="a-click", name="Clicked", events=("email_click",), where=OURS),)


def did(made: World, who: Somebody, type: str, link: str = "", *, after: int = 0, **more: Any) -> None:
    """A mail event of this person, so many seconds from now, of a mail that was sent now."""
    sent = int(made.clock.now().timestamp() * 1000)
    event = {"type": type, "email": who.email, "campaign": 70_001, "at": sent + after * 1000, "sent": sent}
    if link:
        event["url"] = f"https://x.example/{link}"
    made.hubspot.create("email_events", {**event, **more})


async def told(made: World, who: Somebody) -> list[str]:
    """What the story tells of this person's clicks on our links, by the definition of now."""
    view = await look(made, who)
    story = await made.ledger.story(view.id, lambda all: judged(all, view.fields, made.definition))
    return [line.text for line in story if line.text.startswith(("email click", "email open"))]


async def several(made: World, many: int) -> list[Somebody]:
    found: list[Somebody] = []
    for _ in range(many):
        taken = {who.view.id for who in found}
        found.append(
            await somebody(
                made,
                where=lambda view, taken=taken: (
                    view.id not in taken and view.fields.get("email_opt_out") is False
                ),
            )
        )
    return found


async def test_a_machines_clicks_are_kept_and_not_counted_and_a_new_rule_holds_for_the_past(
    database_url: str,
) -> None:
    async with world(database_url, people=40) as made:
        shipped = made.definition.criteria.suspect
        made.redefine(hand_raise=A_CLICK, suspect=())
        await made.sync()
        people = await several(made, 6)
        trapped, scanner, unopened, human, opener, filtered = people
        did(made, trapped, "OPEN", after=600)
        did(made, trapped, "CLICK", "do-not-follow", after=610)
        did(made, scanner, "OPEN", after=2)
        did(made, scanner, "CLICK", "offer", after=2)
        did(made, scanner, "CLICK", "imprint", after=3)
        did(made, unopened, "CLICK", "offer", after=900)
        did(made, human, "CLICK", "offer", after=900)
        did(made, opener, "OPEN", after=880)
        did(made, opener, "CLICK", "offer", after=900)
        did(made, filtered, "CLICK", "offer", after=1, filtered=True)
        made.later(minutes=16)
        made.hubspot.act("contacts", human.contact, "page_view", url="https://www.example.com/pricing")
        await made.sync()

        stages = [(await look(made, who)).state.stage for who in people]
        assert stages == ["mql"] * 5 + ["lead"]  # only what HubSpot itself filtered did not count

        made.redefine(suspect=shipped)
        made.later(minutes=10)
        await made.sync()

        raised = [(await look(made, who)).score.hand_raised for who in people]
        assert raised == [None, None, None, "a-click", "a-click", None]
        for who, why in (
            (trapped, "honeypot"),
            (scanner, "links-at-once"),
            (unopened, "click-without-open"),
            (filtered, "the CRM's own filter"),
        ):
            assert any("not counted" in line and why in line for line in await told(made, who)), why
        assert not any("not counted" in line for line in await told(made, opener) if "email click" in line)

        did(
            made, unopened, "OPEN", after=30
        )  # at last they load the pictures, and what they did counts again
        made.later(minutes=10)
        await made.sync()
        assert (await look(made, unopened)).score.hand_raised == "a-click"

        made.redefine(suspect=())
        made.later(minutes=10)
        await made.sync()
        raised = [(await look(made, who)).score.hand_raised for who in people]
        assert raised == ["a-click"] * 5 + [None]  # nothing was thrown away


async def test_who_opted_out_of_mail_is_called_back_and_form_spam_is_not(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        asked = replace(A_CLICK[0], min_fit=None)
        made.redefine(hand_raise=(asked,), suspect=())
        await made.sync()
        asking, silent, both, spammer = await several(made, 4)
        for who in (asking, both, spammer):
            did(made, who, "CLICK", "demo")
        for who in (asking, silent, both):
            made.salesforce.act("Lead", who.lead, "edit", by=user(made), fields={"HasOptedOutOfEmail": True})
        made.salesforce.act("Lead", both.lead, "edit", by=user(made), fields={"DoNotCall": True})
        made.hubspot.act(
            "contacts", spammer.contact, "set", fields={"firstname": "Win: http://x.example/prize"}
        )
        made.later(minutes=10)
        await made.sync()

        assert (await look(made, asking)).state.stage == "mql"
        assert (await look(made, asking)).fields["email_opt_out"] is True
        assert (await look(made, silent)).score.disqualified is None
        assert (await look(made, silent)).state.stage == "lead"
        assert (await look(made, both)).score.disqualified == "no-contact"
        assert (await look(made, spammer)).score.disqualified == "spam"


async def test_one_event_told_twice_counts_once_in_both_crms(sqlite_url: str) -> None:
    async with world(sqlite_url, people=40) as made:
        await made.sync()
        [one] = await several(made, 1)
        calls, forms = await rows(made, one, "call"), await rows(made, one, "contact request")
        call = {"Subject": "Twice told", "Status": "Completed", "TaskSubtype": "Call", "WhoId": one.lead}
        task = made.salesforce.create("Task", call)
        at = int(made.clock.now().timestamp() * 1000)
        known = made.hubspot.sandbox.store.forms.values()
        guid = next(form.guid for form in known if form.name.casefold().startswith("contact"))
        for seconds in (0, 40):  # a page that is loaded again sends its form again
            made.hubspot.create(
                "form_submissions", {"form": guid, "email": one.email, "at": at + seconds * 1000}
            )
        for turn in range(2):  # read again by the overlap, and because somebody saved it again
            made.later(minutes=10)
            await made.sync()
            made.salesforce.act(
                "Task", task, "edit", by=user(made), fields={"Description": f"saved again, {turn}"}
            )
        assert await rows(made, one, "call") == calls + 1
        assert await rows(made, one, "contact request") == forms + 1


async def test_consent_that_salesforce_hides_is_unknown_and_no_yes(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made:
        a_lead = next(iter(made.salesforce.sandbox.store.tables["Lead"].rows))
        made.salesforce.act("Lead", a_lead, "hide", field="HasOptedOutOfEmail")
        await made.sync()
        [one] = await several(made, 1)
        assert one.view.fields["email_opt_out"] is False  # HubSpot says so, and Salesforce says nothing
        assert await consent(made, one) is Consent.UNKNOWN
        environment = {"CONNECTOR_DATABASE_URL": sqlite_url}
        shown, document = [
            (
                await asyncio.to_thread(
                    CliRunner().invoke, app, ["explain", f"person:{one.view.id}", *words], env=environment
                )
            ).stdout
            for words in ((), ("--json",))
        ]
        assert "consent to mail: unknown (a field of consent that we may not read" in shown
        assert json.loads(document)["mail_consent"] == "unknown"


async def test_no_nurture_is_written_for_who_opted_out_of_mail(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made:
        contact = made.definition.mappings["hubspot"].objects["contact"]
        lines = (*contact.write, WriteLine("contact", "next", "zip", "always", clear=True))
        objects = made.definition.mappings["hubspot"].objects
        made.remap("hubspot", objects={**objects, "contact": replace(contact, write=lines)})
        stages = made.definition.criteria.stages
        made.redefine(stages=replace(stages, next={"lead": "Monthly letter"}))
        await made.sync()
        [gladly] = await several(made, 1)
        people = await made.ledger.people(stage="lead", limit=1000)
        written = {
            write.id: write.fields["zip"][1] for write in made.writes("hubspot") if write.fields.get("zip")
        }
        assert written[gladly.contact] == "Monthly letter"
        refused = [view for view in people if view.fields.get("email_opt_out") is True]
        assert refused
        for view in refused:
            assert not [ref for ref in view.refs if ref.crm == "hubspot" and ref.id in written]

        made.salesforce.edit("Lead", gladly.lead, {"HasOptedOutOfEmail": True})  # and it stops where it ran
        made.later(minutes=10)
        since = len(made.writes("hubspot"))
        await made.sync()
        last = [write.fields["zip"][1] for write in made.writes("hubspot", since) if write.fields.get("zip")]
        assert last in ([None], [""])


async def consent(made: World, who: Somebody) -> Consent:
    view = await look(made, who)
    [facts] = await made.ledger.facts([view.refs])
    return mail_consent(view.fields, facts.records, made.definition.mappings)


async def rows(made: World, who: Somebody, kind: str) -> int:
    """How much of this kind counts by the definition of now."""
    view = await look(made, who)
    story = await made.ledger.story(view.id, lambda all: judged(all, view.fields, made.definition))
    return len([line for line in story if line.text.startswith(kind) and "not counted" not in line.text])


def user(made: World) -> str:
    """Somebody of sales who edits."""
    return next(iter(made.salesforce.sandbox.store.tables["User"].rows))
