"""What an undo takes back and what not, field by field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.core.model import FieldWrite, PlannedWrite, RecordState, Ref, VendorRecord
from connector.core.undo import TakenBack, Writer, in_two_steps, judge_undo, take_back, written_by_run

ADA = Ref("hubspot", "contact", "1")
AT = datetime(2026, 11, 25, tzinfo=UTC)
ORDER = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead")


def record(state: RecordState = RecordState.LIVE, ref: Ref = ADA, **values: Any) -> VendorRecord:
    return VendorRecord(ref, "person", values, AT, state=state)


def write(field: str, before: Any, after: Any, result: str = "score") -> FieldWrite:
    return FieldWrite(field, before, after, "always", result)


def taken(
    fresh: VendorRecord | None,
    *writes: FieldWrite,
    last: dict[str, Writer] | None = None,
    closed: dict[str, str] | None = None,
) -> TakenBack:
    last = {each.field: Writer(12) for each in writes} if last is None else last
    return take_back(ADA, 12, writes, last, fresh, closed=closed or {}, lowers=lambda w: w.result == "stage")


def test_a_field_that_still_holds_the_value_of_the_run_gets_what_stood_there_before():
    found = taken(record(a="42", b="x"), write("a", 10, 42), write("b", None, "x", "grade"))

    assert [(w.field, w.before, w.after, w.rule, w.result) for w in found.writes] == [
        ("a", "42", 10, "undo", "score"),
        ("b", "x", None, "undo", "grade"),
    ]
    assert found.left == ()


def test_of_several_writes_of_a_run_the_first_tells_what_stood_there_and_the_last_what_stands():
    [one] = written_by_run([[write("a", 1, 2)], [write("a", 2, 3)]])

    assert (one.before, one.after) == (1, 3)


@pytest.mark.parametrize(
    ("fresh", "last", "kind", "why"),
    [
        (record(a=43), None, "others", "somebody else"),
        (record(a=10), None, "back", "again"),
        (record(a=42), {"a": Writer(14)}, "later", "run 14 wrote it later"),
        (record(a=42), {"a": Writer(14, undoes=13)}, "later", "the undo of run 13"),
        (record(a=42), {}, "later", "not known any more"),
        (None, None, "gone", "no longer exists"),
        (record(RecordState.CONVERTED, a=42), None, "gone", "converted"),
        (record(RecordState.MERGED, a=42), None, "gone", "merged"),
        (record(ref=Ref("hubspot", "contact", "2"), a=42), None, "gone", "merged into hubspot:contact:2"),
        (record(RecordState.ARCHIVED, a=42), None, "gone", "deleted"),
    ],
)
def test_what_is_not_the_runs_any_more_is_left_with_the_reason(fresh, last, kind, why):
    found = taken(fresh, write("a", 10, 42), last=last)

    assert found.writes == ()
    [left] = found.left
    assert left.kind == kind
    assert why in left.why


def test_a_field_that_cannot_be_written_to_is_left():
    [left] = taken(record(a=42), write("a", 10, 42), closed={"a": "no right"}).left

    assert (left.kind, left.why) == ("closed", "no right")


def test_what_an_undo_of_this_run_took_back_before_is_done():
    found = taken(record(a=10), write("a", 10, 42), last={"a": Writer(13, undoes=12)})

    assert (found.writes, found.left, found.done) == ((), (), 1)


def test_only_a_stage_goes_back_in_two_steps_and_a_blank_needs_one():
    assert in_two_steps(write("s", "marketingqualifiedlead", "lead", "stage"), ORDER)
    assert not in_two_steps(write("s", "lead", "marketingqualifiedlead", "stage"), ORDER)
    assert not in_two_steps(write("s", "marketingqualifiedlead", None, "stage"), ORDER)
    assert not in_two_steps(write("s", "marketingqualifiedlead", "lead", "status"), ORDER)
    assert not in_two_steps(write("s", "marketingqualifiedlead", "their own", "stage"), ORDER)
    [back] = taken(
        record(s="marketingqualifiedlead"), write("s", "lead", "marketingqualifiedlead", "stage")
    ).writes
    assert back.two_step


def undo_of(*fields: tuple[str, Any, Any]) -> PlannedWrite:
    return PlannedWrite(
        ADA, tuple(FieldWrite(name, was, back, "undo", "score") for name, was, back in fields)
    )


def test_just_before_the_push_only_what_still_holds_the_undone_value_goes_back():
    verdict = judge_undo(undo_of(("a", 42, 10), ("b", 5, None)), record(a="42", b="7"))

    assert isinstance(verdict, PlannedWrite)
    assert [w.field for w in verdict.writes] == ["a"]
    [held] = verdict.held_back
    assert (held.field, held.before, held.wanted) == ("b", "7", None)
    assert "somebody changed it since" in held.why


def test_a_row_of_which_nothing_is_left_says_why():
    planned = undo_of(("a", 42, 10))

    assert "somebody changed it" in str(judge_undo(planned, record(a=1)))
    assert "again" in str(judge_undo(planned, record(a=10)))
    assert "no longer exists" in str(judge_undo(planned, None))
    assert "deleted" in str(judge_undo(planned, record(RecordState.ARCHIVED, a=42)))
