"""Criteria in words: what people who agree on them read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from connector.app.commands.init import presets, shipped
from connector.app.files import Beside, load_criteria
from connector.core.conditions import parse_condition
from connector.core.criteria_file import parse_criteria
from connector.core.wording import changes_in_words, condition_in_words

BASE: dict[str, Any] = {
    "decay": {"half_life": "30d"},
    "groups": {"mail": {"cap": 10}},
    "fit": [{"id": "boss", "name": "Boss", "when": {"field": "seniority", "in": ["vp", "c_level"]}, "points": 30}],
    "engagement": [{"id": "clicks", "name": "Clicks", "event": "email_click", "within": "30d", "at_least": 2,
                    "points": 3, "group": "mail"}],
}  # fmt: skip


def changed(**keys: Any) -> list[str]:
    return changes_in_words(parse_criteria(BASE), parse_criteria({**BASE, **keys}))


def clicks(**keys: Any) -> list[dict[str, Any]]:
    return [{**BASE["engagement"][0], **keys}]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"field": "company_size", "gte": 200}, "company size is at least 200"),
        ({"field": "budget", "is_blank": True}, "budget is not known"),
        ({"not": {"field": "email_kind", "in": ["free", "none"]}}, "not email kind is one of free, none"),
        (
            {
                "all": [
                    {"field": "a", "between": [1, 5]},
                    {"any": [{"field": "b", "is": "x"}, {"field": "c", "is": "y"}]},
                ]
            },
            "(a is between 1 and 5 and (b is x or c is y))",
        ),
        ({"field": "created_at", "lt": date(2026, 11, 1)}, "created at is less than 2026-11-01"),
    ],
)
def test_a_condition_reads_like_a_sentence(condition: Any, words: str) -> None:
    problems: list[Any] = []
    assert condition_in_words(parse_condition(condition, (), problems)) == words
    assert problems == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, []),
        ({"engagement": clicks(points=5)}, ["`clicks` (Clicks) gives 5 points (so far 3)."]),
        ({"engagement": clicks(within="1w", at_least=1)},
         ["`clicks` (Clicks) counts for 7 days (so far 30 days), needs at least 1 (so far 2)."]),
        ({"decay": {"half_life": "12h"}},
         ["Interest counts half after 12 hours; so far it counted half after 30 days."]),
        ({"engagement": clicks(decay="none")}, ["`clicks` (Clicks) does not fade (so far counts half after 30 days)."]),
        ({"engagement": []},
         ["The rule of engagement `clicks` (Clicks) is gone: it gave 3 points for each of email_click, from 2 on, "
          "within 30 days, at most 10 together with the group mail."]),
        ({"groups": {"mail": {"cap": 4}}}, ["The group mail gives at most 4; so far 10."]),
        ({"hand_raise": [{"id": "demo", "event": "demo_request", "min_fit": 10}]},
         ["New hand-raiser `demo` (demo): qualifies at once from fit 10 on for demo_request."]),
        ({"stages": {"mql": {"enter": {"score": {"gte": 50}}, "leave": {"score": {"lt": 30}, "for": "3d"}}}},
         ["MQL is entered: score at least 50; so far: ((score at least 60 and fit at least 25) or a hand was raised).",
          "MQL is left: score below 30 for 3 days; so far: (score below 40 for 14 days or disqualified)."]),
        ({"stages": {"sql": {"enter": {"score": {"gte": 50}, "when": {"field": "budget", "is_set": True},
                                       "for": "3d"}}}},
         ["SQL is entered: (score at least 50 and budget is known) for 3 days; so far: none.",
          "SQL is left: never; so far: none."]),
        ({"weights": {"fit": 0.4, "engagement": 0.6}},
         ["Weights: fit 0.4, engagement 0.6; so far: fit 0.5, engagement 0.5."]),
    ],
)  # fmt: skip
def test_each_difference_is_one_sentence(keys: dict[str, Any], words: list[str]) -> None:
    assert changed(**keys) == words


def test_any_two_presets_differ_in_sentences_that_read_whole() -> None:
    one, *others = [load_criteria(path, Beside(shipped())) for path in presets().values()]
    for other in others:
        sentences = changes_in_words(one, other)
        assert len(sentences) > 30
        assert [each for each in sentences if not (each[0].isupper() or each[0] in "`0123456789")] == []
        assert all(each.endswith(".") for each in sentences)
        assert not [each for each in sentences if "Leaf(" in each or "timedelta" in each or "0:00:00" in each]
    assert changes_in_words(one, replace(one, warnings=())) == []
