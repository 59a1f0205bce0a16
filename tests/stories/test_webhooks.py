"""HubSpot calls when something changes: believed only by its signature, and only as a hint to read the record again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest

from adapters.hubspot.sandbox.gate import CLIENT_SECRET
from adapters.hubspot.sandbox.webhooks import Webhooks
from adapters.hubspot.webhooks import hook, signature
from connector.app.api import build_app
from connector.app.incoming import Doors
from connector.app.sidecar import Sidecar
from connector.core.mapping import wanted_fields
from connector.core.model import RecordState, Ref
from connector.ports import HookCall
from tests.stories.port_words import listening
from tests.stories.sidecar_words import numbers, parts_of
from tests.stories.world import START, World, somebody, world

PUBLIC = "https://mql.example.com"
URI = f"{PUBLIC}/webhooks/hubspot"
DOORS = Doors(hooks={"hubspot": {"HUBSPOT_CLIENT_SECRET": CLIENT_SECRET}}, public_url=PUBLIC)


def hooks(here: World) -> Webhooks:
    found: Webhooks = here.hubspot.sandbox.store.webhooks  # type: ignore[attr-defined]
    found.subscribed = True
    return found


async def delivered(here: World, side: Sidecar, base: str, **how: Any) -> list[int]:
    """HubSpot calls the public address; a proxy hands it on to the port."""
    async with httpx.AsyncClient() as proxy:

        async def post(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
            answer = await proxy.post(uri.replace(PUBLIC, base), content=body, headers=dict(headers))
            return answer.status_code

        return await hooks(here).deliver(URI, post, **how)


async def named(here: World) -> set[str]:
    return {ref.id for ref, _ in await here.ledger.hints("hubspot", "contact", 100)}


async def states(here: World, *ids: str) -> list[RecordState]:
    refs = [Ref("hubspot", "contact", id) for id in ids]
    known = {record.ref: record.state for record in (await here.ledger.neighbourhood(refs)).records}
    return [known[ref] for ref in refs]


async def test_what_hubspot_calls_about_is_read_by_the_next_sync_before_its_index_knows_and_echoes_cost_nothing(
    database_url: str,
) -> None:
    slow = {"hubspot": {"index_lag_seconds": 7_200.0}}
    async with world(database_url, people=20, options=slow) as here:
        hooks(here)
        first = await here.sync()
        ada = await somebody(here)
        everybody = {
            ref.id
            for view in await here.ledger.people(limit=100)
            for ref in view.refs
            if ref.crm == "hubspot"
        }
        bob, eve, grace, dan, *_ = sorted(everybody - {ada.contact})
        read = wanted_fields(here.definition.mappings["hubspot"])["contact"]
        unread = "zip"
        assert unread not in read
        side = Sidecar(parts_of(here))
        async with listening(build_app(side, doors=DOORS)) as port:
            base = f"http://127.0.0.1:{port}"
            echoes = await delivered(here, side, base)  # of all that the sync has written
            of_echoes = await named(here)
            here.later(minutes=1)
            here.hubspot.edit("contact", ada.contact, {"jobtitle": "Chief Magician"})
            here.hubspot.edit("contact", dan, {unread: "1"})
            here.hubspot.act("contact", bob, "gdpr_delete")
            survivor = here.hubspot.act("contact", grace, "merge", other=eve)["id"]
            events = list(hooks(here).events)
            forged = await delivered(here, side, base, secret="somebody-else")
            hooks(here).events = list(events)
            late = await delivered(here, side, base, late=300_001)
            of_strangers = await named(here)
            hooks(here).events = [{**event, "portalId": 1} for event in events]
            elsewhere = await delivered(here, side, base)
            of_elsewhere = await named(here)
            hooks(here).events = list(events)
            told = await delivered(here, side, base)
            hinted = await named(here)
            counted = await numbers(side)
        before = await states(here, bob, eve, grace)
        second = await here.sync("hubspot")
        after = await states(here, bob, eve, grace, survivor)
        left = await named(here)
        [number] = await here.ledger.find(f"hubspot:contact:{ada.contact}")
        view = await here.ledger.person(number)

    assert first.crms["hubspot"].written > 0
    assert (set(echoes), of_echoes) == ({204}, set())
    assert (set(forged), set(late), of_strangers) == ({401}, {401}, set())
    assert (set(elsewhere), of_elsewhere) == ({204}, set())
    assert (set(told), hinted) == ({204}, {ada.contact, bob, eve, grace, survivor})
    assert before == [RecordState.LIVE] * 3
    assert after == [RecordState.ARCHIVED, RecordState.MERGED, RecordState.MERGED, RecordState.LIVE]
    assert view is not None
    assert view.fields["title"] == "Chief Magician"
    assert (second.status, left) == ("succeeded", set())
    assert counted["webhook_events_total hubspot kept"] >= 5
    assert counted["webhook_events_total hubspot refused"] == len(forged) + len(late)


SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
STAMP = str(int(START.timestamp() * 1000))
BODY = orjson.dumps([{"subscriptionType": "contact.creation", "objectId": 151, "portalId": 62515}])


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, ""),
        ({"uri": "http://mql.example.com/webhooks/hubspot"}, "CONNECTOR_PUBLIC_URL"),
        ({"method": "PUT"}, "signature"),
        ({"body": BODY + b" "}, "signature"),
        ({"headers": {}}, "no signature"),
        (
            {"headers": {"x-hubspot-signature": "ab12", "x-hubspot-request-timestamp": STAMP}},
            "no signature v3",
        ),
        ({"stamp": "12"}, "five minutes"),
        ({"stamp": "-1"}, "no number"),
        ({"stamp": "\u0661" * 13}, "no number"),
        ({"secret": ""}, "HUBSPOT_CLIENT_SECRET"),
    ],
)
def test_quirk_hubspot_24_a_call_is_believed_only_with_its_v3_signature_of_exactly_this(
    changed: dict[str, Any], refused: str
) -> None:
    signed = signature(SECRET, "POST", URI, BODY, STAMP)
    headers = {"x-hubspot-signature-v3": signed, "x-hubspot-request-timestamp": changed.get("stamp", STAMP)}
    call = HookCall(
        changed.get("method", "POST"), changed.get("uri", URI), changed.get("headers", headers),
        changed.get("body", BODY), START,
    )  # fmt: skip
    heard = hook({"HUBSPOT_CLIENT_SECRET": changed.get("secret", SECRET)}, call)
    assert refused in heard.refused
    assert bool(heard.refused) == bool(refused)
    assert [(of, str(hint.ref)) for of, hint in heard.hints] == (
        [] if refused else [("62515", "hubspot:contact:151")]
    )


def test_the_address_is_signed_as_hubspot_decodes_it() -> None:
    plain = signature(SECRET, "POST", "https://x.example/a:b?c=d/e", b"", STAMP)
    packed = signature(SECRET, "POST", "https://x.example/a%3Ab?c=d%2fe", b"", STAMP)
    kept = signature(SECRET, "POST", "https://x.example/a%20b", b"", STAMP)
    assert plain == packed
    assert kept != signature(SECRET, "POST", "https://x.example/a b", b"", STAMP)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"subscriptionType": "company.deletion", "objectId": 7}, ["company:7"]),
        ({"subscriptionType": "contact.privacyDeletion", "objectId": 7}, ["contact:7"]),
        ({"subscriptionType": "object.creation", "objectTypeId": "0-3", "objectId": 7}, ["deal:7"]),
        ({"subscriptionType": "object.creation", "objectTypeId": "2-9", "objectId": 7}, []),
        (
            {"subscriptionType": "contact.merge", "objectId": 1, "primaryObjectId": 1, "mergedObjectIds": [2],
             "newObjectId": 3},
            ["contact:1", "contact:3", "contact:2"],
        ),
        (
            {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_COMPANY",
             "fromObjectId": 1, "toObjectId": 2},
            ["contact:1", "company:2"],
        ),
        ({"subscriptionType": "ticket.creation", "objectId": 7}, []),
        ({"subscriptionType": "contact.creation", "objectId": {"a": 1}}, []),
        ({"subscriptionType": "contact.creation", "objectId": "7; DROP"}, []),
        ({}, []),
        ("text", []),
    ],
)  # fmt: skip
def test_which_records_a_call_names(event: Any, named: list[str]) -> None:
    body = orjson.dumps([event])
    headers = {
        "x-hubspot-signature-v3": signature(SECRET, "POST", URI, body, STAMP),
        "x-hubspot-request-timestamp": STAMP,
    }
    heard = hook({"HUBSPOT_CLIENT_SECRET": SECRET}, HookCall("POST", URI, headers, body, START))
    assert [f"{hint.ref.object}:{hint.ref.id}" for _, hint in heard.hints] == named
    assert heard.unreadable == (0 if named else 1)
