"""What tables in bulk leave out, case by case, and that nothing of a value is lost on the way, on both databases."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.criteria_file import parse_criteria
from connector.core.model import Engagement, Ref
from connector.core.score import score_frames
from connector.ledger import codec, frames
from tests.stories.ledger_words import DAY, MINUTE, NOON, Desk, contact, decided

MAPPINGS = list(load_definition(shipped(), plugins()).mappings.values())
SECOND = MINUTE / 60


def counting(**more):
    """A point for every click and every page, and whatever a test adds."""
    return parse_criteria({
        "version": 1,
        "name": "Counting",
        "engagement": [{"id": "all", "name": "All", "event": ["email_click", "page_view"], "points": 1}],
        "stages": {"mql": {"enter": {"any": [{"score": {"gte": 60}}]}, "leave": {"any": [{"score": {"lt": 40}}]}}},
        **more,
    })  # fmt: skip


def event(key, about=None, at=NOON - DAY, crm="hubspot", stream="email_events", type="page_view", **values):
    return Engagement(
        crm=crm, stream=stream, key=key, type=type, occurred_at=at, about=about, name="Pricing", **values
    )


class Town:
    """People with what they did, each under a name of the test's."""

    def __init__(self, ledger):
        self.desk, self.numbers, self.refs = Desk(ledger), count(1), {}

    async def has(self, name, records, *events, emails=(), fields=None):
        """`records`: so many contacts, then so many leads, as (2, 1). An event's `about` is a place among them."""
        contacts, leads = records
        numbers = [next(self.numbers) for _ in range(contacts + leads)]
        refs = [Ref("hubspot", "contact", f"{number}") for number in numbers[:contacts]]
        refs += [Ref("salesforce", "Lead", f"00Q{number}") for number in numbers[contacts:]]
        await self.desk.keep(*(contact(ref, emails=emails) for ref in refs))
        told = [replace(each, about=None if each.about is None else refs[each.about]) for each in events]
        for crm, stream in sorted({(each.crm, each.stream) for each in told}):
            # In one page: what a later page does not repeat of an event is what it is no longer about.
            rows = tuple(each for each in told if (each.crm, each.stream) == (crm, stream))
            await self.desk.keep(crm=crm, stream=stream, engagement=rows)
        await self.desk.decide(decided(*refs, fields=fields or {}))
        self.refs[name] = refs[0]

    async def shares(self, by, people_at_once, people_a_piece):
        return await self.desk.ledger._db.read(
            lambda db: list(frames.shares(db, by, MAPPINGS, people_at_once, people_a_piece))
        )

    async def counted(self, by, people_at_once=100, people_a_piece=100):
        """How many events of each person the table has, by name."""
        found = await self.shares(by, people_at_once, people_a_piece)
        people = [person for _, engagement in found for person in engagement["person_id"]]
        ids = {name: await self.desk.person_of(ref) for name, ref in self.refs.items()}
        assert set(people) <= set(ids.values())
        return {name: people.count(id_) for name, id_ in ids.items()}


@pytest.fixture
def town(ledger):
    return Town(ledger)


async def test_every_event_counts_once_however_it_is_told(town):
    link = {"type": "email_click", "campaign": "spring"}
    late = NOON - DAY + 5 * MINUTE
    await town.has("plain", (1, 0), event("p1", 0), event("p2", 0))
    await town.has("two records of one CRM", (2, 0), event("r1", 0), event("r1", 1), event("r2", 1))
    await town.has("one key in two streams", (2, 0), event("k", 0), event("k", 1, stream="visits"))
    await town.has("an address", (1, 0), event("a1", email="a@x.example"), emails=("a@x.example",))
    await town.has(
        "an address of two records", (1, 1), event("b1", email="b@x.example"), emails=("b@x.example",)
    )
    await town.has(
        "an address, then a record", (1, 0),
        event("c1", email="c@x.example"), event("c1", 0), event("c2", 0), emails=("c@x.example",),
    )  # fmt: skip
    await town.has(
        "a record's own address", (1, 0), event("d1", 0, email="d@x.example"), emails=("d@x.example",)
    )
    await town.has("two CRMs", (1, 1), event("e1", 0), event("e2", 1, late, "salesforce", "tasks"))
    await town.has(
        "two CRMs, too late", (1, 1), event("f1", 0), event("f2", 1, late + SECOND, "salesforce", "tasks")
    )
    await town.has(
        "two CRMs, one record", (1, 0), event("g1", 0), event("g2", 0, late, "salesforce", "tasks")
    )
    clicks = [NOON - DAY + place * SECOND for place in range(3)]
    await town.has(
        "a scanner", (1, 0), *(event(f"s{i}", 0, at, url=f"/{i}", **link) for i, at in enumerate(clicks))
    )
    clicks = [NOON - DAY + place * MINUTE for place in range(3)]
    await town.has(
        "a reader", (1, 0), *(event(f"t{i}", 0, at, url=f"/{i}", **link) for i, at in enumerate(clicks))
    )
    await town.has(
        "what counts not", (1, 0), event("n1", 0, counted=False, why_not="elsewhere"), event("n2", 0, deleted=True)
    )  # fmt: skip
    await town.desk.keep(
        crm="hubspot", stream="email_events", engagement=(event("z", email="nobody@x.example"),)
    )
    expected = {
        "plain": 2,
        "two records of one CRM": 2,
        "one key in two streams": 2,
        "an address": 1,
        "an address of two records": 1,
        "an address, then a record": 2,
        "a record's own address": 1,
        "two CRMs": 1,
        "two CRMs, too late": 2,
        "two CRMs, one record": 1,
        "a scanner": 0,
        "a reader": 3,
        "what counts not": 0,
    }
    assert await town.counted(counting()) == expected
    assert await town.counted(counting(), people_at_once=5, people_a_piece=2) == expected
    assert await town.counted(counting(), people_a_piece=1) == expected


