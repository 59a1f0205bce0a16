"""The application posts what people do: taken or refused at the door, kept once, decided within a minute."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, create_engine, select

from connector.app.access import Access, Role
from connector.app.api import build_app, waiting_app
from connector.app.incoming import Doors, FullError, Inbox, doors_of
from connector.app.incoming.early import sync_early
from connector.app.sidecar import Sidecar
from connector.app.wiring import plugins
from connector.core.conditions import Leaf
from connector.core.model import Quarantined
from connector.core.privacy_rules import NO_BEHAVIOUR, PrivacyRule
from connector.core.tracking import APP, Call, read_call
from connector.errors import StopRun
from connector.ledger.engine import Database, parse_url
from connector.ledger.tables import ENGAGEMENT
from connector.ledger.tables_tracking import AWAITED
from connector.ports import EARLY, Tracked
from tests.stories.sidecar_words import numbers, parts_of
from tests.stories.world import START, World, look, somebody, world

KEY = "a-write-key-of-the-tests"
ADMIN = {Role.ADMIN: "a-token-of-an-admin-of-the-tests"}
HOME, GUARDED, OPEN = Access(), Access(bootstrap=ADMIN), Access("0.0.0.0:8080", ADMIN)
LOCAL = "127.0.0.1"


def client(
    side: Sidecar,
    peer: str = LOCAL,
    host: str = "localhost:8080",
    access: Access = HOME,
    doors: Doors | None = None,
) -> httpx.AsyncClient:
    app = build_app(side, access, doors)
    transport = httpx.ASGITransport(app, client=(peer, 50_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode()}


def track(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": f"m{number}", "event": "Docs Viewed", "userId": "7", **more}


@pytest.fixture
async def small(sqlite_url: str) -> Any:
    async with world(sqlite_url, people=2) as here:
        yield here


@pytest.mark.parametrize(
    ("access", "key", "peer", "host", "headers", "status"),
    [
        (OPEN, KEY, "10.0.0.9", "mql.example.com", basic(KEY), 200),
        (OPEN, KEY, "10.0.0.9", "mql.example.com", basic("another"), 401),
        (OPEN, KEY, "10.0.0.9", "mql.example.com", {}, 401),
        (OPEN, KEY, "10.0.0.9", "mql.example.com", {"Authorization": "Basic \u00e4"}, 401),
        (OPEN, KEY, "10.0.0.9", "mql.example.com", {"Authorization": f"Bearer {KEY}"}, 401),
        (OPEN, "", LOCAL, "localhost", {}, 403),
        (GUARDED, "", LOCAL, "localhost", {}, 200),
        (GUARDED, "", "10.0.0.9", "localhost", {}, 403),
        (HOME, KEY, LOCAL, "localhost", {}, 401),
        (HOME, KEY, "10.0.0.9", "mql.example.com", basic(KEY), 403),
        (HOME, "", LOCAL, "localhost:8080", {}, 200),
        (HOME, "", "::1", "[::1]:8080", basic("anything"), 200),
        (HOME, "", LOCAL, "mql.example.com", {}, 403),
        (HOME, "", LOCAL, "localhost", {"X-Forwarded-For": "10.0.0.9"}, 403),
        (HOME, "", LOCAL, "localhost", {"Origin": "https://evil.example"}, 403),
    ],
)
async def test_who_may_post(
    small: World, access: Access, key: str, peer: str, host: str, headers: Mapping[str, str], status: int
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with client(Sidecar(parts_of(small)), peer, host, access, Doors(key)) as app:
        answer = await app.post("/v1/track", json=track(1), headers=encoded)
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"success": True}
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert KEY not in answer.text


async def test_libraries_that_have_the_key_in_the_body_and_other_addresses_are_taken_too(
    small: World,
) -> None:
    side = Sidecar(parts_of(small))
    async with client(side, access=OPEN, doors=Doors(KEY)) as app:
        answers = [
            (await app.post(path, json={"writeKey": key, "batch": [track(n)]})).status_code
            for n, (path, key) in enumerate(
                (("/v1/b", KEY), ("/v1/import", KEY), ("/v1/batch", KEY), ("/v1/batch", "x"), ("/v1/b", 7))
            )
        ]
        single = await app.post("/v1/track", json={**track(9), "writeKey": KEY})
    assert (answers, single.status_code) == ([200, 200, 200, 401, 401], 200)
    assert (await numbers(side))["tracked_total stored"] == 4


async def test_a_key_that_is_mounted_anew_is_in_force_at_once_and_the_old_one_within_a_minute_no_more(
    small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted, swapped = tmp_path / "key", tmp_path / "new"
    mounted.write_text(KEY)
    monkeypatch.setenv("CONNECTOR_INGEST_TOKEN_FILE", str(mounted))
    number = iter(range(9))
    async with client(Sidecar(parts_of(small)), access=OPEN, doors=doors_of(plugins())) as app:

        async def by(key: str) -> int:
            answer = await app.post("/v1/track", json=track(next(number)), headers=basic(key))
            return answer.status_code

        assert (await by(KEY), await by("another-write-key")) == (200, 401)
        swapped.write_text("another-write-key")
        swapped.replace(mounted)
        small.later(minutes=1)
        assert (await by(KEY), await by("another-write-key")) == (401, 200)
        swapped.write_text("the third write key")  # of which nothing can be made: the last one stays
        swapped.replace(mounted)
        small.later(minutes=1)
        assert (await by("another-write-key"), await by("the third write key")) == (200, 401)
        swapped.write_text(KEY)
        swapped.replace(mounted)
        assert (await by(KEY), await by("another-write-key")) == (200, 401)


async def test_what_comes_is_taken_set_aside_or_refused_and_never_an_error_of_ours(small: World) -> None:
    side = Sidecar(parts_of(small))
    page = json.dumps({**track(1), "padding": "x" * 40_000}).encode()
    batch = {
        "batch": [
            track(1),
            track(1),
            track(2, event=None),
            "no event",
            track(3, padding="x" * 40_000),
            track(4),
        ]
    }
    many = {"batch": [track(n, padding="x" * 30_000) for n in range(20)]}
    bomb = gzip.compress(b"[" + b" " * 40_000_000 + b"]")
    packed = {"Content-Encoding": "gzip"}
    who = {"userId": "7", "traits": {"email": "a@b.example"}}
    huge = b'{"userId":99999999999999999999999,"event":"X\\u0000","messageId":"n\\u0000"}'
    nested = b'{"a":' * 1_000 + b"1" + b"}" * 1_000
    deep = (
        b'{"type":"track","userId":"7","event":"X","timestamp":"2026-11-22T09:00:00Z","properties":'
        + nested
        + b"}"
    )
    listed = b'{"userId":"7","event":"X","messageId":"l","properties":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"
    async with client(side) as app:
        answers = {
            name: (await app.post(path, content=content, headers=headers)).status_code
            for name, path, content, headers in (
                ("packed batch", "/v1/batch", gzip.compress(json.dumps(batch).encode()), packed),
                ("page", "/v1/page", json.dumps({"anonymousId": "a", "messageId": "p"}).encode(), {}),
                ("identify", "/v1/identify", json.dumps(who).encode(), {}),
                ("alias", "/v1/alias", json.dumps({"userId": "7", "previousId": "a"}).encode(), {}),
                ("group", "/v1/group", json.dumps({"userId": "7", "groupId": "g"}).encode(), {}),
                ("screen", "/v1/screen", json.dumps({"userId": "7", "messageId": "s"}).encode(), {}),
                ("large event", "/v1/track", page, {}),
                ("full batch", "/v1/batch", json.dumps({"batch": [track(4, padding="x" * 32_000)] * 15}).encode(), {}),
                ("large batch", "/v1/batch", json.dumps(many).encode(), {}),
                ("bomb", "/v1/batch", bomb, packed),
                ("half a gzip", "/v1/batch", gzip.compress(json.dumps(batch).encode())[:40], packed),
                ("no gzip", "/v1/batch", b"{}", packed),
                ("brotli", "/v1/batch", b"{}", {"Content-Encoding": "br"}),
                ("no JSON", "/v1/track", b"{", {}),
                ("surrogate", "/v1/track", rb'{"userId":"\ud800","event":"X"}', {}),
                ("no event", "/v1/track", b'{"userId":"7"}', {}),
                ("no batch", "/v1/batch", b"[]", {}),
                ("deep", "/v1/track", deep, {}),
                ("deep batch", "/v1/batch", b'{"batch":[' + deep + b"]}", {}),
                ("deeper", "/v1/track", b"[" * 3_000, {}),
                ("list in list", "/v1/track", listed, {}),
                ("early time", "/v1/track", json.dumps(track(5, timestamp="0001-01-01T00:00:00+14:00")).encode(), {}),
                ("unknown", "/v1/nothing", b"{}", {}),
                ("numbers", "/v1/track", huge, {}),
            )
        }  # fmt: skip
        read = await app.get("/v1/track")
    told = await numbers(side)

    assert answers == {
        "packed batch": 200, "page": 200, "identify": 200, "alias": 200, "group": 200, "screen": 200,
        "large event": 413, "full batch": 200, "large batch": 413, "bomb": 413, "half a gzip": 400, "no gzip": 400,
        "brotli": 415, "no JSON": 400, "surrogate": 400, "no event": 400, "no batch": 400, "deep": 400,
        "deep batch": 200, "deeper": 400, "list in list": 400, "early time": 400, "unknown": 404, "numbers": 400,
    }  # fmt: skip
    assert (read.status_code, read.headers["content-type"]) == (405, "application/problem+json")
    assert [told[f"tracked_total {outcome}"] for outcome in ("stored", "duplicate", "set_aside")] == [
        4,
        16,
        4,
    ]


async def test_somebody_who_raises_a_hand_in_the_application_is_decided_by_a_sync_before_its_time(
    database_url: str,
) -> None:
    async with world(database_url, people=30) as here:
        await here.sync()
        ada = await somebody(here, stage="lead", where=lambda view: view.score.fit >= 25)
        side = Sidecar(parts_of(here))
        here.later(minutes=1)
        for _ in range(2):
            await side.served.look()
        async with client(side) as app:
            await app.post("/v1/track", json={"anonymousId": "a", "event": "Demo Request", "messageId": "1"})
            await sync_early(side)
            nothing_yet = await here.ledger.open_requests()
            await app.post(
                "/v1/identify", json={"anonymousId": "a", "userId": "7", "traits": {"email": ada.email}}
            )
            await app.post("/v1/track", json={"userId": "7", "event": "Docs Viewed", "messageId": "2"})
        for _ in range(2):
            await sync_early(side)
        asked = await here.ledger.open_requests()
        task = await side._requests.look(side.served.crms)
        assert task is not None
        await task
        now = await look(here, ada)
        story = await here.ledger.story(now.id)
        [write] = [each for each in here.writes("hubspot") if each.id == ada.contact][-1:]

    assert nothing_yet == []
    assert [(each.kind, each.crms, each.asked_by) for each in asked] == [
        ("sync", ("hubspot", "salesforce"), "first-party engagement")
    ]
    assert (now.state.stage, now.score.hand_raised is not None) == ("mql", True)
    assert write.fields["lifecyclestage"][1] == "marketingqualifiedlead"
    assert sum("Demo Request" in str(line) for line in story) >= 1


async def test_what_was_done_before_anybody_had_the_address_counts_once_somebody_has_it(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=12) as here:
        async with client(Sidecar(parts_of(here))) as app:
            call = {"userId": "later@example.com", "event": "Demo Request", "messageId": "1"}
            assert (await app.post("/v1/track", json=call)).status_code == 200
        here.later(minutes=1)
        await here.sync()
        ada = await somebody(here, where=lambda view: view.score.fit >= 25)
        assert ada.view.score.hand_raised is None
        here.hubspot.edit("contact", ada.contact, {"email": "later@example.com"})
        here.later(minutes=1)
        await here.sync()
        now = await look(here, ada)
    assert (now.state.stage, now.score.hand_raised is not None) == ("mql", True)


async def test_of_people_whose_behaviour_may_not_be_counted_nothing_is_stored(sqlite_url: str) -> None:
    async with world(sqlite_url, people=12) as here:
        await here.sync()
        ada = await somebody(here)
        bob = await somebody(here, where=lambda view: ada.contact not in {ref.id for ref in view.refs})
        rule = PrivacyRule(Leaf("email", "is", ada.email.casefold()), NO_BEHAVIOUR, "Objected to profiling")
        here.redefine(privacy=(rule,))
        side = Sidecar(parts_of(here))
        async with client(side) as app:
            for path, call in (
                ("track", track(1, userId=None, anonymousId="a")),  # nobody's yet
                ("identify", {"anonymousId": "a", "traits": {"email": ada.email}}),
                ("track", track(2, userId=None, anonymousId="a", event="Demo Request")),
                ("track", track(3, userId=bob.email)),
            ):
                assert (await app.post(f"/v1/{path}", json=call)).status_code == 200
        told = await numbers(side)
        early = await here.ledger.hints(EARLY.crm, EARLY.object, 1)
    engine = create_engine(sqlite_url)
    with engine.connect() as db:
        kept = db.execute(select(ENGAGEMENT.c.key).where(ENGAGEMENT.c.crm == APP)).scalars().all()
        waits = db.execute(select(AWAITED)).all()
    engine.dispose()
    assert (kept, waits, early) == (["m3"], [], [])
    assert told["tracked_total left_out"] == 2


class Slow:
    """A ledger that answers when it is told to."""

    def __init__(self) -> None:
        self.go, self.kept, self.commits = asyncio.Event(), list[str](), 0
        self.poison, self.away = "", False

    async def keep_tracked(
        self, calls: Sequence[Call], aside: Sequence[Quarantined], at: datetime, **_: Any
    ) -> Tracked:
        return await self.keep(calls, aside)

    async def keep(self, calls: Sequence[Call], aside: Sequence[Quarantined]) -> Tracked:
        await self.go.wait()
        self.commits += 1
        if self.away or any(call.id == self.poison for call in calls):
            raise StopRun("The database refused the work.")
        self.kept += [call.id for call in calls]
        return Tracked(stored=len(calls))


def calls(*ids: str) -> list[Call]:
    return [read_call({"userId": "1", "messageId": id, "event": "X"}, START, kind="track") for id in ids]


async def test_requests_that_come_together_share_a_commit_and_what_does_not_fit_is_sent_away_before_it_is_taken() -> (
    None
):
    slow, told = Slow(), list[Tracked]()
    inbox = Inbox(slow.keep, told.append, most=5)
    first = asyncio.create_task(inbox.take(calls("a", "b"), [], 2))
    await asyncio.sleep(0)
    others = [asyncio.create_task(inbox.take(calls(id), [], 1)) for id in "cd"]
    await asyncio.sleep(0)
    with pytest.raises(FullError):
        await inbox.take(calls("e", "f"), [], 2)
    slow.go.set()
    await asyncio.gather(first, *others)
    await inbox.take(calls("e", "f"), [], 2)

    assert slow.kept == ["a", "b", "c", "d", "e", "f"]
    assert slow.commits == 3
    assert (inbox.waiting, sum(each.stored for each in told)) == (0, 6)


async def test_a_request_that_cannot_be_kept_takes_no_other_with_it_and_whoever_sent_it_hears_of_it() -> None:
    slow = Slow()
    slow.poison = "c"
    inbox = Inbox(slow.keep, lambda told: None)
    first = asyncio.create_task(inbox.take(calls("a"), [], 1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(inbox.take(calls(id), [], 1)) for id in "bcd"]
    await asyncio.sleep(0)
    slow.go.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)

    assert slow.kept == ["a", "b", "d"]
    assert [type(each) for each in outcomes] == [type(None), type(None), StopRun, type(None)]
    assert inbox.waiting == 0


async def test_while_the_ledger_is_away_nobody_waits_for_each_request_to_fail_by_itself() -> None:
    slow = Slow()
    inbox = Inbox(slow.keep, lambda told: None)
    sent = [asyncio.create_task(inbox.take(calls(id), [], 1)) for id in "abcdefgh"]
    slow.away = True
    slow.go.set()
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    slow.away = False
    await inbox.take(calls("i"), [], 1)
    assert [type(each) for each in outcomes] == [StopRun] * 8
    assert slow.commits < 8
    assert (slow.kept, inbox.waiting) == (["i"], 0)


async def test_an_application_that_sends_more_than_the_disk_takes_is_asked_to_come_again(
    small: World,
) -> None:
    slow = Slow()
    side = Sidecar(replace(parts_of(small), ledger=slow))  # type: ignore[arg-type]
    batch = gzip.compress(json.dumps({"batch": [track(n, padding="x" * 32_000) for n in range(15)]}).encode())
    async with client(side) as app:
        post = partial(app.post, "/v1/batch", content=batch, headers={"Content-Encoding": "gzip"})
        sent, away = {asyncio.create_task(post()) for _ in range(80)}, set[asyncio.Task[httpx.Response]]()
        while len(away) < 14:  # 66 of them are 32 MB
            done, sent = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
            away |= done
        slow.go.set()
        taken = await asyncio.gather(*sent)
        again = await post()
    assert {(each.result().status_code, each.result().headers["retry-after"]) for each in away} == {
        (429, "1")
    }
    assert [each.status_code for each in (*taken, again)] == [200] * (len(taken) + 1)
    assert len(slow.kept) == 15 * (len(taken) + 1)
    assert (await numbers(side))["tracked_total sent_away"] == 15 * len(away)


async def test_what_the_ledger_cannot_keep_is_asked_for_again_and_no_error_of_ours(small: World) -> None:
    side = Sidecar(parts_of(small))
    await small.ledger.close()
    async with client(side) as app:
        answer = await app.post("/v1/track", json=track(1))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_nothing_is_dropped_while_the_database_is_waited_for_at_the_start() -> None:
    transport = httpx.ASGITransport(waiting_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as app:
        answers = [await app.post(path, json=track(1)) for path in ("/v1/batch", "/webhooks/hubspot")]
    assert [(each.status_code, each.headers["retry-after"]) for each in answers] == [(503, "5")] * 2


async def test_what_nobody_can_be_asked_for_again_waits_for_the_disk_and_nothing_else_does(
    sqlite_url: str,
) -> None:
    def waits(db: Connection) -> int:
        return int(db.exec_driver_sql("PRAGMA synchronous").scalar() or 0)

    def fails(db: Connection) -> None:
        raise ZeroDivisionError

    database = Database(parse_url(sqlite_url))
    try:
        before, within = await database.write(waits), await database.write_through(waits)
        with pytest.raises(ZeroDivisionError):
            await database.write_through(fails)
        after = await database.write(waits)
    finally:
        await database.close()
    assert (before, within, after) == (1, 2, 1)


async def test_another_definition_is_seen_within_a_minute(small: World) -> None:
    side = Sidecar(parts_of(small))
    rules = replace(small.definition.criteria, tracking=())
    assert side.current.definition.criteria.tracking == rules.tracking
    looks = []

    async def looked(crms: Sequence[str]) -> None:
        looks.append(crms)

    side.current.of = looked  # type: ignore[assignment, method-assign]
    async with client(side) as app:
        for minutes in (0, 2, 0):
            small.clock.advance(timedelta(minutes=minutes))
            await app.post("/v1/track", json=track(minutes))
    assert looks == [()]
