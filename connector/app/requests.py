"""The command's side of a request: with a sidecar alive, work is left to it and followed; without one it is done here.

So one process, and one rate limiter, calls each CRM. The sidecar's side is `serving`.

    document = await carried_out(parts, "apply", {"plan": 7}, asked_by=actor(), here=body)

`here` does the work in this process and returns the document that the command prints; `serving` has the same work under
the same kind (`Sidecar`). Arguments are JSON, the document too.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from connector.app.error_document import error_of
from connector.app.observed import CORRELATION, correlation_id
from connector.app.wiring import Wired
from connector.core.definition import Definition
from connector.core.model import JsonValue
from connector.errors import FixConfig, RetryLater
from connector.phases.lease import PATIENCE, POLL
from connector.ports import Request, serving

MAY_BE_DONE_HERE = frozenset(
    {"sync"}
)  # when the sidecar has gone with it; the rest is asked for once more by a human

Document = dict[str, Any]


async def carried_out(
    parts: Wired,
    kind: str,
    arguments: Mapping[str, JsonValue],
    *,
    asked_by: str,
    here: Callable[[], Awaitable[Document]],
) -> Document:
    """The document of this work on these CRMs, done here or by the sidecar that serves them.

    Raises what the work raises, wherever it was done: the exit code is the same. FixConfig where several sidecars serve
    these CRMs, RetryLater where the sidecar has gone, none came for a minute, and the work is not a sync. Interrupted,
    it stops following; the request stays with the sidecar.
    """
    if await in_one_hand(parts) is None:
        return await here()
    asked = await ask(parts, kind, arguments, asked_by)
    _say(f"The sidecar has been asked to do it (request {asked.id}).")
    try:
        document = await _followed(parts, asked)
    except asyncio.CancelledError:
        _say(
            f"Request {asked.id} stays with the sidecar; `connector runs list` and `connector plan list` show what"
            " comes of it."
        )
        raise
    if document is not None:
        return document
    _say("Nobody has taken it up for over a minute: the sidecar is gone. It is done here.")
    return await here()


async def ask(parts: Wired, kind: str, arguments: Mapping[str, JsonValue], asked_by: str) -> Request:
    """Leave this work on these CRMs to the sidecar that serves them: with the definition that it is asked by, and the
    correlation id under which it is to be logged."""
    told = {"definition": fingerprint(parts.definition), CORRELATION: correlation_id()}
    return await parts.ledger.ask_request(
        kind, list(parts.adapters), {**arguments, **told}, asked_by, parts.clock.now()
    )


async def in_one_hand(parts: Wired) -> str | None:
    """Who serves all of these CRMs; None where nobody serves any. Raises FixConfig where they are not in one hand."""
    now = parts.clock.now()
    holders = {crm: await parts.ledger.holder(serving(crm), now) for crm in parts.adapters}
    if len(set(holders.values())) > 1:
        told = ", ".join(f"{crm} by {who or 'nobody'}" for crm, who in holders.items())
        raise FixConfig(
            f"These CRMs are not served by one sidecar: {told}.",
            next_step="Ask for one CRM at a time: each is decided with the facts of all.",
            where="ledger",
        )
    return next(iter(holders.values()))


async def _followed(parts: Wired, asked: Request) -> Document | None:
    """The document once it is there; None where nobody came and it may be done here. Says on stderr how far it is."""
    ledger, clock = parts.ledger, parts.clock
    alone, told = timedelta(), ""
    while True:
        now = await ledger.request(asked.id) or asked
        if now.status == "done":
            return dict(now.answer)
        if now.status == "failed":
            raise error_of(now.answer["error"])
        line = now.answer.get("progress") if now.status == "running" else "It waits for its turn."
        if line and line != told:
            told = str(line)
            _say(told)
        alone = timedelta() if await _served(parts) else alone + POLL
        if alone > PATIENCE and await ledger.withdraw_request(asked.id, clock.now()):
            if asked.kind in MAY_BE_DONE_HERE:
                return None
            raise RetryLater(
                f"The sidecar is gone, and nobody has taken up request {asked.id} for over a minute; it is withdrawn.",
                next_step="Run the same command again: without a sidecar it does the work itself. What was under way is"
                " read back first.",
                where="ledger",
            )
        await clock.sleep(POLL)


async def _served(parts: Wired) -> bool:
    """Whether somebody is alive who would take it up."""
    now = parts.clock.now()
    holders = {await parts.ledger.holder(serving(crm), now) for crm in parts.adapters}
    return len(holders) == 1 and holders != {None}


def fingerprint(definition: Definition) -> str:
    """Of the files: by another definition than the one asked for, nothing is done in its name."""
    texts = orjson.dumps(dict(definition.texts), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(texts).hexdigest()[:16]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
