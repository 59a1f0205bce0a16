"""People are told through Apprise, for real: a web server and a mail server on loopback take what is sent."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connector.app.sidecar import Sidecar
from connector.app.telling import read_targets, tell
from connector.core.notify import MQL, Notify
from connector.errors import FixConfig
from tests.stories.reading_words import client_of
from tests.stories.sidecar_words import parts_of
from tests.stories.test_handed_over import asks, owned, raised
from tests.stories.world import World, somebody, world


class Board:
    """A web server that keeps what is posted to it, by path; `broken` paths answer 500."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.broken: set[str] = set()
        self.answers = threading.Event()  # while it is not set, what was taken is not answered
        self.answers.set()
        board = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                place = self.path.strip("/")
                if place not in board.broken:
                    board.posted.append((place, body))
                board.answers.wait(10)
                self.send_response(500 if place in board.broken else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """A test is told by its assertions."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, place: str) -> str:
        return f"json://127.0.0.1:{self.server.server_address[1]}/{place}"

    def on(self, place: str) -> list[str]:
        """What was told there: title and body."""
        return [f"{body['title']}\n{body['message']}" for where, body in self.posted if where == place]


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board()
    threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[int, list[tuple[list[str], str]]]]:
    """Takes mail by SMTP (RFC 5321), as much of it as a client needs: its port, and (recipients, text) of each."""
    taken: list[tuple[list[str], str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            verb = line.decode().strip().upper()
            if verb.startswith("RCPT"):
                to.append(re.findall(r"<(.+?)>", line.decode())[0])
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(raw, policy=email.policy.default)
                part = message.get_body(("plain", "html"))
                taken.append((to, f"{message['subject']}\n{part.get_content() if part else ''}"))
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == "QUIT":
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], taken


def side_of(made: World, *targets: str, holder: str = "one", address: str = "") -> Sidecar:
    return Sidecar(parts_of(made, holder), read_targets("\n".join(targets)), address)


async def test_a_first_load_is_one_summary_and_a_new_mql_is_told_once_with_a_name_and_the_why(
    database_url: str, board: Board
) -> None:
    async with world(database_url, people=20) as made:
        targets = [f"{tag}={board.url(tag)}" for tag in ("sales", "revops")]
        await made.sync()
        mqls = (await made.ledger.stage_counts())["mql"]
        side = side_of(made, *targets)
        await tell(side)

        [summary] = board.on("revops")
        assert f"The first load (run 1) found {mqls} MQLs. Nobody was told of them one by one." in summary
        assert board.on("sales") == []

        who = await raised(made)
        other = side_of(made, *targets, holder="two")
        await asyncio.gather(tell(side), tell(other), return_exceptions=True)
        await tell(other)
        made.later(hours=1)
        await made.sync()
        await tell(side_of(made, *targets, holder="after a restart"))

        [told] = board.on("sales")
        view = await made.ledger.person((await made.ledger.find(who.email))[0])
        assert view is not None
        assert told.startswith(f"New MQL: {view.fields['first_name']} {view.fields['last_name']}")
        assert view.state.because in told
        assert "@" not in told
        assert len(board.on("revops")) == 1


async def test_a_target_that_fails_is_tried_again_later_and_keeps_nobody_else_waiting(
    sqlite_url: str, board: Board
) -> None:
    async with world(sqlite_url, people=20) as made:
        made.redefine(notify=Notify({MQL: ("sales", "chat")}, email=True))
        await made.sync()
        side = side_of(made, f"sales={board.url('sales')}", f"chat={board.url('chat')}")
        who = await raised(made)
        board.broken = {"chat"}
        await tell(side)
        await tell(side)
        assert [who.email in each for each in board.on("sales")] == [True], (
            "an address, since it was asked for"
        )
        assert side.outbox.failing == {"chat/json"}

        board.broken = set()
        await tell(side)
        assert board.on("chat") == [], "it is left alone for a minute"
        made.later(minutes=2)
        await tell(side)
        assert board.on("chat") == board.on("sales")
        assert not side.outbox.failing


async def test_who_dies_between_sending_and_marking_tells_once_more_under_the_same_number(
    sqlite_url: str, board: Board
) -> None:
    async with world(sqlite_url, people=20) as made:
        target = f"sales={board.url('sales')}"
        await raised(made)
        board.answers.clear()
        dies = asyncio.create_task(tell(side_of(made, target)))
        while not board.on("sales"):  # noqa: ASYNC110  (the other thread knows no event of this loop)
            await asyncio.sleep(0.01)
        dies.cancel()
        await asyncio.gather(dies, return_exceptions=True)
        board.answers.set()
        for _ in range(2):
            await tell(side_of(made, target, holder="after it"))
        first, again = [each for each in board.on("sales") if each.startswith("New MQL")]
        assert first == again, "twice rather than never, and a receiver can tell by the number"
        assert re.search(r"#\d+$", first)


async def test_what_is_wrong_is_told_when_it_begins_and_when_it_is_over(
    sqlite_url: str, board: Board
) -> None:
    async with world(sqlite_url, people=4) as made:
        await made.sync()
        side = side_of(made, f"ops={board.url('ops')}")
        await made.ledger.set_brake("hubspot", True, "Ada", "an audit", made.clock.now())
        for _ in range(3):
            await tell(side)
            made.later(minutes=10)
        [began] = board.on("ops")
        assert "Pushing to hubspot is stopped by Ada: an audit" in began

        await made.ledger.set_brake("hubspot", False, "Ada", "", made.clock.now())
        await tell(side)
        await tell(side)
        _, over = board.on("ops")
        assert "Right again: Pushing to hubspot is stopped by Ada" in over


async def test_beyond_the_daily_cap_people_are_told_of_in_one_line_the_next_day(
    sqlite_url: str, board: Board
) -> None:
    async with world(sqlite_url, people=30) as made:
        made.redefine(notify=Notify({MQL: ("sales",)}, daily_cap=1))
        side = side_of(made, f"sales={board.url('sales')}")
        await raised(made)
        for _ in range(2):
            await asks(made, await somebody(made))
        await tell(side)
        assert len(board.on("sales")) == 1

        made.later(days=1)
        await tell(side)
        await tell(side)
        _, folded = board.on("sales")
        assert "2 new MQLs were not told one by one" in folded


async def test_the_week_is_told_once_on_its_day(sqlite_url: str, board: Board) -> None:
    async with world(sqlite_url, people=20) as made:
        side = side_of(made, f"revops={board.url('revops')}")
        await tell(side)
        await raised(made)
        before = len(board.on("revops"))
        for _ in range(6 * 4):
            made.later(hours=6)
            await tell(side)
        weeks = [each for each in board.on("revops")[before:] if each.startswith("MQLs of the week")]
        assert len(weeks) == 1
        assert "1 new MQLs" in weeks[0]


async def test_owners_are_told_under_the_address_that_the_crm_has(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as made, mail_server() as (port, taken):
        await raised(made, where=owned)
        await tell(
            side_of(made, f"owners=mailto://127.0.0.1:{port}?from=mql@acme.example&to=nobody@acme.example")
        )
        [(to, text)] = taken
        owner = (await made.ledger.spells())[-1].spell.owner
        users = {each.id: each for each in await made.ledger.users()}
        assert to == [users[owner].email]
        assert text.startswith("New MQL")


def test_a_target_that_cannot_be_used_is_named_by_its_place_and_its_url_stays_secret() -> None:
    wrong = "sales=json://127.0.0.1/ok\nowners=json://127.0.0.1/s3cr3t-path\nnothing-at-all\nops=json://example.com/s3cr3t"
    with pytest.raises(FixConfig) as told:
        read_targets(wrong)
    text = str(told.value) + "".join(str(each) for each in told.value.problems)
    assert [each.path[1] for each in told.value.problems] == [1, 2, 3]
    assert "is not encrypted" in text
    assert "s3cr3t" not in text
    assert "s3cr3t" not in repr(read_targets("ops=json://127.0.0.1/s3cr3t-path"))


async def test_with_an_address_of_the_connector_a_message_leads_to_the_page_of_the_person(
    sqlite_url: str, board: Board
) -> None:
    async with world(sqlite_url, people=20) as made:
        await made.sync()
        side = side_of(made, f"sales={board.url('sales')}", address="https://mql.example.com")
        who = await raised(made)
        await tell(side)
        [told] = board.on("sales")
        [link] = re.findall(r"https://mql\.example\.com(/people/\d+)$", told, re.MULTILINE)
        async with client_of(side) as client:
            page = await client.get(link)
            missing = [
                (await client.get(path)).status_code for path in ("/people/999999", "/people/0", "/people/x")
            ]

        [number] = await made.ledger.find(who.email)
        view = await made.ledger.person(number)
        assert view is not None
        assert link == f"/people/{number}"
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert escape(view.state.because) in page.text
        assert "<h2>Why</h2>" in page.text
        assert "<h2>History</h2>" in page.text
        assert who.email not in page.text
        assert "<script" not in page.text
        assert missing == [404, 422, 422]
