"""Jobs by the clock: once among all replicas, missed runs folded, a failure tried again and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.sidecar import Sidecar
from connector.app.sidecar.jobs import AGAIN, CrmJob, Job, Jobs, due_at
from connector.app.wiring import Wired, plugins
from connector.errors import RetryLater
from connector.ledger import open_ledger
from connector.ports import JobRun, serving
from connector.testing.clock import HandClock
from tests.stories.world import START

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


async def nothing(side: Sidecar) -> None:
    """No work at all."""


async def looked(*replicas: Jobs) -> None:
    """All of them look at once, and what they begin ends."""
    for tasks in await asyncio.gather(*[each.look() for each in replicas]):
        await asyncio.gather(*tasks)


def counting(done: list[str]) -> Callable[[Sidecar], Awaitable[None]]:
    async def body(side: Sidecar) -> None:
        await asyncio.sleep(0)
        done.append(side.parts.holder)

    return body


async def test_a_job_is_done_once_among_replicas_and_what_was_missed_is_made_up_for_once(
    database_url: str,
) -> None:
    definition = load_definition(shipped(), plugins())
    clock, done = HandClock(START), list[str]()
    job = Job("count", HOUR, counting(done))
    ledgers = [open_ledger(database_url) for _ in range(2)]
    try:
        replicas = [
            Jobs(Sidecar(Wired({}, definition, ledger, clock, f"replica {n}")), [job])  # type: ignore[arg-type]
            for n, ledger in enumerate(ledgers)
        ]
        counts = []
        for minutes in (0, 1, 58, 1, 5 * 60, 1, 60):
            clock.advance(timedelta(minutes=minutes))
            await looked(*replicas)
            await looked(*replicas)
            counts.append(len(done))
        kept = (await ledgers[0].jobs())["count"]
    finally:
        for ledger in ledgers:
            await ledger.close()

    assert counts == [1, 1, 1, 2, 3, 3, 4]
    assert kept == JobRun("count", clock.now(), clock.now(), "")


async def test_a_failed_job_is_tried_again_and_one_whose_process_died_is_begun_by_another(
    sqlite_url: str,
) -> None:
    definition = load_definition(shipped(), plugins())
    clock, tries = HandClock(START), list[datetime]()

    async def body(side: Sidecar) -> None:
        tries.append(clock.now())
        if len(tries) == 1:
            raise RetryLater("The post office is closed.", next_step="Come again.")
        if len(tries) == 2:
            raise asyncio.CancelledError  # as `stop` does

    ledger = open_ledger(sqlite_url)
    try:
        jobs = Jobs(Sidecar(Wired({}, definition, ledger, clock, "one")), [Job("post", HOUR, body)])  # type: ignore[arg-type]
        await looked(jobs)
        failed = (await ledger.jobs())["post"].failed
        await looked(jobs)
        clock.advance(AGAIN)
        for task in await jobs.look():
            await asyncio.gather(task, return_exceptions=True)
        await looked(jobs)
        [*_, last] = (await ledger.jobs()).values()

        lease = await ledger.acquire("job:post", "dead", clock.now())
        clock.advance(HOUR)
        lease = await ledger.renew(lease, clock.now())
        await ledger.begin_job("post", lease, clock.now())
        await looked(jobs)
        meanwhile = len(tries)
        clock.advance(AGAIN)
        await looked(jobs)
    finally:
        await ledger.close()

    assert "The post office is closed." in failed
    assert tries == [START, START + AGAIN, START + AGAIN, START + HOUR + 2 * AGAIN]
    assert last == JobRun("post", START + AGAIN, START + AGAIN, "")
    assert meanwhile == 3


async def test_a_job_of_a_crm_is_done_by_who_serves_it(sqlite_url: str) -> None:
    definition = load_definition(shipped(), plugins())
    clock, done = HandClock(START), list[tuple[str, str]]()

    async def body(side: Sidecar, crm: str) -> None:
        done.append((side.parts.holder, crm))

    ledger = open_ledger(sqlite_url)
    try:
        await ledger.acquire(serving("salesforce"), "other", clock.now())
        both = {"hubspot": None, "salesforce": None}
        side = Sidecar(Wired(both, definition, ledger, clock, "one"))  # type: ignore[arg-type]
        await side.served.look()
        await side.served.look()
        await looked(Jobs(side, [CrmJob("census", HOUR, body)]))
        known = list(await ledger.jobs())
    finally:
        await ledger.close()

    assert done == [("one", "hubspot")]
    assert known == ["census:hubspot"]


@pytest.mark.parametrize(
    ("begun", "due"),
    [
        ("2026-11-22T10:00", "2026-11-23T01:30"),  # 2:30 in Berlin, in winter
        ("2026-11-23T01:29", "2026-11-23T01:30"),
        ("2026-11-23T01:30", "2026-11-24T01:30"),
        ("2026-07-01T10:00", "2026-07-02T00:30"),  # in summer
        ("2026-03-28T12:00", "2026-03-29T01:30"),  # an hour that the clocks leave out is the next
    ],
)
def test_a_night_is_the_night_of_the_time_zone(begun: str, due: str) -> None:
    at = datetime.fromisoformat(begun).replace(tzinfo=UTC)
    job = Job("sweep", timedelta(days=1), nothing, night=time(2, 30))

    found = due_at(job, JobRun("sweep", at, at), BERLIN, at)

    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert due_at(job, None, BERLIN, at) == found, "one that was never done waits for the first night"
