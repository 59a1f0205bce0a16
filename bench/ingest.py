"""I1: first-party events that are on the disk, beside bare INSERTs of the same rows into the same database.

Ours: batches of 100 events over real HTTP, eight connections, read, tied to their visitors and kept once. The peer: the
same rows by one `executemany` a batch of 100 and a commit each, SQLite waiting for the disk alike; no HTTP, no JSON,
no question whether a row is known. Told beside it: requests of a single event, 64 at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from sqlalchemy import select

from bench.measure import Rate, Row, Watch, size
from connector.app.api import build_app
from connector.app.commands.init import shipped
from connector.app.commands.serve import listening
from connector.app.definition import load_definition
from connector.app.sidecar import Sidecar
from connector.app.wiring import SystemClock, Wired, plugins
from connector.ledger import open_ledger
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.tables import ENGAGEMENT

EVENTS = size("INGEST_EVENTS", 20_000)
SINGLE = EVENTS // 10
BATCH = 100
CONNECTIONS = 8
AT_ONCE = 64
PEOPLE = 500


def _event(number: int) -> dict[str, object]:
    return {
        "type": "track", "messageId": f"m{number}", "event": "Docs Viewed", "userId": f"p{number % PEOPLE}@example.com",
        "timestamp": datetime.now(UTC).isoformat(), "properties": {"page": f"/docs/{number % 90}", "plan": "pro"},
        "context": {"library": {"name": "bench", "version": "1"}},
    }  # fmt: skip


async def _post(port: int, path: str, bodies: list[bytes], connections: int) -> None:
    """Over so many connections that stay open, as plain as can be: what a client costs is not measured here."""
    left = iter(bodies)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in left:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            told = int(re.findall(rb"(?i)content-length: (\d+)", answer)[0])
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                raise SystemExit((answer + await reader.readexactly(told)).decode())
            await reader.readexactly(told)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


async def _ours(url: str) -> tuple[Rate, Rate]:
    """In batches, and one by one."""
    ledger = open_ledger(url)
    parts = Wired({}, load_definition(shipped(), plugins()), ledger, SystemClock(), "bench")
    app = build_app(Sidecar(parts))
    listener = listening("127.0.0.1:0")
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    port = listener.getsockname()[1]
    batches = [
        json.dumps({"batch": [_event(n) for n in range(start, start + BATCH)]}).encode()
        for start in range(0, EVENTS, BATCH)
    ]
    singles = [json.dumps(_event(EVENTS + n)).encode() for n in range(SINGLE)]
    try:
        await _post(port, "/v1/batch", batches[:1], 1)  # once, not counted: what is loaded late
        watch = Watch()
        await _post(port, "/v1/batch", batches[1:], CONNECTIONS)
        many = watch.rate(EVENTS - BATCH)
        watch = Watch()
        await _post(port, "/v1/track", singles, AT_ONCE)
        return many, watch.rate(SINGLE)
    finally:
        server.should_exit = True
        await serving
        await ledger.close()


def _bare(url: str) -> Rate:
    """The same rows once more, under other keys."""
    columns = [column.name for column in ENGAGEMENT.columns if column.name != "id"]
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT INTO engagement ({', '.join(columns)}) VALUES ({marks})"
    key = columns.index("key")
    with build_engine(parse_url(url)).connect() as db:
        driver = db.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        kept = cursor.execute(f"SELECT {', '.join(columns)} FROM engagement LIMIT {EVENTS}").fetchall()
        rows = [(*row[:key], f"bare-{row[key]}", *row[key + 1 :]) for row in kept]
        cursor.execute("PRAGMA synchronous=FULL")
        watch = Watch()
        for start in range(0, len(rows), BATCH):
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany(insert, rows[start : start + BATCH])
            cursor.execute("COMMIT")
        return watch.rate(len(rows))


def _kept(url: str) -> int:
    with build_engine(parse_url(url)).begin() as db:
        return len(db.execute(select(ENGAGEMENT.c.id)).all())


def run() -> list[Row]:
    """I1, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        many, single = asyncio.run(_ours(url))
        if _kept(url) != EVENTS + SINGLE:
            raise SystemExit(f"{_kept(url)} events are kept of {EVENTS + SINGLE}")
        bare = _bare(url)
    return [
        Row("I1", f"events in batches of {BATCH} over HTTP, on the disk", f"{many.per_second:,.0f}/s"),
        Row("I1", f"bare INSERTs of the same rows, {BATCH} a commit", f"{bare.per_second:,.0f}/s"),
        Row("I1", "ours beside them", f"{many.per_second / bare.per_second:.2f}x"),
        Row("I1", f"requests of one event, {AT_ONCE} at once", f"{single.per_second:,.0f}/s"),
    ]
