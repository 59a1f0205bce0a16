"""Webhooks of CRMs: `/webhooks/CRM`. Answered at once; whatever they say is a hint to read a record again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import APIRouter, Request, Response

from connector.app.api.problems import problem
from connector.app.incoming import Doors, Refused, read_body
from connector.app.sidecar import Sidecar
from connector.app.wiring import plugins
from connector.core.hints import Hint
from connector.core.mapping import CrmMapping, wanted_fields
from connector.errors import ConnectorError
from connector.ports import Heard, HookCall

log = structlog.get_logger("connector.incoming")

MOST = 1_000_000  # bytes
TELL = timedelta(minutes=1)
Hook = Callable[[Mapping[str, str], HookCall], Heard]
NEVER = datetime.min.replace(tzinfo=UTC)


def router(side: Sidecar, doors: Doors) -> APIRouter:
    """A route for each CRM that calls by itself."""
    app = APIRouter(tags=["webhooks"])

    def route(crm: str, hook: Hook) -> None:
        ear = _Ear(side, doors, crm, hook)

        @app.post(
            f"/webhooks/{crm}", name=crm, status_code=204,
            summary="The CRM tells what has changed; it signs its calls",
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
        )  # fmt: skip
        async def hear(request: Request) -> Response:
            return await ear.hear(request)

    for crm, plugin in sorted(plugins().items()):
        if plugin.hook is not None:
            route(crm, plugin.hook)
    return app


class _Ear:
    """For the calls of one CRM."""

    def __init__(self, side: Sidecar, doors: Doors, crm: str, hook: Hook) -> None:
        self._side, self._doors, self._crm, self._hook = side, doors, crm, hook
        self._told = NEVER

    async def hear(self, request: Request) -> Response:
        """One call: proven to be the CRM's, kept as hints, answered."""
        side, crm, counter = self._side, self._crm, self._side.meters.hints
        if crm not in side.parts.adapters:
            return problem(404, "This CRM is not connected.")
        try:
            body = await read_body(request, MOST)
        except Refused as no:
            return problem(no.status, no.why)
        at = side.parts.clock.now()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = HookCall(request.method, self._doors.address(request), headers, body, at)
        self._doors.look(at)
        heard = self._hook(self._doors.hooks.get(crm, {}), call)
        if heard.refused:  # by a secret that has changed, perhaps
            self._doors.renew()
            heard = self._hook(self._doors.hooks.get(crm, {}), call)
        if heard.refused:
            counter.labels(crm, "refused").inc()
            if at - self._told >= TELL:  # whoever calls must not fill the log
                self._told = at
                log.warning("webhook refused", crm=crm, why=heard.refused)
            return problem(401, heard.refused)
        try:
            account = await side.parts.ledger.bound(crm)
            hints = list(_useful(heard, account, side.current.definition.mappings[crm]))
            kept = await side.parts.ledger.keep_hints(hints, at)
        except ConnectorError as error:
            log.warning("hints cannot be kept", crm=crm, error=str(error))
            return problem(503, "It cannot be kept now; send it again.", {"Retry-After": "5"})
        counter.labels(crm, "kept").inc(kept)
        counter.labels(crm, "ignored").inc(len(heard.hints) + heard.unreadable - kept)
        return Response(status_code=204)


def _useful(heard: Heard, account: str | None, mapping: CrmMapping) -> Iterator[Hint]:
    """Of our account, and about what the mapping reads."""
    wanted = wanted_fields(mapping)
    for of, hint in heard.hints:
        read = wanted.get(hint.ref.object)
        if of == account and read is not None and (not hint.field or hint.needed or hint.field in read):
            yield hint
