"""What the ledger encodes comes back exactly as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.core.model import (
    Answer,
    CompanyRecord,
    FieldWrite,
    HeldBack,
    MqlStatus,
    OpportunityRecord,
    PersonRecord,
    RecordState,
    Ref,
    StageState,
)
from connector.errors import StopRun
from connector.ledger import codec
from connector.ledger.types import from_micros, to_micros

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | TIMES
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("$t"), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
REFS = st.builds(Ref, NAMES, NAMES, st.text(min_size=1, max_size=8))
FIELDS = st.dictionaries(NAMES, VALUES, max_size=5)
MAYBE_TIME = st.none() | TIMES
STATES = st.sampled_from(RecordState)

PEOPLE = st.builds(
    PersonRecord,
    ref=REFS,
    fields=FIELDS,
    emails=st.lists(st.text(max_size=12), max_size=3).map(tuple),
    same_as=st.lists(REFS, max_size=2).map(tuple),
    company=st.none() | REFS,
    stage=st.none() | NAMES,
    stage_at=MAYBE_TIME,
    answer=st.none() | st.builds(Answer, NAMES, st.text(max_size=5), TIMES, st.none() | st.text(max_size=5)),
    state=STATES,
    moved_to=st.none() | REFS,
    in_scope=st.booleans(),
    held=st.dictionaries(NAMES, JSON, max_size=4),
    changed_at=MAYBE_TIME,
    created_at=MAYBE_TIME,
)
DEALS = st.builds(
    OpportunityRecord,
    ref=REFS,
    people=st.lists(REFS, max_size=3).map(tuple),
    company=st.none() | REFS,
    is_closed=st.booleans(),
    is_won=st.booleans(),
    amount=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    currency=st.none() | NAMES,
    state=STATES,
    changed_at=MAYBE_TIME,
    closed_at=MAYBE_TIME,
)
STAGES = st.builds(
    StageState,
    stage=NAMES,
    status=st.sampled_from(MqlStatus),
    since=MAYBE_TIME,
    mql_since=MAYBE_TIME,
    first_mql_at=MAYBE_TIME,
    cool_off_until=MAYBE_TIME,
    rejected_at=MAYBE_TIME,
    answered_at=MAYBE_TIME,
    disqualified_by=st.none() | NAMES,
    because=st.text(max_size=10),
)


@example(PersonRecord(Ref("a", "b", "c"), {}, held={"beyond 64 bits": -9223372036854775809, "double": -9e18}))
@given(PEOPLE)
def test_a_person_record_comes_back_exactly(record):
    text = codec.dump_person(record)
    assert codec.load_person(text) == record
    assert codec.dump_person(codec.load_person(text)) == text


@given(st.builds(CompanyRecord, ref=REFS, fields=FIELDS, state=STATES, changed_at=MAYBE_TIME))
def test_a_company_record_comes_back_exactly(record):
    assert codec.load_company(codec.dump_company(record)) == record


@given(DEALS)
def test_an_opportunity_record_comes_back_exactly(record):
    assert codec.load_opportunity(codec.dump_opportunity(record)) == record


@given(STAGES)
def test_a_stage_state_comes_back_exactly(state):
    assert codec.load_state(codec.dump_state(state)) == state


@given(st.lists(st.builds(FieldWrite, NAMES, JSON, JSON, NAMES, NAMES), max_size=3).map(tuple))
def test_planned_fields_come_back_exactly(writes):
    assert codec.load_writes(codec.dump_writes(writes)) == writes


@given(st.lists(st.builds(HeldBack, NAMES, JSON, JSON, st.text(max_size=9)), max_size=3).map(tuple))
def test_fields_held_back_come_back_exactly(held_back):
    assert codec.load_held_back(codec.dump_held_back(held_back)) == held_back


@given(TIMES)
def test_a_time_keeps_its_microseconds(at):
    assert from_micros(to_micros(at)) == at


def test_a_time_of_another_zone_is_kept_as_its_instant():
    there = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=9)))
    record = PersonRecord(Ref("hubspot", "contact", "1"), {"created_at": there})
    assert codec.load_person(codec.dump_person(record)).fields["created_at"] == there


def test_equal_values_have_equal_text_whatever_their_order():
    assert codec.dumps({"a": 1, "b": 2}) == codec.dumps({"b": 2, "a": 1})


def test_a_value_that_is_no_json_stops_the_run():
    with pytest.raises(StopRun, match="not JSON"):
        codec.loads("{torn")
