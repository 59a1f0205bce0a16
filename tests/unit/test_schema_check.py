"""A mapping held against a live schema: what is missing, of the wrong kind, too short, or without an option."""

from __future__ import annotations

import re
from typing import Any

import pytest

from connector.core.mapping import CrmMapping
from connector.core.mapping_file import parse_mapping
from connector.core.model import MqlStatus
from connector.core.targets import GRADES
from connector.insight.schema import hold_against
from connector.ports import FieldInfo, Finding

LINES = {"score": "s", "grade": "g", "status": "t", "reason": "r", "since": "d"}
STAGES = ("lead", "mql", "sql")


def mapping(**changes: Any) -> CrmMapping:
    person: dict[str, Any] = {
        "kind": "person",
        "emails": ["email"],
        "fields": {"title": "jobtitle"},
        "stage": {"from": "stage", "values": {stage: stage for stage in STAGES}},
        "status": {"from": "answer", "accepted": ["Yes"], "rejected": ["No"], "working": ["Busy"]},
        "counters": [
            {"counter": "views", "type": "page_view"},
            {"counter": "rare", "type": "call", "optional": True},
        ],
        "write": [{"result": result, "to": to, "rule": "always"} for result, to in LINES.items()]
        + [{"result": "stage", "to": "stage", "rule": "only_raise"}],
    }
    return parse_mapping(
        {
            "crm": "acme",
            "version": 1,
            "objects": {"person": {**person, **changes}},
            "engagement": {"visits": {"fields": {"name": "page_title"}, "types": [{"type": "page_view"}]}},
        }
    )


def schema(**changes: FieldInfo | None) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo | None] = {
        "email": FieldInfo("email", "text"),
        "jobtitle": FieldInfo("jobtitle", "text"),
        "views": FieldInfo("views", "number"),
        "stage": FieldInfo("stage", "enum", options=STAGES, restricted=True),
        "answer": FieldInfo("answer", "enum", options=("Yes", "no", "Busy")),
        "s": FieldInfo("s", "number"),
        "g": FieldInfo("g", "enum", options=GRADES, restricted=True),
        "t": FieldInfo("t", "enum", options=tuple(status.value for status in MqlStatus), restricted=True),
        "r": FieldInfo("r", "text", max_length=255),
        "d": FieldInfo("d", "datetime"),
        **changes,
    }
    return {name: info for name, info in fields.items() if info is not None}


def found(live: dict[str, FieldInfo], of: CrmMapping | None = None) -> list[Finding]:
    return hold_against(of or mapping(), {"person": live})


def test_what_fits_is_not_spoken_of() -> None:
    assert found(schema()) == []


@pytest.mark.parametrize(
    ("field", "info", "level", "said"),
    [
        ("s", FieldInfo("s", "text"), "problem", "a text field, but we write whole numbers"),
        ("s", FieldInfo("s", "enum"), "problem", "an enum field, but we write whole numbers"),
        ("s", FieldInfo("s", "other"), "warning", "a kind we do not know"),
        ("r", FieldInfo("r", "number"), "problem", "number field, but we write text"),
        ("r", FieldInfo("r", "enum", options=("a",)), "problem", "but we write text"),
        ("r", FieldInfo("r", "text", max_length=80), "problem", "at most 80 characters, but we write up to 255"),
        ("t", FieldInfo("t", "text", max_length=10), "problem", "at most 10 characters, but we write up to 12"),
        ("d", FieldInfo("d", "date"), "problem", "date field, but we write date and time"),
        ("d", FieldInfo("d", "text"), "problem", "but we write date and time"),
        ("g", FieldInfo("g", "enum", options=GRADES[1:], restricted=True), "problem", "no option `A1`"),
        ("g", FieldInfo("g", "enum", options=GRADES[1:]), "warning", "no option `A1`"),
        ("stage", FieldInfo("stage", "enum", options=("lead", "mqls", "sql"), restricted=True), "problem", "`mql`"),
        ("answer", FieldInfo("answer", "enum", options=("Yess", "No", "Busy")), "problem", "`Yes` .accepted.*Yess"),
        ("answer", FieldInfo("answer", "enum", options=("Yes", "No")), "note", "`Busy` .working."),
        ("s", FieldInfo("s", "number", writable=False), "problem", "may not be edited"),
        ("s", None, "problem", "would be written, but is not there yet"),
        ("jobtitle", None, "problem", "not there or not visible"),
        ("views", FieldInfo("views", "text"), "warning", "no number field"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place_and_a_next_step(
    field: str, info: FieldInfo | None, level: str, said: str
) -> None:
    [finding] = found(schema(**{field: info}))

    assert finding.level == level
    assert finding.where == f"person.{field}"
    assert re.search(said, finding.what), finding.what
    assert finding.next_step


def test_text_takes_our_words_and_no_option_is_missed_there() -> None:
    assert found(schema(g=FieldInfo("g", "text", max_length=255), t=FieldInfo("t", "text"))) == []


def test_before_set_up_missing_targets_are_one_warning() -> None:
    [finding] = found(schema(**dict.fromkeys(LINES.values())))

    assert (finding.level, finding.where) == ("warning", "person")
    assert finding.what.startswith("s, g, t, r, d would be written")
    assert "connector setup acme" in finding.next_step


def test_a_user_who_may_edit_nothing_yet_is_one_warning() -> None:
    live = {
        name: FieldInfo(info.name, info.kind, writable=False, options=info.options)
        for name, info in schema().items()
    }

    [finding] = found(live)

    assert (finding.level, finding.where) == ("warning", "person")
    assert "nothing may be written" in finding.what


def test_a_misspelt_target_beside_others_names_the_nearest() -> None:
    live = schema(s=None, mql_score=FieldInfo("mql_score", "number"))
    lines = [
        {"result": "score", "to": "mql_scoer", "rule": "always"},
        {"result": "grade", "to": "g", "rule": "always"},
    ]

    [finding] = found(live, mapping(write=lines))

    assert finding.level == "problem"
    assert "mql_score" in finding.what


def test_a_field_that_a_stream_reads_is_held_against_its_schema() -> None:
    [finding] = hold_against(mapping(), {"visits": {"page_titel": FieldInfo("page_titel", "text")}})

    assert (finding.where, finding.level) == ("visits.page_title", "problem")
    assert "page_titel" in finding.what


def test_several_wrong_things_are_all_told() -> None:
    live = schema(s=FieldInfo("s", "text"), r=None, jobtitle=None, d=FieldInfo("d", "date"))

    assert len(found(live)) == 4


def test_an_override_field_is_asked_for_its_options_and_for_no_right_to_write() -> None:
    of = mapping(override={"from": "word", "values": {"never": ["no"], "mql_now": ["now"]}, "reason": "gone"})
    word = FieldInfo("word", "enum", options=("NO", "later"), restricted=True, writable=False)
    told = {finding.where: finding for finding in found(schema(word=word), of)}
    assert set(told) == {"person.word", "person.gone"}
    assert "has no option `now` (mql_now)" in told["person.word"].what
