"""L1: where one person stands, asked over HTTP by e-mail address, beside a bare FastAPI route that answers a constant.

Each is served by a process of its own, with a viewer's token; the asker is this one, over connections that stay open.
People are drawn at random, so that nothing but the file system's cache helps. `BENCH_LOOKUP_PEOPLE` is how many there
are; at the target's own size it is 1000000.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import re
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from bench.due import fill
from bench.measure import Row, size
from connector.app.access import Access, Role
from connector.app.api import build_app
from connector.app.commands.init import shipped
from connector.app.commands.serve import listening
from connector.app.definition import load_definition
from connector.app.sidecar import Sidecar
from connector.app.wiring import SystemClock, Wired, plugins
from connector.ledger import open_ledger
from connector.ledger.engine import build_engine, parse_url

PEOPLE = size("LOOKUP_PEOPLE", 20_000)
ASKED = size("LOOKUPS", 2_000)
CONNECTIONS = 8
WARM = 200
ROUNDS = 4
TOKENS = {Role.ADMIN: "an-admin-token-of-twenty-letters", Role.VIEWER: "a-viewer-token-of-twenty-letters"}
LOOKUP, CONSTANT = "/api/v1/people/lookup?email=", "/constant?email="


@dataclass(frozen=True)
class Answered:
    """How fast: answers a second, and milliseconds that one took."""

    per_second: float
    p50: float
    p99: float


def _serve_ours(listener: socket.socket, url: str) -> None:
    parts = Wired({}, load_definition(shipped(), plugins()), open_ledger(url), SystemClock(), "bench")
    _serve(listener, build_app(Sidecar(parts), Access(bootstrap=TOKENS)))


def _serve_bare(listener: socket.socket, url: str) -> None:
    app = FastAPI()

    @app.get("/constant")
    async def constant(email: str) -> dict[str, object]:
        return {"person": 1, "stage": "mql", "score": 61, "why": "score 61 reaches 60"}

    _serve(listener, app)


def _serve(listener: socket.socket, app: FastAPI) -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    asyncio.run(server.serve(sockets=[listener]))


@contextmanager
def _served(serve: Callable[[socket.socket, str], None], url: str) -> Iterator[int]:
    listener = listening("127.0.0.1:0")
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listener, url))
    process.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        process.terminate()
        process.join()
        listener.close()


async def _ask(port: int, path: str, emails: list[str], connections: int, tag: bool = False) -> Answered:
    """Ask for each of them once. `tag`: each connection asks for its first one again and again, by its ETag."""
    left, took = iter(emails), list[float]()
    head = f"Host: localhost:{port}\r\nAuthorization: Bearer {TOKENS[Role.VIEWER]}\r\n"

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        known = ""
        asked = next(left)
        for email in left:
            began = time.perf_counter()
            if not tag:
                asked = email
            writer.write(f"GET {path}{asked} HTTP/1.1\r\n{head}{known}\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            status = answer.split(b" ", 2)[1]
            if status not in (b"200", b"304"):
                raise SystemExit(answer.decode())
            if status == b"200":
                await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", answer)[0]))
            took.append(time.perf_counter() - began)
            if tag and not known:
                (etag,) = re.findall(rb"(?i)etag: ([^\r]+)", answer)
                known = f"If-None-Match: {etag.decode()}\r\n"
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(took, n=100)
    return Answered(len(took) / seconds, cuts[49] * 1000, cuts[98] * 1000)


def _once(port: int, path: str, connections: int, turn: int, tag: bool = False) -> Answered:
    """One round, about other people than the ones before."""
    dice = random.Random(turn)
    numbers = [dice.randrange(1, PEOPLE + 1) for _ in range(WARM + ASKED)]
    emails = [f"p{n}@company{n // 3}.example" for n in numbers]
    asyncio.run(_ask(port, path, emails[:WARM], connections, tag))
    return asyncio.run(_ask(port, path, emails[WARM:], connections, tag))


def run() -> list[Row]:
    """L1, on SQLite. The best of some rounds of each, taken in turn, so that a busy moment hits all alike."""
    found: dict[str, list[Answered]] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        asyncio.run(open_ledger(url).close())
        with build_engine(parse_url(url)).begin() as db:
            fill(db, PEOPLE, events=0)
        with _served(_serve_ours, url) as ours, _served(_serve_bare, url) as bare:
            for turn in range(ROUNDS):
                for name, answered in {
                    "many": _once(ours, LOOKUP, CONNECTIONS, turn),
                    "bare": _once(bare, CONSTANT, CONNECTIONS, turn),
                    "again": _once(ours, LOOKUP, CONNECTIONS, turn, tag=True),
                    "one": _once(ours, LOOKUP, 1, turn),
                    "bare one": _once(bare, CONSTANT, 1, turn),
                }.items():
                    found.setdefault(name, []).append(answered)
    best = {name: max(each, key=lambda one: one.per_second) for name, each in found.items()}
    many, bare_many = best["many"], best["bare"]
    return [
        _row(f"look-ups among {PEOPLE:,}, {CONNECTIONS} at once", many),
        _row("the same, 304 by their ETag", best["again"]),
        _row(f"a bare route that answers a constant, {CONNECTIONS} at once", bare_many),
        Row("L1", "ours beside it", f"{many.per_second / bare_many.per_second:.2f}x"),
        _row("look-ups one by one", best["one"]),
        _row("the bare route one by one", best["bare one"]),
    ]


def _row(what: str, found: Answered) -> Row:
    return Row("L1", f"{what}; p50, p99", f"{found.per_second:,.0f}/s; {found.p50:.1f}, {found.p99:.1f} ms")
