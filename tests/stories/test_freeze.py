"""Days on which nothing is sent: plans wait, with `--yes` too, in the time zone of the settings."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from connector.core.limits import Freeze
from tests.stories.world import world

TODAY = Freeze(
    date(2026, 11, 22), date(2026, 11, 22), "Quarter end"
)  # the stories begin at 10:00 UTC of this day


async def test_in_a_freeze_plans_wait_also_with_yes_and_leave_the_day_after(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        made.remap("hubspot", freeze=(TODAY,))

        frozen = await made.sync(yes=True)

        counts = frozen.crms["hubspot"]
        assert counts.waiting == counts.planned > 0
        assert frozen.crms["salesforce"].written > 0
        assert not made.writes("hubspot")
        rows = await made.ledger.plan_rows(frozen.plans["hubspot"], status="waiting")
        assert all("2026-11-22 to 2026-11-22 (Quarter end)" in row.reason for row in rows)

        made.later(hours=14)  # midnight has passed
        after = await made.sync(yes=True)

        assert after.crms["hubspot"].written == counts.planned


async def test_a_plan_is_applied_in_a_freeze_only_where_that_is_said(database_url: str) -> None:
    async with world(database_url, people=40) as made:
        made.remap("hubspot", freeze=(TODAY,))
        plan = (await made.sync("hubspot")).plans["hubspot"]

        refused = await made.apply("hubspot", plan)
        sent = await made.plan_apply(plan, during_freeze=True)

        assert (refused.written, refused.error) == (0, None)
        assert "--during-freeze" in refused.stopped
        assert sent["written"] > 0


async def test_the_days_of_a_freeze_are_those_of_the_settings_time_zone(sqlite_url: str) -> None:
    tomorrow = Freeze(date(2026, 11, 23), date(2026, 11, 23))
    async with world(sqlite_url, people=40) as made:
        made.later(hours=6)  # 16:00 in London, one o'clock of the next day in Tokyo
        made.remap("hubspot", freeze=(tomorrow,), zone=ZoneInfo("Europe/London"))
        made.remap("salesforce", freeze=(tomorrow,), zone=ZoneInfo("Asia/Tokyo"))

        result = await made.sync()

        assert result.crms["hubspot"].written > 0
        assert result.crms["salesforce"].written == 0
