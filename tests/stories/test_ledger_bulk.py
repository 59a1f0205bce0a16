"""Whole pages: what a database is handed in one piece (COPY, on PostgreSQL) is kept as if it came row by row."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import make_url

from connector.core.model import Ref
from connector.errors import StopRun
from connector.ledger import open_ledger
from connector.ledger.hot import COPIED
from tests.stories.ledger_words import HOUR, MINUTE, NOON, Desk, click, contact, decided

MANY = [Ref("hubspot", "contact", f"{number}") for number in range(1, COPIED * 3)]
AWKWARD = "tab\tline\nreturn\rback\\slash \\N \\. 'quote' \"more\" {brace,} Zoë 日本語 🙂"


@pytest.fixture
def desk(ledger):
    return Desk(ledger)


def page_of(**values):
    return [contact(ref, emails=(f"p{ref.id}@example.com",), **values) for ref in MANY]


async def test_a_full_page_is_kept_with_every_awkward_character(desk):
    kept = await desk.keep(*page_of(fields={"title": AWKWARD}, held={"note": AWKWARD, "none": None}))
    assert (kept.stored, kept.duplicate, kept.touched) == (len(MANY), 0, set(MANY))
    facts = await desk.ledger.facts([[ref] for ref in MANY])
    assert {each.records[0].fields["title"] for each in facts} == {AWKWARD}
    assert {each.records[0].held["note"] for each in facts} == {AWKWARD}
    assert await desk.due(limit=1_000) == sorted(MANY)


async def test_a_full_page_replaces_what_is_stored_and_only_news_makes_people_due(desk):
    await desk.keep(*page_of())
    await desk.decide(*(decided(ref) for ref in MANY))
    kept = await desk.keep(*page_of())
    assert (kept.stored, kept.duplicate, kept.touched) == (0, len(MANY), frozenset())
    kept = await desk.keep(*page_of(at=NOON + HOUR))
    assert (kept.stored, kept.touched) == (len(MANY), frozenset())
    kept = await desk.keep(*page_of(at=NOON + 2 * HOUR, fields={"title": "CTO"}))
    assert (kept.stored, kept.touched) == (len(MANY), set(MANY))


async def test_a_record_twice_in_a_full_page_ends_as_its_newest_form(desk):
    twice = contact(MANY[0], at=NOON + HOUR, fields={"title": "CTO"})
    kept = await desk.keep(*page_of(), twice)
    (facts,) = await desk.ledger.facts([[MANY[0]]])
    assert (kept.stored, facts.records[0].fields) == (len(MANY) + 1, {"title": "CTO"})


async def test_a_full_page_of_events_is_kept_each_once(desk):
    await desk.keep(*page_of())
    events = tuple(click(f"e{ref.id}", about=ref, name=AWKWARD, attributes={"a": AWKWARD}) for ref in MANY)
    first = await desk.keep(stream="events", engagement=events)
    again = await desk.keep(stream="events", engagement=events)
    assert (first.stored, again.stored, again.duplicate) == (len(MANY), 0, len(MANY))
    facts = await desk.ledger.facts([[ref] for ref in MANY])
    assert {each.engagement[0].engagement.name for each in facts} == {AWKWARD}


async def test_an_earlier_mark_stands_for_a_full_page_too(desk):
    await desk.keep(*page_of())
    desk.at = NOON + MINUTE
    await desk.keep(*page_of(at=NOON + MINUTE, fields={"title": "CTO"}))
    desk.at = NOON  # the marks of the first page are due already
    assert await desk.due(limit=1_000) == sorted(MANY)


async def test_a_page_that_the_database_refuses_leaves_nothing_and_the_next_one_is_kept(desk):
    if not desk.ledger._db.sqlite:  # which takes this
        nul = contact(Ref("hubspot", "contact", "0"), emails=("nul\x00@example.com",))
        with pytest.raises(StopRun, match="refused the work"):
            await desk.keep(*page_of(), nul)
        assert await desk.due(limit=1_000) == []
    kept = await desk.keep(*page_of())
    assert kept.stored == len(MANY)


async def test_a_user_who_may_make_no_temporary_table_keeps_pages_all_the_same(database_url):
    await open_ledger(database_url).close()
    url = make_url(database_url)
    if url.drivername != "sqlite":  # which has no users
        with psycopg.connect(url.set(drivername="postgresql").render_as_string(False)) as admin:
            for statement in (
                f'REVOKE TEMPORARY ON DATABASE "{url.database}" FROM PUBLIC',
                f'CREATE ROLE "{url.database}"',
                f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{url.database}"',
                f'GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO "{url.database}"',
            ):
                admin.execute(statement)
        url = url.update_query_dict({"options": f"-c role={url.database}"})
    ledger = open_ledger(url.render_as_string(False), create=False)
    kept = await Desk(ledger).keep(*page_of())
    await ledger.close()
    assert kept.stored == len(MANY)
