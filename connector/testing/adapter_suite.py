"""The promises every adapter must keep, whatever its CRM. Tests hand in a `Subject`; this file names no
vendor.

Needs pytest, so it is for tests only: subclass `AdapterSuite` and give it a `subject` fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from connector.core.model import JsonValue, Outcome, Page, RecordState, Ref, VendorRecord, Write
from connector.core.values import same_value
from connector.errors import ConnectorError, FixConfig, OutcomeUnknown, StopRun
from connector.ports import Adapter, FieldInfo, Fields, Stream

QUIET = timedelta(hours=2)  # longer than any lag, overlap or second look


@dataclass
class Subject:
    """One adapter, connected to its own sandbox.

    `sandbox` is a running sandbox's handle (edit, act, raw, faults, log, clock). `people` are the live
    person records it holds. `score` and `reason` name a number and a text field on every person object that
    we may write. `reconnect` makes another adapter to the same sandbox, with some variables changed;
    `secrets` names those variables that are credentials.
    """

    adapter: Adapter
    sandbox: Any
    fields: Fields
    people: frozenset[Ref]
    score: str
    reason: str
    reconnect: Callable[[Mapping[str, str]], Adapter]
    secrets: tuple[str, ...]
    cursors: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)

    @property
    def person_streams(self) -> list[Stream]:
        return [stream for stream in self.adapter.streams() if stream.kind == "person"]

    async def pull(self, stream: Stream, *, die_after: int | None = None) -> list[Page]:
        """Pages since the last pull, each kept as a run would keep it; `die_after` so many, the run breaks
        off.
        """
        pages: list[Page] = []
        since = self.cursors.get(stream.name)
        async with aclosing(self.adapter.pull(stream.name, since, self.fields)) as coming:  # type: ignore[type-var]
            async for page in coming:
                pages.append(page)
                self.cursors[stream.name] = page.cursor
                if len(pages) == die_after:
                    break
        return pages

    async def pull_people(self, **how: Any) -> dict[Ref, VendorRecord]:
        """The last state of every person record that came."""
        found: dict[Ref, VendorRecord] = {}
        for stream in self.person_streams:
            for page in await self.pull(stream, **how):
                found.update({record.ref: record for record in page.records})
        return found

    async def pull_everything(self) -> int:
        """A whole sync's reading; how many records and events it brought."""
        rows = 0
        for stream in self.adapter.streams():
            for page in await self.pull(stream):
                told = len(page.records) + len(page.events)
                assert page.fetched >= told + len(page.quarantined), (
                    f"{stream.name} tells more than it fetched"
                )
                rows += told
        return rows

    def some(self, many: int) -> list[Ref]:
        """Live people of one object, in order."""
        first = min(self.people).object
        return sorted(ref for ref in self.people if ref.object == first)[:many]

    def pass_time(self, span: timedelta = QUIET) -> None:
        self.sandbox.clock.advance(span)

    def stored(self, ref: Ref) -> Mapping[str, Any]:
        raw: Mapping[str, Any] = self.sandbox.raw(ref.object, ref.id)
        inner = raw.get("properties")
        return inner if isinstance(inner, Mapping) else raw

    def writes(self) -> list[Any]:
        """What arrived through the API."""
        return [write for write in self.sandbox.log.writes() if write.by == "api"]


def live(records: Mapping[Ref, VendorRecord]) -> set[Ref]:
    return {ref for ref, record in records.items() if record.state is RecordState.LIVE}


