"""What every adapter promises a backfill, whatever its CRM: counted first, read once, resumable, within its range.

For tests only: subclass `BackfillSuite` beside `AdapterSuite` and give it the same `subject` fixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from connector.core.model import JsonValue, Page
from connector.errors import StopRun
from connector.ports import Range, Stream
from connector.testing.adapter_suite import Subject

SECOND = timedelta(seconds=1)
ALL = Range()


async def read(
    subject: Subject,
    stream: Stream,
    within: Range = ALL,
    begun: Mapping[str, JsonValue] | None = None,
    *,
    most: int | None = None,
) -> list[Page]:
    """The pages of a backfill, the first `most` of them."""
    pages: list[Page] = []
    async with aclosing(subject.adapter.backfill(stream.name, within, begun, subject.fields)) as coming:  # type: ignore[type-var]
        async for page in coming:
            pages.append(page)
            if len(pages) == most:
                break
    return pages


def rows(pages: Sequence[Page]) -> list[tuple[str, datetime]]:
    """Each row that came, in order: its key and the moment that a range is about."""
    found: list[tuple[str, datetime]] = []
    for page in pages:
        found += [(str(record.ref), record.changed_at) for record in page.records]
        found += [(event.key, event.occurred_at) for event in page.events]
    return found


def keys(pages: Sequence[Page]) -> set[str]:
    return {key for key, _ in rows(pages)}


class BackfillSuite:
    """Subclass with a `subject` fixture."""

    async def test_a_backfill_reads_everything_once_and_all_of_it_is_old_news(self, subject: Subject) -> None:
        for stream in subject.adapter.streams():
            pages = await read(subject, stream)
            came = [key for key, _ in rows(pages)]

            assert len(came) == len(set(came)), stream.name
            assert all(page.first_load for page in pages)
            assert not any(page.quarantined for page in pages)
        people = {key for stream in subject.person_streams for key in keys(await read(subject, stream))}
        assert people >= {str(ref) for ref in subject.people}

    async def test_an_estimate_counts_what_will_come_for_a_few_calls(self, subject: Subject) -> None:
        for stream in subject.adapter.streams():
            before = subject.adapter.calls()
            estimate = await subject.adapter.estimate(stream.name, ALL)
            assert subject.adapter.calls() - before <= 5
            pages = await read(subject, stream)

            assert estimate.rows in (None, len(rows(pages))), stream.name
            assert estimate.calls >= 1
            assert estimate.seconds > 0

    async def test_a_range_holds_what_lies_in_it_and_nothing_else(self, subject: Subject) -> None:
        for stream in subject.adapter.streams():
            told = rows(await read(subject, stream))
            moments = sorted(moment for _, moment in told)
            if len(moments) < 4:
                continue
            within = Range(moments[len(moments) // 4], moments[3 * len(moments) // 4])
            expected = {key for key, moment in told if within.holds(moment)}

            pages = await read(subject, stream, within)
            estimate = await subject.adapter.estimate(stream.name, within)

            assert keys(pages) == expected, stream.name
            assert all(within.holds(moment) for _, moment in rows(pages)), stream.name
            fetched = sum(
                page.fetched for page in pages
            )  # a row that happened at another time is read, not told
            assert estimate.rows in (None, len(expected), fetched), stream.name

    async def test_ranges_that_meet_share_no_row_and_lose_none(self, subject: Subject) -> None:
        for stream in subject.person_streams:
            told = rows(await read(subject, stream))
            middle = sorted(moment for _, moment in told)[len(told) // 2]

            before = keys(await read(subject, stream, Range(until=middle)))
            after = keys(await read(subject, stream, Range(since=middle)))

            assert not before & after
            assert before | after == {key for key, _ in told}

    async def test_a_range_without_rows_ends_in_peace(self, subject: Subject) -> None:
        now = subject.sandbox.clock.now()
        within = Range(now - SECOND, now - SECOND / 2)
        for stream in subject.adapter.streams():
            assert rows(await read(subject, stream, within)) == []

    @pytest.mark.parametrize("ranged", [False, True])
    async def test_a_backfill_that_was_killed_goes_on_after_any_page(
        self, subject: Subject, ranged: bool
    ) -> None:
        within = Range(until=subject.sandbox.clock.now()) if ranged else ALL
        for stream in subject.adapter.streams():
            pages = await read(subject, stream, within)
            for place, page in enumerate(pages):
                rest = await read(subject, stream, within, page.cursor)

                assert keys(pages[: place + 1]) | keys(rest) == keys(pages), stream.name
                assert len(rows(rest)) <= len(rows(pages[place:])), (
                    stream.name
                )  # a page at most is read twice

    async def test_edits_meanwhile_take_nobody_out_of_a_backfill(self, subject: Subject) -> None:
        for stream in subject.person_streams:
            first = await read(subject, stream, most=1)
            if not first:
                continue
            for ref in subject.some(20):
                if ref.object in stream.objects:
                    subject.sandbox.edit(ref.object, ref.id, {subject.reason: "meanwhile"})
            rest = await read(subject, stream, begun=first[0].cursor)

            expected = {str(ref) for ref in subject.people if ref.object in stream.objects}
            assert keys(first) | keys(rest) >= expected

    async def test_the_cursors_of_a_backfill_and_of_increments_are_of_no_use_to_each_other(
        self, subject: Subject
    ) -> None:
        for stream in subject.adapter.streams():
            await subject.pull(stream)
            kept = subject.cursors[stream.name]
            pages = await read(subject, stream)
            with pytest.raises(StopRun):
                await read(subject, stream, begun=kept)
            for page in pages[:1]:
                subject.cursors[stream.name] = page.cursor
                with pytest.raises(StopRun):
                    await subject.pull(stream)
            subject.cursors[stream.name] = kept
            await subject.pull(stream)

    async def test_a_backfill_cursor_that_cannot_be_read_stops_the_run(self, subject: Subject) -> None:
        for stream in subject.adapter.streams():
            for junk in ({"kind": "from the future"}, {}, {"kind": None, "after": 7}):
                with pytest.raises(StopRun) as caught:
                    await read(subject, stream, begun=junk)
                assert caught.value.next_step
