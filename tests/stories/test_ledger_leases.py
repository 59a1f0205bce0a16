"""One holder at a time, a dead one replaced, and administration that can be read back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from connector.core.model import Ref
from connector.errors import FixConfig, LeaseBusy, StopRun
from connector.ledger import open_ledger
from connector.phases.lease import acquired
from connector.testing.clock import HandClock
from tests.stories.ledger_words import HOUR, MINUTE, NOON, Desk, contact, page


async def test_a_second_holder_waits_while_the_first_is_alive(ledger):
    await ledger.acquire("decide", "one", NOON)
    with pytest.raises(LeaseBusy, match="`decide` is being done by one"):
        await ledger.acquire("decide", "two", NOON)


async def test_a_holder_that_died_is_replaced_and_can_no_longer_renew(ledger):
    first = await ledger.acquire("decide", "one", NOON)
    second = await ledger.acquire("decide", "two", NOON + MINUTE)
    assert (second.epoch, second.holder) == (first.epoch + 1, "two")
    with pytest.raises(LeaseBusy, match="lease lost"):
        await ledger.renew(first, NOON + MINUTE)


async def test_a_renewed_lease_outlives_its_first_term(ledger):
    lease = await ledger.acquire("decide", "one", NOON)
    renewed = await ledger.renew(lease, NOON + MINUTE / 2)
    with pytest.raises(LeaseBusy):
        await ledger.acquire("decide", "two", NOON + MINUTE)
    assert renewed.expires_at == NOON + MINUTE / 2 + 0.75 * MINUTE


async def test_a_released_lease_is_free_at_once_and_cannot_be_used(ledger):
    lease = await ledger.acquire("decide", "one", NOON)
    await ledger.release(lease)
    after = await ledger.acquire("decide", "two", NOON)
    await ledger.release(lease)
    with pytest.raises(LeaseBusy):
        await ledger.acquire("decide", "three", NOON)
    with pytest.raises(LeaseBusy, match="lease lost"):
        await ledger.renew(lease, NOON)
    assert after.epoch == lease.epoch + 1


async def test_different_work_is_leased_apart(ledger):
    one = await ledger.acquire("pull:hubspot", "one", NOON)
    two = await ledger.acquire("pull:salesforce", "two", NOON)
    assert (one.epoch, two.epoch) == (1, 1)


async def test_of_many_who_reach_for_a_lease_one_gets_it(database_url):
    ledgers = [open_ledger(database_url) for _ in range(3)]
    tries = [ledger.acquire("decide", f"holder {n}", NOON) for n, ledger in enumerate(ledgers)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    for ledger in ledgers:
        await ledger.close()
    assert sorted(type(answer).__name__ for answer in answers) == ["Lease", "LeaseBusy", "LeaseBusy"]


async def test_two_processes_keep_pages_side_by_side_and_lose_nothing(database_url):
    one, two = Desk(open_ledger(database_url)), Desk(open_ledger(database_url))
    refs = [Ref("hubspot", "contact", f"{n:03}") for n in range(40)]

    async def keep_all(desk: Desk, name: str, own: list[Ref]) -> None:
        lease = await desk.ledger.acquire(name, name, NOON)
        for start in range(0, len(own), 5):
            people = [contact(ref, emails=("shared@example.com",)) for ref in own[start : start + 5]]
            await desk.ledger.keep(page(*people, stream=name), lease, 1, NOON)

    await asyncio.gather(keep_all(one, "a", refs), keep_all(two, "b", refs[::-1]))
    found = await one.due()
    await one.ledger.close()
    await two.ledger.close()
    assert found == refs


async def test_a_ledger_belongs_to_one_account_per_crm(ledger):
    await ledger.bind("hubspot", "4711", NOON)
    await ledger.bind("hubspot", "4711", NOON + HOUR)
    await ledger.bind("salesforce", "00D1", NOON)
    with pytest.raises(FixConfig, match="belongs to hubspot account 4711"):
        await ledger.bind("hubspot", "4712", NOON)


async def test_a_run_is_kept_with_its_document(ledger):
    run = await ledger.start_run("sync", ["hubspot"], NOON)
    running = await ledger.run(run)
    await ledger.finish_run(run, "succeeded", {"people": 3, "mql": {"now": 1}}, NOON + MINUTE)
    ended = await ledger.run(run)
    assert (running.status, running.finished_at, running.crms) == ("running", None, ("hubspot",))
    assert (ended.status, ended.finished_at) == ("succeeded", NOON + MINUTE)
    assert ended.document == {"people": 3, "mql": {"now": 1}}


async def test_runs_are_listed_newest_first(ledger):
    numbers = [await ledger.start_run("sync", [], NOON) for _ in range(3)]
    assert [run.id for run in await ledger.runs(2)] == [numbers[2], numbers[1]]
    assert await ledger.run(4711) is None


async def test_a_run_that_never_began_cannot_end(ledger):
    with pytest.raises(StopRun, match="no run 4711"):
        await ledger.finish_run(4711, "succeeded", {}, NOON)


async def test_administrative_acts_leave_a_trail(database_url):
    ledger = open_ledger(database_url)
    await ledger.bind("hubspot", "4711", NOON)
    await ledger.adopt_files({"criteria.yaml": "version: 1"}, NOON, author="Grace", note="first")
    await ledger.close()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT actor, act, subject FROM audit ORDER BY id")).all()
    engine.dispose()
    assert rows == [("connector", "bind account", "hubspot"), ("Grace", "adopt files", "version:1")]


async def test_a_sealed_token_is_kept_and_replaced(ledger):
    await ledger.save_sealed("hubspot", "sealed-1", NOON)
    await ledger.save_sealed("hubspot", "sealed-2", NOON + HOUR)
    assert await ledger.load_sealed("hubspot") == "sealed-2"
    assert await ledger.load_sealed("salesforce") is None


async def test_a_database_that_goes_away_stops_the_run_without_personal_data(database_url):
    ledger = open_ledger(database_url)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE address"))
    engine.dispose()
    desk = Desk(ledger)
    with pytest.raises(StopRun, match="database refused the work") as caught:
        await desk.keep(contact(emails=("ada@example.com",)))
    await ledger.close()
    assert "ada@example.com" not in str(caught.value)


async def test_a_run_that_died_without_a_word_is_told_as_failed_when_the_next_one_starts(ledger):
    dead = await ledger.start_run("sync", ["hubspot"], NOON)
    await ledger.acquire("pull:hubspot", "killed", NOON)

    beside = await ledger.start_run("sync", ["hubspot"], NOON + timedelta(seconds=10))
    while_alive = (await ledger.run(dead)).status
    after = await ledger.start_run("sync", ["hubspot"], NOON + timedelta(minutes=2))

    assert while_alive == "running"
    assert (await ledger.run(dead)).status == "failed"
    assert (await ledger.run(beside)).status == "failed"
    assert (await ledger.run(after)).status == "running"


async def test_a_dead_sync_is_told_as_failed_although_a_sidecar_serves_and_a_backfill_runs(ledger):
    dead = await ledger.start_run("sync", ["hubspot"], NOON)
    await ledger.acquire("serve:hubspot", "one", NOON + HOUR)
    await ledger.acquire("want:pull:hubspot", "one", NOON + HOUR)
    await ledger.acquire("backfill:hubspot", "one/backfill", NOON + HOUR)
    await ledger.acquire("pull:hubspot", "one/backfill", NOON + HOUR)

    await ledger.start_run("sync", ["hubspot"], NOON + HOUR)

    assert (await ledger.run(dead)).status == "failed"


async def test_a_sync_that_works_is_not_told_as_failed_by_another_run(ledger):
    alive = await ledger.start_run("sync", ["hubspot"], NOON)
    await ledger.acquire("pull:hubspot", "one", NOON)

    await ledger.start_run("sync", ["salesforce"], NOON + MINUTE / 2)

    assert (await ledger.run(alive)).status == "running"


async def test_whoever_waits_for_a_lease_says_so_until_it_has_it(ledger):
    clock = HandClock(NOON)
    first = await ledger.acquire("pull:hubspot", "a backfill", NOON)
    waiting = asyncio.create_task(acquired(ledger, "pull:hubspot", "a sync", clock))
    while await ledger.holder("want:pull:hubspot", clock.now()) is None:
        await clock.sleep(timedelta(0))

    await ledger.release(first)
    lease = await waiting

    assert lease.holder == "a sync"
    assert await ledger.holder("want:pull:hubspot", clock.now()) is None
