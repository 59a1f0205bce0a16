"""People and engagement in bulk: whole tables score as one person after another does, on both databases."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.wiring import plugins
from connector.core.criteria import Criteria
from connector.core.model import Engagement, Ref
from connector.core.normalize import count_once, scanner_rules, set_aside_scanners, set_aside_suspects
from connector.core.score import score_person
from connector.ledger import frames
from tests.stories.ledger_words import DAY, HOUR, NOON, Desk, contact, decided

DEFINITION = load_definition(shipped(), plugins())
CRITERIA: Criteria = DEFINITION.criteria
MAPPINGS = list(DEFINITION.mappings.values())
PEOPLE = 60
SECOND = timedelta(seconds=1)
FIELDS = (
    {"title": "VP Sales", "seniority": "vp", "company_size": 250, "email_kind": "business", "country": "DE"},
    {"seniority": "director", "company_size": 40.5, "email_kind": "free", "created_at": NOON - 9 * DAY},
    {"job_function": "marketing", "company_size": None, "email_opt_out": True},
    {},
)


def refs_of(number: int) -> tuple[Ref, Ref]:
    return Ref("hubspot", "contact", f"{number}"), Ref("salesforce", "Lead", f"00Q{number}")


def events_of(number: int, dice: random.Random) -> list[Engagement]:
    """Everything that makes counting awkward: twins, bursts, two records a person, addresses, what counts not."""
    hubspot, lead = refs_of(number)
    types = sorted({type for rule in (*CRITERIA.engagement, *CRITERIA.hand_raise) for type in rule.events})
    told = []

    def event(key, at, crm="hubspot", stream="email_events", **values):
        values.setdefault("about", hubspot)
        told.append(Engagement(crm=crm, stream=stream, key=f"{number}-{key}", occurred_at=at, **values))

    for each in range(dice.randrange(9)):
        kind, at = dice.choice(types), NOON - dice.randrange(90 * 24) * HOUR
        name = dice.choice([None, "Pricing", "straße", "STRASSE", "Webinar"])
        event(f"a{each}", at, type=kind, name=name, url=dice.choice([None, "https://x.example/pricing"]))
        if dice.random() < 0.5:  # the other CRM tells it too, sometimes a moment too late
            late = at + dice.randrange(400) * SECOND
            event(f"b{each}", late, "salesforce", "tasks", type=kind, name=name, about=lead)
        if dice.random() < 0.3:  # one event about two records of the person
            event(f"a{each}", at, type=kind, name=name, about=lead)
    if dice.random() < 0.5:
        for link in range(9):
            at = NOON - DAY + link * SECOND / 10
            event(f"s{link}", at, type="email_click", url=f"https://x.example/{link}", campaign="spring")
    event("mail", NOON - 2 * DAY, type="email_click", about=None, email=f"p{number}@example.com")
    event("off", NOON - DAY, type=types[0], counted=False, why_not="elsewhere")
    event("gone", NOON - DAY, type=types[0], deleted=True)
    event("later", NOON + DAY, type=types[0])
    return told


@pytest.fixture
async def desk(ledger):
    """Sixty people, each with a contact and a lead, and all that they did."""
    desk, dice = Desk(ledger), random.Random(11)
    for place in (0, 1):
        await desk.keep(
            *(contact(refs_of(number)[place], emails=(f"p{number}@example.com",)) for number in range(PEOPLE))
        )
    for number in range(PEOPLE):
        told = events_of(number, dice)
        for crm, stream in {(event.crm, event.stream) for event in told}:
            rows = tuple(event for event in told if (event.crm, event.stream) == (crm, stream))
            await desk.keep(crm=crm, stream=stream, engagement=rows)
    await desk.decide(*(decided(*refs_of(n), fields=FIELDS[n % len(FIELDS)]) for n in range(PEOPLE)))
    return desk


@pytest.mark.parametrize("people_at_once", [PEOPLE * 2, 7])
@pytest.mark.parametrize("suspect", [CRITERIA.suspect, ()])
async def test_tables_score_as_one_after_another(desk, people_at_once, suspect):
    criteria = replace(CRITERIA, suspect=suspect)  # without, most people are in no doubt and read as they are
    scored = {}
    for found in await desk.ledger._db.read(
        lambda db: list(frames.scores(db, criteria, MAPPINGS, NOON, people_at_once))
    ):
        scored |= {row["person_id"]: row for row in found.iter_rows(named=True)}
    assert len(scored) == PEOPLE
    aside = 0
    for number, facts in enumerate(await desk.ledger.facts([refs_of(number) for number in range(PEOPLE)])):
        told = [known.engagement for known in facts.engagement]
        scanned = set_aside_scanners(told, scanner_rules(MAPPINGS))
        judged = set_aside_suspects(scanned, suspect)
        aside += len(told) - len(count_once(judged))
        ours = score_person(criteria, FIELDS[number % len(FIELDS)], count_once(judged), NOON)
        row = scored[facts.person]
        assert row["score"] == pytest.approx(ours.score, abs=1e-9)
        assert (row["band"], row["grade"], row["hand_raised"]) == (ours.band, ours.grade, ours.hand_raised)
        assert [(each["rule"], pytest.approx(each["points"], abs=1e-9)) for each in row["contributions"]] == [
            (each.rule, each.points) for each in ours.contributions
        ]
    assert aside > PEOPLE  # there was something to leave out


async def test_people_of_whom_no_record_is_left_are_in_no_table(desk):
    someone = await desk.person_of(refs_of(0)[0])
    await desk.ledger._db.write(
        lambda db: db.exec_driver_sql(f"UPDATE person SET ended_at = decided_at WHERE id = {someone}")
    )
    ((people, _),) = await desk.ledger._db.read(lambda db: list(frames.shares(db, CRITERIA, MAPPINGS)))
    assert len(people) == PEOPLE - 1
    assert someone not in people["person_id"]