async def test_what_a_rule_of_suspect_names_is_left_out_for_the_audience_that_has_it(town):
    honeypot = [
        {"id": "trap", "name": "Trap", "event": "page_view", "where": {"field": "url", "contains": "trap"}}
    ]
    by = counting(
        audiences=[
            {"id": "emea", "name": "EMEA", "when": {"field": "region", "is": "EMEA"}, "suspect": honeypot,
             "fit": [{"id": "de", "name": "DE", "when": {"field": "country", "is": "DE"}, "points": 7}],
             "engagement": [{"id": "form", "name": "Form", "event": "form_submission", "points": 3},
                            {"id": "page", "name": "Page", "event": "page_view", "points": 2}]},
        ]
    )  # fmt: skip

    def did(who):
        yield event(f"{who}1", 0, url="/trap")
        yield event(f"{who}2", 0, url="/blog")
        yield event(f"{who}3", 0, type="form_submission")

    await town.has("here", (1, 0), *did("h"), fields={"region": "EMEA", "country": "DE"})
    await town.has("there", (1, 0), *did("t"), fields={"region": "US", "country": "DE"})
    ((people, engagement),) = await town.shares(by, 100, 100)
    rows = score_frames(by, people, engagement, NOON).collect().iter_rows(named=True)
    scored = {row["person_id"]: (row["audience"], row["fit"], row["engagement"]) for row in rows}
    assert scored == {
        await town.desk.person_of(town.refs["here"]): ("emea", 7.0, 5.0),
        await town.desk.person_of(town.refs["there"]): (None, 0.0, 2.0),
    }


async def test_every_value_comes_as_it_was_kept(town):
    by = counting(
        hand_raise=[{"id": field, "name": field, "event": "page_view", "where": {"field": field, "is_set": True}}
                    for field in ("url", "value", "campaign", "attributes.note")]
    )  # fmt: skip
    texts = [
        'a "quoted" one',
        "back\\slash",
        "two\nlines\t",
        "\x01\x1f",
        "straße 東京 🙂 \u2028",
        "'",
        " ",
        "NULL",
        "[]",
        None,
    ]
    values = [0.1 + 0.2, 1e300, 5e-324, -1 / 3, 12.0, 2.0**53 + 2, 0.0, 123456789.123456789, -7.25, None]
    await town.has("all", (1, 0), *(
        event(f"v{place}", 0, NOON - place * DAY - SECOND / 3, url=words, campaign=words, value=number,
              attributes={"note": words})
        for place, (words, number) in enumerate(zip(texts, values, strict=True))
    ))  # fmt: skip
    ((_, engagement),) = await town.shares(by, 100, 100)
    (facts,) = await town.desk.ledger.facts([[town.refs["all"]]])
    kept = {known.engagement.occurred_at: known.engagement for known in facts.engagement}
    assert len(kept) == len(texts)
    told = {row["occurred_at"]: row for row in engagement.iter_rows(named=True)}
    for at, each in kept.items():
        assert (told[at]["url"], told[at]["campaign"]) == (each.url, each.campaign)
        assert told[at]["value"] == each.value
        assert codec.loads(told[at]["attributes"]) == dict(each.attributes)
    assert {each.value for each in kept.values()} == set(values)
