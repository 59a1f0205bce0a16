"""What the sidecar asks of the CRMs by night: the sweep of those whom time alone changes, and the slow full compare."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete

from connector.app.sidecar import Sidecar
from connector.app.sidecar.jobs import AGAIN, JOBS, CrmJob, Jobs, due_at
from connector.ledger.engine import build_engine, parse_url
from connector.ledger.tables import RECORD
from connector.ports import JobRun, Range
from connector.sandbox.faults import Fault
from tests.stories.sidecar_words import numbers, sidecar
from tests.stories.world import World, world

NIGHTLY = {each.name: each for each in JOBS if isinstance(each, CrmJob)}


async def done(side: Sidecar, name: str) -> dict[str, str]:
    """A look for this job; what came of it, by CRM: empty is well."""
    jobs = Jobs(side, [NIGHTLY[name]], since=side.parts.clock.now() - timedelta(days=1))
    await side.served.look()
    await asyncio.gather(*await jobs.look())
    known = await side.parts.ledger.jobs()
    return {crm: known[f"{name}:{crm}"].failed for crm in ("hubspot", "salesforce")}


async def kinds(made: World) -> list[str]:
    return [each.kind for each in reversed(await made.ledger.runs(50))]


async def test_those_whom_time_alone_changes_are_decided_by_night_once_and_a_night_that_fails_is_seen(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=10) as made:
        side = await sidecar(made)
        await made.sync()
        made.later(minutes=20)
        await made.sync()
        quiet = await done(side, "sweep")  # begun for the first time: there is nobody
        runs = await kinds(made)

        made.later(days=1)
        night, swept = await done(side, "sweep"), await made.ledger.runs(1)
        after = await kinds(made)
        made.later(days=1)
        made.salesforce.faults.add(Fault(path="/services/*", status=503, times=10_000))
        bad, failing = await done(side, "sweep"), await numbers(side)
        made.salesforce.faults.clear()
        made.later(minutes=6)
        too_early = await done(side, "sweep")
        made.later(minutes=25)
        good, well = await done(side, "sweep"), await numbers(side)

    assert quiet == night == good == {"hubspot": "", "salesforce": ""}
    assert after == [*runs, "sync"]
    assert swept[0].document["people"] > 1
    assert "The nightly sweep of salesforce" in bad["salesforce"]
    assert too_early["salesforce"] == bad["salesforce"]
    assert failing["job_failing sweep:salesforce"] == 1
    assert well["job_failing sweep:salesforce"] == 0


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
async def test_what_is_not_known_of_a_crm_is_found_by_counting_all_of_it_and_read(
    sqlite_url: str, crm: str
) -> None:
    async with world(sqlite_url, people=14) as made:
        side = await sidecar(made)
        await made.sync()
        made.later(hours=2)
        await made.sync()
        object_ = "contact" if crm == "hubspot" else "Lead"
        before = await made.ledger.standing(crm, object_, Range())
        views = await made.ledger.people(limit=1_000)
        lost = sorted(
            str(ref) for view in views for ref in view.refs if (ref.crm, ref.object) == (crm, object_)
        )[:3]
        with build_engine(parse_url(sqlite_url)).begin() as db:
            db.execute(delete(RECORD).where(RECORD.c.ref.in_(lost)))
        made.later(hours=2)
        sync = await made.sync()  # reads what changed: nothing of these
        missing = await made.ledger.standing(crm, object_, Range())

        first = await done(side, "full-compare")
        found = await made.ledger.standing(crm, object_, Range())
        runs = {each.crms[0]: each for each in await made.ledger.runs(2)}
        again = await made.sync()
        made.later(days=7)
        await made.sync()
        quiet = await done(side, "full-compare")

    assert not sync.crms[crm].error
    assert (missing, found) == (before - 3, before)
    assert first == quiet == {"hubspot": "", "salesforce": ""}
    assert {run.kind for run in runs.values()} == {"compare"}
    run = runs[crm].document
    stream = {"contact": "contacts", "Lead": "Lead"}[object_]
    assert run["counted"][crm][stream] == {"there": before, "known": before}
    assert "3 of them had not come" in run["closed"][stream]
    assert run["reconciliation"][crm]["records"] > 5
    assert run["crms"][crm]["fetched"][stream]["stored"] == 3
    assert again.people >= 3


async def test_a_compare_that_cannot_count_or_still_lacks_somebody_fails_and_says_so(sqlite_url: str) -> None:
    async with world(sqlite_url, people=8) as made:
        side = await sidecar(made)
        await made.sync("hubspot")
        made.later(hours=2)
        await made.sync("hubspot")
        made.hubspot.faults.add(
            Fault(method="POST", path="/crm/objects/*/contacts/search", status=500, times=10_000)
        )
        failed = await done(side, "full-compare")
        made.hubspot.faults.clear()
        made.later(hours=6)
        well = await done(side, "full-compare")

    assert "The full compare of hubspot" in failed["hubspot"]
    assert (well["hubspot"], failed["salesforce"]) == ("", "")


def test_a_job_of_a_week_comes_back_in_the_seventh_night() -> None:
    job = NIGHTLY["full-compare"].of("hubspot")
    from tests.stories.test_jobs import BERLIN
    from tests.stories.world import START

    begun = START.replace(hour=2, minute=0, second=7)  # 3:00:07 in Berlin

    assert due_at(job, JobRun(job.name, begun, begun), BERLIN, START) == begun.replace(second=0) + timedelta(
        days=7
    )
    assert due_at(job, JobRun(job.name, START, START), BERLIN, START) == START.replace(hour=2) + timedelta(
        days=7
    )
    assert (
        due_at(job, JobRun(job.name, begun, None, "no"), BERLIN, START) == begun + job.again > begun + AGAIN
    )
