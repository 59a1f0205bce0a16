"""The day's allowance ends in the middle of a push: what was written stays, the rest waits and goes the next day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from adapters.salesforce.sandbox.org import CLIENT_ID, CLIENT_SECRET
from tests.stories.world import START, QuickClock, World, world

PEOPLE = 250


@dataclass(frozen=True)
class Day:
    """One CRM's day: calls allowed, how many others may use before we stop, and what another program asks for."""

    crm: str
    option: str
    allowed: int
    ends_at: int
    path: str


DAYS = [
    # Salesforce stops everybody; of writes that are decided already we do not stop ourselves before.
    Day("salesforce", "daily_limit", 1000, 1000, "/services/data/v66.0/limits"),
    # HubSpot: at three tenths of the day, everybody's calls counted, we stop writing ourselves.
    Day("hubspot", "per_day", 2000, 600, "/account-info/v3/details"),
]


@asynccontextmanager
async def another_program(made: World, day: Day) -> AsyncIterator[httpx.AsyncClient]:
    box = made.running[day.crm]
    if day.crm == "salesforce":
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        async with httpx.AsyncClient() as http:
            token = (await http.post(f"{box.url}/services/oauth2/token", data=form)).json()["access_token"]
    else:
        token = box.environment()["HUBSPOT_ACCESS_TOKEN"]
    async with httpx.AsyncClient(base_url=box.url, headers={"authorization": f"Bearer {token}"}) as http:
        yield http


def used(day: Day, answer: httpx.Response) -> int:
    """By everybody, this call included."""
    if day.crm == "salesforce":
        return int(answer.headers["sforce-limit-info"].partition("=")[2].partition("/")[0])
    return day.allowed - int(answer.headers["x-hubspot-ratelimit-daily-remaining"])


async def use_up(made: World, day: Day, *, but: int) -> None:
    """Other programs use the day until we may send only so many calls more."""
    async with another_program(made, day) as http:
        for number in range(day.allowed):
            if number % 90 == 0:
                made.later(seconds=11)
            if used(day, await http.get(day.path)) >= day.ends_at - but:
                return


@pytest.mark.parametrize("day", DAYS, ids=[each.crm for each in DAYS])
async def test_trap_an_allowance_used_up_half_way_is_gone_on_with_the_next_day(
    database_url: str, day: Day
) -> None:
    options = {day.crm: {day.option: day.allowed}}
    clock = QuickClock(START)
    async with world(database_url, people=PEOPLE, options=options, strict_limits=True, clock=clock) as made:
        planned = await made.sync(day.crm, plan_only=True)
        wanted = planned.crms[day.crm].planned
        await use_up(made, day, but=5)  # each batch is read again before it is written

        cut = await made.apply(day.crm, planned.plans[day.crm])
        made.later(hours=25)
        rest = await made.sync(day.crm)

        assert cut.error
        assert 0 < cut.written < wanted
        assert (cut.waiting, cut.unknown, cut.rejected) == (wanted - cut.written, 0, 0)
        counts = rest.crms[day.crm]
        assert counts.adds_up()
        assert (rest.status, counts.waiting, counts.rejected) == ("succeeded", 0, 0)
        assert len({write.id for write in made.writes(day.crm)}) == wanted