class AdapterSuite:
    """Subclass with a `subject` fixture."""

    # ---------------------------------------------------------------------------------------------- reading

    async def test_people_come_after_companies_and_before_their_engagement(self, subject: Subject) -> None:
        order = {"company": 0, "person": 1, "opportunity": 2, "engagement": 2}
        ranks = [order[stream.kind] for stream in subject.adapter.streams()]
        assert ranks == sorted(ranks)

    async def test_a_first_load_reads_everybody_once(self, subject: Subject) -> None:
        seen: list[Ref] = []
        for stream in subject.person_streams:
            pages = await subject.pull(stream)
            assert all(page.first_load for page in pages)
            assert not any(page.quarantined for page in pages)
            seen += [r.ref for page in pages for r in page.records if r.state is RecordState.LIVE]
        assert len(seen) == len(set(seen))
        assert set(seen) == subject.people

    async def test_blanks_are_none_and_times_are_aware(self, subject: Subject) -> None:
        for record in (await subject.pull_people()).values():
            assert "" not in record.values.values()
            assert record.changed_at.utcoffset() == timedelta(0)

    async def test_a_second_pull_over_an_unchanged_world_brings_nobody_and_costs_few_calls(
        self, subject: Subject
    ) -> None:
        await subject.pull_everything()
        subject.pass_time()
        await subject.pull_everything()
        subject.pass_time()
        before = subject.adapter.calls()

        people = await subject.pull_people()
        for stream in subject.adapter.streams():
            if stream.kind != "person":
                await subject.pull(stream)

        assert people == {}
        assert subject.adapter.calls() - before <= 12

    async def test_a_second_pull_brings_exactly_what_changed(self, subject: Subject) -> None:
        await subject.pull_people()
        subject.pass_time()
        await subject.pull_people()
        subject.pass_time()
        changed = subject.some(3)
        for ref in changed:
            subject.sandbox.edit(ref.object, ref.id, {subject.reason: "edited by hand"})
        subject.pass_time(timedelta(minutes=10))

        people = await subject.pull_people()

        assert live(people) == set(changed)
        assert {people[ref].values[subject.reason] for ref in changed} == {"edited by hand"}

    async def test_what_changes_while_a_pull_runs_is_in_this_pull_or_the_next(self, subject: Subject) -> None:
        target = subject.some(1)[0]
        stream = next(s for s in subject.person_streams if target.object in s.objects)
        await subject.pull(stream, die_after=1)
        subject.sandbox.edit(target.object, target.id, {subject.reason: "meanwhile"})
        later = await subject.pull(stream)
        subject.pass_time(timedelta(minutes=5))
        later += await subject.pull(stream)

        versions = [r.values[subject.reason] for page in later for r in page.records if r.ref == target]
        assert versions
        assert versions[-1] == "meanwhile"

    async def test_an_interrupted_first_load_resumes_without_loss(self, subject: Subject) -> None:
        seen: set[Ref] = set()
        for stream in subject.person_streams:
            for page in await subject.pull(stream, die_after=1):
                seen |= {record.ref for record in page.records}
            for page in await subject.pull(stream):
                seen |= {record.ref for record in page.records}
        assert seen >= subject.people

    async def test_pulling_from_the_same_cursor_twice_brings_the_same(self, subject: Subject) -> None:
        await subject.pull_people()
        kept = dict(subject.cursors)
        ref = subject.some(1)[0]
        subject.pass_time()
        subject.sandbox.edit(ref.object, ref.id, {subject.reason: "twice"})
        subject.pass_time(timedelta(minutes=10))

        first = await subject.pull_people()
        subject.cursors = dict(kept)
        second = await subject.pull_people()

        assert ref in first
        assert live(first) == live(second)

    async def test_a_cursor_that_cannot_be_read_stops_the_run(self, subject: Subject) -> None:
        for stream in subject.adapter.streams():
            for junk in ({"kind": "from the future"}, {}, {"kind": "window", "until": "soon"}):
                subject.cursors[stream.name] = junk
                with pytest.raises(StopRun) as caught:
                    await subject.pull(stream)
                assert caught.value.next_step

    async def test_a_stream_that_breaks_off_ends_in_an_error_and_keeps_a_safe_cursor(
        self, subject: Subject
    ) -> None:
        await subject.pull_people()
        subject.pass_time()
        ref = subject.some(1)[0]
        subject.sandbox.edit(ref.object, ref.id, {subject.reason: "after the storm"})
        subject.pass_time(timedelta(minutes=10))
        subject.sandbox.faults.add(status=503, text="busy", times=None)
        with pytest.raises(ConnectorError):
            await subject.pull_people()
        subject.sandbox.faults.clear()

        assert ref in await subject.pull_people()

    async def test_a_dropped_connection_is_survived(self, subject: Subject) -> None:
        subject.sandbox.faults.add(drop=True, skip=1, times=1)

        assert live(await subject.pull_people()) == subject.people

    @pytest.mark.parametrize("status", [200, 503])
    async def test_a_page_of_html_is_a_clear_error(self, subject: Subject, status: int) -> None:
        await subject.adapter.account()
        page = "<html><body>Down for maintenance. Write to ada@example.com</body></html>"
        subject.sandbox.faults.add(
            status=status, text=page, headers={"content-type": "text/html"}, times=None
        )

        with pytest.raises(ConnectorError) as caught:
            await subject.pull_people()

        assert str(status) in str(caught.value)
        assert caught.value.next_step
        assert "ada@" not in str(caught.value)

    async def test_half_a_body_is_not_taken_for_a_page(self, subject: Subject) -> None:
        await subject.adapter.account()
        subject.sandbox.faults.add(half=True, times=None)

        with pytest.raises(ConnectorError):
            await subject.pull_people()

    # ------------------------------------------------------------------------------------------------- by id

    async def test_records_read_by_id_are_as_they_stand_now(self, subject: Subject) -> None:
        asked = subject.some(5)
        subject.sandbox.edit(asked[0].object, asked[0].id, {subject.reason: "just now"})

        found = await subject.adapter.read(asked, subject.fields)

        assert set(found) == set(asked)
        assert found[asked[0]].values[subject.reason] == "just now"

    async def test_what_no_longer_exists_is_missing_among_those_read(self, subject: Subject) -> None:
        here = subject.some(1)[0]
        nowhere = Ref(here.crm, here.object, here.id[:-6] + "999999" if here.id.isdigit() else NEVER)

        found = await subject.adapter.read([here, nowhere], subject.fields)

        assert set(found) == {here}

    # ---------------------------------------------------------------------------------------------- writing

    async def test_a_push_writes_exactly_what_was_asked_and_nothing_else(self, subject: Subject) -> None:
        refs = subject.some(3)
        before = {ref: dict(subject.stored(ref)) for ref in refs}
        batch = [
            Write(n, ref, {subject.score: 40 + n, subject.reason: f"because {n}"})
            for n, ref in enumerate(refs)
        ]

        receipts = await subject.adapter.push(batch)

        assert [(r.write_id, r.outcome) for r in receipts] == [(n, Outcome.WRITTEN) for n in range(3)]
        assert {write.id for write in subject.writes()} == {ref.id for ref in refs}
        for write, ref in zip(batch, refs, strict=True):
            stored = subject.stored(ref)
            assert same_value(stored[subject.score], write.values[subject.score])
            assert stored[subject.reason] == write.values[subject.reason]
        for write in subject.writes():
            assert set(write.fields) <= {subject.score, subject.reason}
        assert set(before) == set(refs)

    async def test_none_clears_a_field(self, subject: Subject) -> None:
        ref = subject.some(1)[0]
        await subject.adapter.push([Write(1, ref, {subject.reason: "here"})])

        await subject.adapter.push([Write(2, ref, {subject.reason: None})])

        assert same_value(subject.stored(ref)[subject.reason], None)

    async def test_one_bad_record_fails_only_itself(self, subject: Subject) -> None:
        refs = subject.some(7)
        batch = [Write(n, ref, {subject.score: n}) for n, ref in enumerate(refs)]
        batch[3] = Write(3, refs[3], {subject.score: "not a number"})

        receipts = await subject.adapter.push(batch)

        assert [r.outcome for r in receipts] == [
            Outcome.REJECTED if n == 3 else Outcome.WRITTEN for n in range(7)
        ]
        assert receipts[3].reason

    async def test_a_repeated_push_is_harmless(self, subject: Subject) -> None:
        batch = [Write(n, ref, {subject.score: 10 + n}) for n, ref in enumerate(subject.some(4))]

        first = await subject.adapter.push(batch)
        before = len([write for write in subject.writes() if write.changed])
        second = await subject.adapter.push(batch)

        assert [r.outcome for r in second] == [r.outcome for r in first] == [Outcome.WRITTEN] * 4
        assert len([write for write in subject.writes() if write.changed]) == before

    async def test_a_whole_batch_is_one_call(self, subject: Subject) -> None:
        many = min(subject.adapter.limits.write_batch, len(subject.some(10_000)))
        batch = [Write(n, ref, {subject.score: n % 100}) for n, ref in enumerate(subject.some(many))]
        await subject.adapter.account()
        before = subject.adapter.calls()

        receipts = await subject.adapter.push(batch)

        assert all(receipt.outcome is Outcome.WRITTEN for receipt in receipts)
        assert subject.adapter.calls() - before == 1

    async def test_a_write_whose_answer_is_lost_is_unknown_and_is_not_sent_twice(
        self, subject: Subject
    ) -> None:
        ref = subject.some(1)[0]
        await subject.adapter.account()
        subject.sandbox.faults.add(drop_after=True, times=1)

        with pytest.raises(OutcomeUnknown):
            await subject.adapter.push([Write(1, ref, {subject.score: 77})])

        assert len(subject.writes()) == 1
        assert same_value(subject.stored(ref)[subject.score], 77)

    # ---------------------------------------------------------------------------------------------- knowing

    async def test_the_account_is_named_and_its_clock_is_told(self, subject: Subject) -> None:
        account = await subject.adapter.account()

        assert account.id
        assert account.now is not None
        assert abs(account.now - subject.sandbox.clock.now()) < timedelta(seconds=5)

    async def test_the_schema_knows_our_fields_and_how_to_write_them(self, subject: Subject) -> None:
        for stream in subject.person_streams:
            for object_ in stream.objects:
                schema = await subject.adapter.schema(object_)
                assert schema[subject.score].kind == "number"
                assert schema[subject.score].writable
                assert all(isinstance(info, FieldInfo) and info.name == name for name, info in schema.items())

    async def test_wrong_credentials_are_a_matter_of_configuration_and_are_not_shown(
        self, subject: Subject
    ) -> None:
        wrong = dict.fromkeys(subject.secrets, "wrong-credential-0123456789")
        adapter = subject.reconnect(wrong)

        with pytest.raises(FixConfig) as caught:
            await adapter.account()

        assert "wrong-credential-0123456789" not in str(caught.value)
        assert caught.value.next_step
        await adapter.close()

    async def test_every_call_is_counted(self, subject: Subject) -> None:
        await subject.adapter.account()
        subject.sandbox.log.clear()
        before = subject.adapter.calls()

        await subject.pull_people()

        assert subject.adapter.calls() - before == len(subject.sandbox.log.calls())


NEVER = "00Q000000099999EAA"
