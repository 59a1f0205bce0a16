"""The API holds to its own document: whatever is sent, no answer is a 500 or one that the document does not tell."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import FailureGroup, not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from connector.app.access import Access, Role
from connector.app.api import build_app
from connector.app.api.guard import OPEN
from connector.app.sidecar import Sidecar
from connector.core.limits import PlanLimits
from tests.databases import ledger_url
from tests.stories.api_words import TOKENS
from tests.stories.sidecar_words import parts_of
from tests.stories.world import world

T = TypeVar("T")

EXAMPLES = 15  # of each operation, as the document has them and otherwise
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = {  # what a ledger of twelve people has, so that not every answer is a 404
    "plan": "1", "run": "1", "request": "1", "pair": "1", "override": "1", "draft": "1", "version": "1",
    "crm": "hubspot", "person": "1",
}  # fmt: skip
CALLERS = [TOKENS[role] for role in Role] + [None, "a token that nobody has"]


class Port:
    """The whole app on a ledger in which something has happened, in one loop of its own."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self.client = self.run(self._opened(url))
        document = self.run(self.client.get("/openapi.json")).json()
        self.schema = schemathesis.openapi.from_dict(document)

    async def _opened(self, url: str) -> httpx.AsyncClient:
        w = await self._stack.enter_async_context(world(url, people=12))
        await w.sync()
        w.remap("hubspot", limits=PlanLimits(people=0))
        await w.sync(yes=False)
        side = Sidecar(parts_of(w))
        await side.served.look()
        app = build_app(side, Access("127.0.0.1:8080", TOKENS))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.close()

    def answer(self, case: schemathesis.Case, token: str | None) -> httpx.Response:
        """What is answered to a generated request of whoever has this token."""
        asked = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1")).prepare()
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "authorization"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.run(self.client.request(asked.method, asked.url, content=asked.body, headers=headers))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    made = Port(ledger_url("sqlite", Path(tmp_path_factory.mktemp("api"))))
    yield made
    made.close()


def asked(port: Port, operation: Any, mode: GenerationMode) -> tuple[set[int], list[str]]:
    """What was answered to requests of this kind, and what of it the document does not tell."""
    seen: set[int] = set()
    checks = CHECKS[1:] if operation.path in OPEN else CHECKS  # probes say no by a status of 503

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(mode), token=st.sampled_from(CALLERS), known=st.booleans())
    def ask(case: schemathesis.Case, token: str | None, known: bool) -> None:
        if known:
            mine = case.path_parameters.keys() & KNOWN.keys()
            case.path_parameters |= {name: KNOWN[name] for name in mine}
        answer = port.answer(case, token)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=checks)

    try:
        ask()
    except Unsatisfiable:  # what takes nothing cannot be sent wrongly
        return seen, []
    except (FailureGroup, ExceptionGroup) as error:
        return seen, [f"{operation.label} ({mode.value}): {each}" for each in error.exceptions]
    return seen, []


def test_no_answer_is_a_500_or_one_that_the_document_does_not_tell(port: Port) -> None:
    seen: dict[str, set[int]] = {}
    wrong: list[str] = []
    for result in port.schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            statuses, found = asked(port, operation, mode)
            seen.setdefault(operation.label, set()).update(statuses)
            wrong += found

    assert not wrong, "\n\n".join(wrong)
    assert len(seen) > 50
    answered = {status for statuses in seen.values() for status in statuses}
    assert {200, 202, 401, 403, 404, 409, 422} <= answered, "else it asked for next to nothing"
