"""People over the API: looked up by the page view, listed piece by piece, explained as by the command."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
from sqlalchemy import update

from connector.app.commands.init import shipped
from connector.app.explaining import explain_now, explain_past, gather, kept_definitions, whole_document
from connector.app.output import to_json
from connector.app.ranking import Asked, ranked
from connector.app.settings import load_settings
from connector.core.criteria import whole
from connector.ledger.tables import PERSON
from connector.testing.clock import HandClock
from tests.stories.reading_words import all_of, client_of, got
from tests.stories.sidecar_words import sidecar
from tests.stories.world import somebody, world

LOOKUP = "/api/v1/people/lookup"


async def test_a_page_view_looks_one_person_up_and_asks_again_for_nothing_new(database_url: str) -> None:
    async with world(database_url, people=20) as made:
        await made.sync()
        mql = await somebody(made, stage="mql")
        async with client_of(await sidecar(made)) as client:
            email = str(mql.view.fields["email"])
            answer = await client.get(LOOKUP, params={"email": f" {email.upper()} "})
            told = answer.json()
            assert (told["person"], told["stage"], told["mql_status"]) == (mql.view.id, "mql", "qualified")
            assert (told["score"], told["grade"]) == (whole(mql.view.score.score), mql.view.score.grade)
            assert told["why"] == mql.view.state.because
            assert told["mql_since"].endswith("Z")
            assert answer.headers["cache-control"] == "private, max-age=15"
            assert answer.headers["vary"] == "authorization"

            for ref in mql.view.refs:
                for name in (str(ref), ref.id, f"person:{mql.view.id}"):
                    assert await got(client, "people/lookup", record=name) == told

            tag = answer.headers["etag"]
            again = await client.get(
                LOOKUP, params={"email": email}, headers={"if-none-match": f'"x", W/{tag}'}
            )
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert again.headers["cache-control"] == answer.headers["cache-control"]

            made.hubspot.edit("contacts", mql.contact, {"hs_lead_status": "UNQUALIFIED"})
            made.later(hours=2)
            await made.sync()
            fresh = await client.get(LOOKUP, params={"email": email}, headers={"if-none-match": tag})
            assert fresh.status_code == 200
            assert fresh.json()["mql_status"] in ("rejected", "recycled")


async def test_who_is_not_known_or_not_one_is_a_problem_and_no_address_is_repeated(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        async with client_of(await sidecar(made)) as client:
            nobody = await client.get(LOOKUP, params={"email": "nobody+here@example.org"})
            assert (nobody.status_code, nobody.headers["content-type"]) == (404, "application/problem+json")
            assert nobody.headers["cache-control"] == "private, max-age=15"
            for query in ({}, {"email": "a@b.c", "record": "1"}, {"email": "no-address"}, {"record": "a\0b"}):
                wrong = await client.get(LOOKUP, params=query)
                assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")
            for answer in (nobody, wrong):
                assert "example.org" not in answer.text
            gone = (await somebody(made)).view.id
            ended = update(PERSON).where(PERSON.c.id == gone).values(ended_at=made.clock.now())
            await made.ledger._db.write(lambda db: db.execute(ended))
            assert (await client.get(LOOKUP, params={"record": f"person:{gone}"})).status_code == 404
            for person in ("99999", "9" * 40, "nobody@example.org", "hubspot:contact:0", "person:x"):
                answer = await client.get(f"/api/v1/people/{person}/explain")
                assert (answer.status_code, "example.org" in answer.text) == (404, False), answer.text


async def test_an_address_that_two_people_have_says_whom_one_may_mean(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        one, other = (await made.ledger.people(limit=2))[:2]
        email = str(one.fields["email"])
        contact = next(ref.id for ref in other.refs if ref.object == "contact")
        made.hubspot.edit("contacts", contact, {"email": email, "lastname": "Somebody-Else"})
        made.later(hours=2)
        await made.sync()
        assert len(found := await made.ledger.find(email)) == 2
        async with client_of(await sidecar(made)) as client:
            answer = await client.get(LOOKUP, params={"email": email})
            assert answer.status_code == 409
            assert all(f"person:{each}" in answer.json()["detail"] for each in found)
            assert (await client.get(f"/api/v1/people/{email}/explain")).status_code == 409


async def test_the_list_goes_on_where_it_ended_and_is_the_one_that_the_command_prints(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=30) as made:
        await made.sync()
        side = await sidecar(made)
        criteria = made.definition.criteria
        async with client_of(side) as client:
            for asked in (
                Asked(),
                Asked(sort="fit"),
                Asked(stage="mql", email=True),
                Asked(owner=str((await made.ledger.people(limit=1))[0].fields.get("owner") or "")),
            ):
                command = [row async for row in ranked(made.ledger, asked, None, criteria)]
                query = {"stage": asked.stage, "owner": asked.owner, "sort": asked.sort, "email": asked.email}
                query = {name: value for name, value in query.items() if value is not None}
                pieces = await all_of(client, "people", "people", limit=7, **query)
                if not asked.email:
                    assert {each.pop("email") for each in pieces} == {None}
                assert pieces == orjson.loads(to_json(command))
                assert [each["rank"] for each in pieces] == list(range(1, len(pieces) + 1))
            assert len(await all_of(client, "people", "people", limit=200)) > 20


async def test_a_person_is_explained_as_by_the_command(sqlite_url: str) -> None:
    settings = load_settings(database_url=sqlite_url, mappings_dir=shipped())
    async with world(sqlite_url, people=20) as made:
        await made.sync()
        first = made.clock.now()
        lead = await somebody(made, stage="lead")
        made.later(days=3)
        made.hubspot.edit("contacts", lead.contact, {"jobtitle": "Chief Executive Officer"})
        made.later(hours=2)
        await made.sync()
        now = made.clock.now()
        view = await made.ledger.person(lead.view.id)
        assert view is not None
        read = kept_definitions(made.ledger, settings)
        found = explain_now(await gather(made.ledger, view, read, now), now)
        command = orjson.loads(to_json(whole_document(found, now)))
        side = await sidecar(made)
        side.parts = replace(side.parts, clock=HandClock(now))  # type: ignore[arg-type]
        async with client_of(side) as client:
            for name in (str(view.id), str(view.fields["email"]), *map(str, view.refs)):
                assert await got(client, f"people/{name}/explain") == command
            assert "email" in (await got(client, f"people/{view.id}/explain", email=True))["fields"]

            changed = await got(client, f"people/{view.id}/explain", since=first.isoformat())
            assert changed["changed"]["score_now"] > changed["changed"]["score_then"]
            then = first + timedelta(minutes=1)
            past = (await got(client, f"people/{view.id}/explain", at=then.isoformat()))["past"]
            same = whole_document(await explain_past(made.ledger, found, then, then, read), now)["past"]
            assert past == orjson.loads(to_json(same))

            for query in ({"until": "2026-11-01"}, {"known_at": "2026-11-01"}, {"at": "2999-01-01"}, {"at": "x"},
                          {"since": "0001-01-01T00:00:00+14:00"}, {"at": "9" * 30}):  # fmt: skip
                answer = await client.get(f"/api/v1/people/{view.id}/explain", params=query)
                assert answer.status_code == 422, query
