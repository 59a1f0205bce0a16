"""The sidecar's side: which CRMs it serves, and the work that commands have left to it, one request after the other.

Decides nothing of the work itself. Backfills have a way of their own (`backfilling`), since they give way to the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from connector.app.error_document import error_document
from connector.app.leases import held
from connector.app.log_errors import frames_of
from connector.app.observed import CORRELATION, observed, work
from connector.app.progress import said_to
from connector.app.requests import fingerprint
from connector.app.tasks import Tasks
from connector.app.tracing import Note
from connector.app.wiring import Wired
from connector.core.definition import Definition
from connector.core.model import JsonValue
from connector.errors import ConnectorError, FixConfig, LeaseBusy, StopRun
from connector.phases.lease import Heartbeat, extended
from connector.pipeline import Watching
from connector.ports import Lease, Request, request_lease, serving

log = structlog.get_logger("connector.serving")

REQUEST = "request"
TELL = 2.0  # seconds between two words to whoever follows a request

Work = Callable[[Wired, Mapping[str, JsonValue], str, Watching], Awaitable[dict[str, Any]]]
"""With what is wired for the CRMs asked for, by these arguments, asked by whom, telling whom. Returns the document that
the command prints. It may be begun again after a process that died at it."""


class Served:
    """The CRMs that this process serves: one process a CRM, as long as it lives."""

    def __init__(self, parts: Wired) -> None:
        self._parts = parts
        self._leases: dict[str, Lease] = {}
        self._elsewhere: set[str] = set()

    @property
    def crms(self) -> frozenset[str]:
        """Ours now."""
        now = self._parts.clock.now()
        return frozenset(crm for crm, lease in self._leases.items() if lease.expires_at > now)

    async def look(self) -> None:
        """Keep what is ours, and take what nobody serves. Where another serves one of our CRMs, it is left the time to
        take the others too, so that one process has them all."""
        ledger, clock = self._parts.ledger, self._parts.clock
        for crm in self._parts.adapters:
            known = self._leases.get(crm)
            try:
                self._leases[crm] = (
                    await extended(ledger, known, clock.now())
                    if known
                    else await ledger.acquire(serving(crm), self._parts.holder, clock.now())
                )
            except LeaseBusy:
                self._leases.pop(crm, None)
                if crm not in self._elsewhere:
                    self._elsewhere.add(crm)
                    return
            else:
                self._elsewhere.discard(crm)

    async def other(self, crm: str) -> str | None:
        """Who else serves it."""
        if crm in self.crms:
            return None
        holder = await self._parts.ledger.holder(serving(crm), self._parts.clock.now())
        return holder if holder != self._parts.holder else None  # ours, and just being taken

    async def release(self) -> None:
        """Others may serve them at once."""
        for lease in self._leases.values():
            with suppress(ConnectorError):
                await self._parts.ledger.release(lease)
        self._leases.clear()


class Current:
    """What is wired, with the definition that is in force now."""

    def __init__(self, parts: Wired) -> None:
        self._parts = parts
        self.told = ""  # where the folder says something else than what is in force

    @property
    def definition(self) -> Definition:
        """As of the last look."""
        return self._parts.definition

    async def of(self, crms: Iterable[str]) -> Wired:
        """For these CRMs."""
        told = ""
        try:
            self._parts = await self._parts.read_again()
            told = self._parts.told
        except FixConfig as error:
            told = str(error)
        if told and told != self.told:
            log.warning("the files are not what is in force", why=told)
        self.told = told
        return self._parts.of(crms)


class Requests:
    """Takes up what commands have left, in the order in which they asked, in turn with the scheduled syncs (`turn`)."""

    def __init__(
        self,
        parts: Wired,
        current: Current,
        works: Mapping[str, Work],
        turn: asyncio.Lock,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stopping = stopping
        self._ledger, self._clock, self._holder = parts.ledger, parts.clock, parts.holder
        self._current, self._works, self._turn = current, works, turn
        self.tasks = Tasks()  # one at a time

    async def look(self, crms: frozenset[str]) -> asyncio.Task[None] | None:
        """Begin the oldest that is about CRMs of ours alone, unless one is under way. One whose process died, without
        an answer, is begun again. What is under way now; None where there is nothing to do."""
        if (under_way := self.tasks.at(REQUEST)) is not None:
            return under_way
        for each in await self._ledger.open_requests():
            at_it = await self._ledger.holder(request_lease(each.id), self._clock.now())
            if crms.issuperset(each.crms) and at_it is None:
                return self.tasks.begin(REQUEST, self._answer(each))
        return None

    async def _answer(self, asked: Request) -> None:
        try:
            async with (
                self._turn,
                held(self._ledger, request_lease(asked.id), self._holder, self._clock) as hold,
            ):
                if self._stopping():
                    return
                if await self._ledger.take_request(asked.id, hold.lease, self._clock.now()) is not None:
                    told = asked.arguments.get(CORRELATION)
                    with work(asked.kind, str(told) if told else None, request=asked.id) as note:
                        await self._take_up(asked, hold, note)
        except ConnectorError as error:  # without an answer, so it is begun again
            log.warning("request given up", request=asked.id, kind=asked.kind, error=str(error))

    async def _take_up(self, asked: Request, hold: Heartbeat, note: Note) -> None:
        log.info("request begins", request=asked.id, kind=asked.kind, crms=list(asked.crms))
        said: list[str] = []
        telling = asyncio.create_task(self._tell(asked, said, hold))
        status, answer = "queued", {}  # when we are stopped
        try:
            watching = replace(said_to(said.append), stopping=self._stopping)
            status, answer = "done", await self._work(asked, observed(watching, note))
        except ConnectorError as error:
            status, answer = "failed", {"error": error_document(_second_try(error, asked))}
        except Exception as error:  # the sidecar goes on
            log.error("request failed", request=asked.id, error=type(error).__name__, frames=frames_of(error))
            told = ConnectorError(
                f"The sidecar met an error that nobody foresaw ({type(error).__name__}).",
                next_step="Its log says where. Report it.",
                where="sidecar",
            )
            status, answer = "failed", {"error": error_document(told)}
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await self._ledger.settle_request(asked.id, status, answer, hold.lease, self._clock.now())
            log.info("request ended", request=asked.id, status=status)

    async def _work(self, asked: Request, watching: Watching) -> dict[str, Any]:
        work = self._works.get(asked.kind)
        if work is None:
            raise FixConfig(
                f"This sidecar does not know the work `{asked.kind}`.",
                next_step="Let the command and the sidecar be of one version.",
            )
        parts = await self._current.of(asked.crms)
        if asked.arguments.get("definition") != fingerprint(parts.definition):
            raise FixConfig(
                "The files that it was asked with are not those that the sidecar works by.",
                next_step="Give both the same files (CONNECTOR_MAPPINGS_DIR), or stop the sidecar meanwhile.",
            )
        return await work(parts, asked.arguments, asked.asked_by, watching)

    async def _tell(self, asked: Request, said: Sequence[str], hold: Heartbeat) -> None:
        """The latest line, every other second, while there are new ones."""
        told = 0
        with suppress(ConnectorError):
            while True:
                await asyncio.sleep(TELL)
                if len(said) > told:
                    told = len(said)
                    await self._ledger.tell_request(asked.id, said[-1], hold.lease, self._clock.now())


def _second_try(error: ConnectorError, asked: Request) -> ConnectorError:
    """Of work that a dead process had begun nobody can say that nothing was read or written."""
    if asked.status != "running" or not isinstance(error, FixConfig):
        return error
    return StopRun(
        f"A sidecar died at it; begun again it went no further: {error.message}",
        next_step="`connector runs list` and `connector plan list` show what came of the first try.",
        where=error.where,
    )
