"""Words for stories about the sidecar: one on a made-up world, its port, and its numbers read back."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from connector.app.api import build_app
from connector.app.sidecar import Sidecar
from connector.app.wiring import Wired
from tests.stories.world import World

BOTH = frozenset({"hubspot", "salesforce"})


def parts_of(world: World, holder: str = "sidecar", *crms: str) -> Wired:
    """What a process of this name has wired."""
    adapters = {crm: adapter for crm, adapter in world.adapters.items() if not crms or crm in crms}
    return Wired(adapters, world.definition, world.ledger, world.clock, holder)  # type: ignore[arg-type]


async def sidecar(world: World, holder: str = "sidecar", *crms: str) -> Sidecar:
    """One that has looked around and serves whatever nobody else does."""
    side = Sidecar(parts_of(world, holder, *crms))
    for _ in range(2):
        await side.served.look()
    return side


async def asked(side: Sidecar, path: str) -> tuple[int, Any]:
    """What its port answers: the status, and the document (or the text where it is none)."""
    transport = httpx.ASGITransport(build_app(side))
    async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client:
        answer = await client.get(path)
    is_json = answer.headers["content-type"].startswith("application/json")
    return answer.status_code, answer.json() if is_json else answer.text


async def numbers(side: Sidecar) -> dict[str, float]:
    """Its metrics: `name` or `name label label` (in the order of the labels' names) -> value."""
    _, text = await asked(side, "/metrics")
    side.meters.forget()
    return {
        " ".join([sample.name.removeprefix("connector_"), *(value for _, value in sorted(sample.labels.items()))]):
            sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip
