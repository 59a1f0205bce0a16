"""The plan over tables and the plain-Python oracle mean the same, for random criteria and hostile histories."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from connector.core.criteria_file import parse_criteria
from connector.core.known import known_as, score_known
from connector.core.privacy import is_unscored
from connector.core.score import score_frames, score_person
from connector.core.score.tables import score_many
from tests.properties.random_criteria import (
    AS_OF,
    MIXED_PEOPLE,
    SOME,
    TYPED_PEOPLE,
    criteria_docs,
    histories,
    shared_docs,
)

FEW = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def the_same(mine, theirs):
    assert mine.fit == pytest.approx(theirs.fit, abs=1e-9)
    assert mine.engagement == pytest.approx(theirs.engagement, abs=1e-9)
    assert mine.score == pytest.approx(theirs.score, abs=1e-9)
    assert (mine.band, mine.grade) == (theirs.band, theirs.grade)
    assert (mine.disqualified, mine.hand_raised) == (theirs.disqualified, theirs.hand_raised)
    assert [one.rule for one in mine.contributions] == [one.rule for one in theirs.contributions]
    for one, other in zip(mine.contributions, theirs.contributions, strict=True):
        assert one.points == pytest.approx(other.points, abs=1e-9)


@FEW
@given(criteria_docs(), histories(MIXED_PEOPLE))
def test_many_people_score_as_each_of_them_alone(doc, people):
    criteria = parse_criteria(doc, lists=lambda name: SOME)
    together = score_many(criteria, people, AS_OF)
    alone = [score_person(criteria, fields, engagement, AS_OF) for fields, engagement in people]
    for mine, theirs in zip(together, alone, strict=True):
        the_same(mine, theirs)


@FEW
@given(shared_docs(), histories(TYPED_PEOPLE))
def test_a_table_scores_as_the_people_in_it(doc, people):
    criteria = parse_criteria(doc, lists=lambda name: SOME)
    people_table, event_table = tables_of(people)
    rows = score_frames(criteria, people_table, event_table, AS_OF).collect().sort("person_id").to_dicts()
    known = [known_as(fields, engagement, criteria) for fields, engagement in people]
    alone = [score_known(each, AS_OF) for each in known]
    if criteria.audiences:
        assert [row["audience"] or "" for row in rows] == [each.audience for each in known]
    if criteria.privacy:
        assert [row["privacy"] for row in rows] == [
            each.criteria.under.do if each.criteria.under else None for each in known
        ]
    for row, theirs, person in zip(rows, alone, known, strict=True):
        if is_unscored(person.criteria):
            nothing = ("fit", "engagement", "score", "band", "grade", "disqualified", "hand_raised")
            assert ([row[name] for name in nothing], row["contributions"]) == ([None] * 7, [])
            assert theirs.contributions == ()
            continue
        assert row["score"] == pytest.approx(theirs.score, abs=1e-9)
        assert (row["band"], row["grade"]) == (theirs.band, theirs.grade)
        assert (row["disqualified"], row["hand_raised"]) == (theirs.disqualified, theirs.hand_raised)
        assert [one["rule"] for one in row["contributions"]] == [one.rule for one in theirs.contributions]
        for one, other in zip(row["contributions"], theirs.contributions, strict=True):
            assert one["points"] == pytest.approx(other.points, abs=1e-9)


def tables_of(people):
    """The people and their engagement as `connector score` gets them: one type a column, attributes as JSON."""
    people_table = pl.DataFrame(
        [{"person_id": i, **fields} for i, (fields, _) in enumerate(people)],
        schema={
            "person_id": pl.Int32,
            "title": pl.String,
            "size": pl.Float64,
            "since": pl.Datetime("us", "UTC"),
            "active": pl.Boolean,
            "persona": pl.String,
        },
    )
    rows = [
        {
            "person_id": i,
            "type": event.type,
            "occurred_at": event.occurred_at,
            "url": event.url,
            "status": event.status,
            "value": event.value,
            "attributes": json.dumps(dict(event.attributes)),
        }
        for i, (_, engagement) in enumerate(people)
        for event in engagement
    ]
    schema = {
        "person_id": pl.Int64,
        "type": pl.String,
        "occurred_at": pl.Datetime("us", "UTC"),
        "url": pl.String,
        "status": pl.String,
        "value": pl.Float64,
        "attributes": pl.String,
    }
    return people_table, pl.DataFrame(rows, schema=schema)
