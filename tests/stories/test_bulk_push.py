"""Very many writes leave as one job of the vendor's: durable before it is uploaded, asked before another is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from connector.app.settings import variables_of
from connector.app.wiring import plugins
from connector.errors import LeaseBusy
from connector.ledger import open_ledger
from connector.sandbox.faults import Fault
from tests.properties.test_sync_histories import Killed, Life, Mortal
from tests.stories.world import START, QuickClock, World, world


class Rival(QuickClock):
    """Whenever somebody waits, another process asks for the same right."""

    def __init__(self, right: str) -> None:
        super().__init__(START)
        self.right = right
        self.ledger: Any = None
        self.refused, self.admitted = 0, 0

    async def sleep(self, span: timedelta) -> None:
        await super().sleep(span)
        if self.ledger is not None:
            try:
                await self.ledger.acquire(self.right, "rival", self.now())
                self.admitted += 1
            except LeaseBusy:
                self.refused += 1


@asynccontextmanager
async def org_of_jobs(
    url: str, *, people: int = 40, clock: QuickClock | None = None, **options: Any
) -> AsyncIterator[World]:
    """A world whose Salesforce takes five writes of an object as a job."""
    org = {"assignment_rule": False, **options}
    async with world(
        url, people=people, clock=clock or QuickClock(START), options={"salesforce": org}
    ) as made:
        plugin = plugins()["salesforce"]
        few = {"SALESFORCE_BULK_WRITE_FROM": "5", "SALESFORCE_BULK_READ_FROM": "10"}
        environment = {**made.running.environment(), **few}
        adapter = plugin.connect(variables_of(plugin.variables, environment), made.clock, None)
        made.adapters = {**made.adapters, "salesforce": adapter}
        try:
            yield made
        finally:
            await adapter.close()


def jobs(made: World) -> list[Any]:
    return list(made.salesforce.sandbox.store.jobs.values())  # type: ignore[attr-defined]


def live(made: World, source: str = "Lead") -> list[dict[str, Any]]:
    store: Any = made.salesforce.sandbox.store
    store.settle()
    rows = store.tables[source].rows.values()
    return [row for row in rows if not row.get("IsDeleted") and not row.get("IsConverted")]


def spoil(made: World, score: int) -> list[str]:
    """Somebody sets all scores by hand; they differ from ours."""
    leads = [row["Id"] for row in live(made) if row.get("MQL_Score__c") is not None]
    for lead in leads:
        made.salesforce.edit("Lead", lead, {"MQL_Score__c": score})
    return leads


async def test_a_first_sync_writes_by_jobs_and_a_second_one_writes_nothing(database_url: str) -> None:
    async with org_of_jobs(database_url) as made:
        first = await made.sync()
        made.later(minutes=20)
        second = await made.sync()

        counts = first.crms["salesforce"]
        assert first.status == "succeeded"
        assert counts.adds_up()
        assert counts.written == counts.planned > 10
        assert {job.object for job in jobs(made)} == {"Lead", "Contact"}
        assert not [c for c in made.salesforce.log.calls() if c.path.endswith("/composite/sobjects")]
        assert second.crms["salesforce"].planned == 0
        assert len(jobs(made)) == 2  # none to read: the org answers in pages of 2,000


async def test_whoever_pushes_keeps_the_right_to_while_a_job_is_waited_for(database_url: str) -> None:
    clock = Rival("push:salesforce")
    async with org_of_jobs(database_url, clock=clock, bulk_queue=timedelta(minutes=20)) as made:
        planned = await made.sync(plan_only=True)
        clock.ledger = made.ledger

        pushed = await made.apply("salesforce", planned.plans["salesforce"])

        assert pushed.written > 10
        assert pushed.error is None
        assert clock.refused > 20
        assert clock.admitted == 0


async def test_whoever_reads_keeps_the_right_to_while_a_job_is_waited_for(database_url: str) -> None:
    clock = Rival("pull:salesforce")
    slow = {"bulk_queue": timedelta(minutes=20), "page_rows": 5}
    async with org_of_jobs(database_url, clock=clock, **slow) as made:
        clock.ledger = made.ledger

        result = await made.sync("salesforce", plan_only=True)

        assert result.status == "succeeded"
        assert result.crms["salesforce"].adds_up()
        assert {job.kind for job in jobs(made)} == {"query"}
        assert clock.refused > 60
        assert clock.admitted == 0


async def test_rows_are_uploaded_company_by_company_so_that_they_do_not_hold_each_other(
    database_url: str,
) -> None:
    async with org_of_jobs(database_url, people=80) as made:
        await made.sync()

        [upload] = [job.upload.decode() for job in jobs(made) if job.object == "Contact"]
        contacts = {row["Id"]: row.get("AccountId") or "" for row in live(made, "Contact")}
        companies = [contacts[line.split(",")[0]] for line in upload.splitlines()[1:] if line[:3] == "003"]
        assert len(set(companies)) > 5
        assert companies == sorted(companies)


async def test_only_what_changed_since_the_plan_is_looked_at_again(database_url: str) -> None:
    async with org_of_jobs(database_url) as made:
        planned = await made.sync(plan_only=True)
        made.later(hours=1)
        rows = await made.ledger.plan_rows(planned.plans["salesforce"], status="waiting")
        leads = [row.ref.id for row in rows if row.ref.object == "Lead"]
        made.salesforce.act("Lead", leads[0], "delete")
        made.salesforce.act("Lead", leads[1], "purge")
        asked = made.adapters["salesforce"].calls()

        pushed = await made.apply("salesforce", planned.plans["salesforce"])

        assert pushed.set_aside == 2
        assert pushed.written == len(rows) - 2
        assert made.adapters["salesforce"].calls() - asked < 40
        assert not [c for c in made.salesforce.log.calls() if "Id+IN" in c.query and c.at > made.clock.now()]


async def test_a_job_that_fails_half_way_is_finished_and_the_sums_add_up(database_url: str) -> None:
    async with org_of_jobs(database_url, bulk_failures=1, bulk_fails_after=3) as made:
        result = await made.sync()

        counts = result.crms["salesforce"]
        assert counts.adds_up()
        assert counts.written == counts.planned
        assert result.status == "succeeded"


async def test_a_job_whose_end_cannot_be_asked_is_asked_before_anything_else_is_written(
    database_url: str,
) -> None:
    async with org_of_jobs(database_url) as made:
        await made.sync()
        made.later(hours=1)
        leads = spoil(made, 500)
        made.later(minutes=20)
        made.salesforce.faults.add(Fault(method="GET", path="*/jobs/ingest/*", status=503, times=None))
        before = len(jobs(made))

        cut = await made.sync()
        still = await made.sync()
        made.salesforce.faults.clear()
        healed = await made.sync()

        assert cut.crms["salesforce"].unknown > 5
        assert "cannot be asked" in (still.crms["salesforce"].error or "")
        assert still.crms["salesforce"].planned == 0
        assert healed.crms["salesforce"].error is None
        assert len(jobs(made)) == before + 1
        assert all(made.salesforce.raw("Lead", lead)["MQL_Score__c"] != 500 for lead in leads)


@pytest.mark.parametrize("after", [False, True])
async def test_a_process_that_dies_anywhere_around_a_job_leaves_it_to_the_next_one(
    database_url: str, after: bool
) -> None:
    async with org_of_jobs(database_url, people=14) as made:
        await made.sync()
        sink: Any = made.adapters["salesforce"].bulk
        real_bulk, died = sink._bulk, 0
        for calls in range(2 if after else 1, 44, 2):
            made.later(hours=1)
            await made.ledger.release_holds(
                await made.ledger.holds(), "ada", made.clock.now()
            )  # no tug of war
            leads = spoil(made, 500 + calls % 2)
            made.later(minutes=20)
            planned = await made.sync("salesforce", plan_only=True)
            jobs_before, writes_before = len(jobs(made)), len(made.writes("salesforce"))
            life = Life(calls, hard=True, after=after)
            ledger, made.ledger = made.ledger, Mortal(made.ledger, life)  # type: ignore[assignment]
            sink._bulk = Mortal(real_bulk, life)
            try:
                await made.apply("salesforce", planned.plans["salesforce"])
            except Killed:
                died += 1
            await ledger.close()
            made.ledger, sink._bulk = open_ledger(database_url), real_bulk
            closed = any(job.closed_at is not None for job in jobs(made)[jobs_before:])
            made.later(minutes=2)

            result = await made.sync("salesforce")

            assert result.status == "succeeded", (calls, result.crms)
            assert not await made.ledger.sending("salesforce")
            assert all(
                made.salesforce.raw("Lead", lead)["MQL_Score__c"] != 500 + calls % 2 for lead in leads
            ), calls
            if closed:
                assert len(jobs(made)) == jobs_before + 1, calls  # asked, not made again
                assert len(made.writes("salesforce")) - writes_before == len(leads), calls
        assert 10 < died < 21  # the last ones lived to see their end


class Thief(QuickClock):
    """While a job is waited for, this process sleeps through its lease once, and another takes the right to push."""

    def __init__(self) -> None:
        super().__init__(START)
        self.ledger: Any = None

    async def sleep(self, span: timedelta) -> None:
        await super().sleep(span)
        if self.ledger is not None:
            ledger, self.ledger = self.ledger, None
            self.advance(timedelta(minutes=1))
            lease = await ledger.acquire("push:salesforce", "another", self.now())
            await ledger.release(lease)


async def test_a_process_that_slept_through_its_lease_leaves_the_job_to_whoever_comes_next(
    database_url: str,
) -> None:
    clock = Thief()
    async with org_of_jobs(database_url, clock=clock) as made:
        planned = await made.sync(plan_only=True)
        clock.ledger = made.ledger
        with pytest.raises(LeaseBusy):
            await made.apply("salesforce", planned.plans["salesforce"])
        under_way = await made.ledger.sending("salesforce")

        healed = await made.sync("salesforce")

        assert under_way
        assert {row.job for row in under_way} == {jobs(made)[0].id}
        assert healed.status == "succeeded"
        assert not await made.ledger.sending("salesforce")
        writes = [write.id for write in made.writes("salesforce")]
        assert len(writes) == len(set(writes))  # no record twice
