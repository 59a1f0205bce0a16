"""Working time by tables: nights, weekends, holidays, zones, and the two days on which the clock is put."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from connector.core.worktime import FARTHEST, WorkTime

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)
USUAL = WorkTime()  # 09:00-17:00 UTC, Monday to Friday
AROUND_THE_CLOCK = WorkTime(timedelta(0), timedelta(hours=24), frozenset(range(7)))


def at(text: str, zone=UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("work", "start", "hours", "until"),
    [
        (USUAL, "2026-11-23T10:00", 2, "2026-11-23T12:00"),  # a Monday
        (USUAL, "2026-11-23T16:00", 2, "2026-11-24T10:00"),  # over night
        (USUAL, "2026-11-23T20:00", 1, "2026-11-24T10:00"),  # in the evening
        (USUAL, "2026-11-23T06:00", 8, "2026-11-23T17:00"),  # a day, to its very end
        (USUAL, "2026-11-27T16:00", 2, "2026-11-30T10:00"),  # over a weekend
        (USUAL, "2026-11-28T12:00", 24, "2026-12-02T17:00"),  # from Saturday: three days
        (WorkTime(holidays=frozenset({date(2026, 12, 25)})), "2026-12-24T16:00", 2, "2026-12-28T10:00"),
        (WorkTime(days=frozenset({5, 6})), "2026-11-23T10:00", 1, "2026-11-28T10:00"),  # weekends only
        (AROUND_THE_CLOCK, "2026-11-27T22:30", 24, "2026-11-28T22:30"),
        (WorkTime(zone=BERLIN), "2026-11-23T15:00", 2, "2026-11-24T09:00"),  # 16:00 there; 10:00 the next day
        (WorkTime(zone=NEW_YORK), "2026-11-23T10:00", 1, "2026-11-23T15:00"),  # they begin at 14:00 UTC
        (
            WorkTime(zone=ZoneInfo("Pacific/Auckland")),
            "2026-11-22T20:30",
            1,
            "2026-11-22T21:30",
        ),  # Monday there
        (WorkTime(zone=BERLIN), "2026-03-27T15:30", 1, "2026-03-30T07:30"),  # summer time begins that weekend
        (WorkTime(zone=BERLIN), "2026-10-23T14:30", 1, "2026-10-26T08:30"),  # and ends: an hour later in UTC
    ],
)
def test_a_deadline_counts_working_time_alone(work, start, hours, until):
    start, until = at(start), at(until)
    found = work.after(start, hours * HOUR)
    assert (found, found.tzinfo) == (until, UTC)
    assert work.between(start, found) == hours * HOUR


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-03-28", 24), ("2026-10-25", 25)])
def test_a_day_on_which_the_clock_is_put_is_as_long_as_it_was(day, hours):
    work = WorkTime(timedelta(0), timedelta(hours=24), frozenset(range(7)), zone=BERLIN)
    start = at(f"{day}T00:00", BERLIN)
    assert work.between(start, at(f"{day}T00:00", BERLIN) + timedelta(days=1)) == hours * HOUR


def test_no_working_day_at_all_is_no_endless_search():
    assert USUAL.between(at("2026-11-24T12:00"), at("2026-11-23T12:00")) == timedelta(0)
    never = WorkTime(days=frozenset())
    assert never.after(at("2026-11-23T10:00"), HOUR) == at("2026-11-23T10:00") + FARTHEST
