"""Two sidecars on one ledger, the one that serves killed again and again in the middle of a sync: the same end as
undisturbed, nothing written twice, and within a minute each time the other serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connector.app.requests import ask
from connector.app.sidecar import Sidecar
from connector.app.wiring import Wired
from connector.core.values import same_value
from connector.ledger import open_ledger
from tests.databases import ledger_url
from tests.properties.test_sync_histories import Killed, Life, Mortal
from tests.stories.sidecar_words import BOTH, parts_of
from tests.stories.world import World, world

LEASE = 46  # seconds after which a dead one's leases have run out
NEVER = 1_000_000
End = tuple[dict[str, tuple[str, str, int]], Counter[tuple[str, str, str, str]], list[str]]


def sidecar_of(w: World, name: str, life: Life) -> Sidecar:
    """One in a process that dies at its n-th call to the ledger or to a CRM."""
    ledger: Any = Mortal(open_ledger(w.ledger_url), life)
    adapters: Any = {crm: Mortal(adapter, life) for crm, adapter in w.adapters.items()}
    return Sidecar(Wired(adapters, w.definition, ledger, w.clock, name))  # type: ignore[arg-type]


async def serves(side: Sidecar) -> bool:
    for _ in range(2):
        await side.served.look()
    return side.served.crms == BOTH


async def synced(w: World, lives: Sequence[int]) -> End:
    """A sync that somebody asked for, by as many sidecars as it takes."""
    asked = await ask(parts_of(w), "sync", {"plan_only": False, "yes": True}, "ada")
    for number, calls in enumerate([*lives, NEVER]):
        life = Life(calls, hard=True, after=bool(number % 2))
        side, standby = sidecar_of(w, f"sidecar {number}", life), Sidecar(parts_of(w, "standby"))
        try:
            assert await serves(side)
            assert not await serves(standby)
            task = await side._requests.look(BOTH)
            assert task is not None
            [died] = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(died, Killed) == (calls != NEVER), died
        finally:
            await side.parts.ledger._real.close()  # type: ignore[attr-defined]
        if calls != NEVER:
            w.later(seconds=LEASE)
    found = await w.ledger.request(asked.id)
    assert found is not None
    assert (found.status, found.answer["status"]) == ("done", "succeeded"), found
    people = {
        " ".join(sorted(map(str, view.refs))): (view.state.stage, view.state.status, view.score.band)
        for view in await w.ledger.people(limit=1_000)
    }
    written: Counter[tuple[str, str, str, str]] = Counter()
    for crm in w.running.crms:
        for write in w.writes(crm):
            for name, (old, new) in write.fields.items():
                if not same_value(old, new):
                    written[crm, write.object, str(write.id), name] += 1
    sending = [
        str(row.ref)
        for plan in await w.ledger.open_plans()
        for row in await w.ledger.plan_rows(plan.id, status="sending")
    ]
    return people, written, sending


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_leader_killed_again_and_again_leaves_the_same_end(kind: str, tmp_path: Path) -> None:
    lives = (14, 25, 45, 60, 80)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    calm.mkdir()
    stormy.mkdir()
    async with world(ledger_url(kind, calm), people=12) as w:
        w.later(seconds=LEASE * len(lives))
        undisturbed = await synced(w, ())
    async with world(ledger_url(kind, stormy), people=12) as w:
        killed = await synced(w, lives)

    assert undisturbed[0]
    assert killed[0] == undisturbed[0]
    assert killed[1].keys() == undisturbed[1].keys()
    assert set(killed[1].values()) == {1}, "a field is written once"
    assert killed[2] == []
