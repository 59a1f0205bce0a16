"""The plan over tables and the plain-Python oracle mean the same, for random criteria and hostile histories."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector.core.criteria_file import parse_criteria
from connector.core.known import known_as, score_known
from connector.core.model import Engagement
from connector.core.score import score_frames, score_person
from connector.core.score.tables import score_many

AS_OF = datetime(2026, 11, 1, 12, 0, 0, 250, tzinfo=UTC)
FIELDS = ["title", "size", "since", "active"]
TEXTS = [
    "",
    " ",
    "\u00a0\t",
    "VP Sales",
    " vp sales\u00a0",
    "İstanbul",
    "i̇stanbul",
    "STRASSE",
    "straße",
    "ΟΔΟΣ",
    "οδος",
    "a*b?c",
    "line\nbreak",
    "ends\n",
    "(x) [y] $1 ^|+.\\",
    "3",
    "3.0",
    "+3",
    "-0",
    "007",
    "1e3",
    "3.",
    "nan",
    "true",
    "2026-10-31",
    "2026-10-31T10:00:00Z",
    "2026-10-31T10:00:00.5+01:00",
    "2026-02-30",
    "\u2003",
    "x\u2028",
    "😀 ok",
]
NUMBERS = [0, 3, -3, 3.0, 2.5, 0.1, 1e-7, 1e20, 2**53 + 1, 10**7, 1234567.5]
TIMES = [
    date(2026, 10, 31),
    datetime(2026, 10, 31, 10, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
]
OPERANDS = st.sampled_from([*TEXTS, *NUMBERS, *TIMES, True, False])
MEASURES = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TIMES))
PATTERNS = st.sampled_from(
    ["*", "?", "vp*", "*S*", "a*b?c", "line?break", "ends", "* ok", "? ok", "(x)*", "*\\"]
)


def leaves(fields):
    field = st.sampled_from(fields)
    one = st.sampled_from(["is", "is_not"])
    return st.one_of(
        st.builds(lambda f, op, v: {"field": f, op: v}, field, one, OPERANDS),
        st.builds(
            lambda f, op, v: {"field": f, op: v},
            field,
            st.sampled_from(["in", "not_in"]),
            st.lists(OPERANDS, min_size=1, max_size=4),
        ),
        st.builds(
            lambda f, op, v: {"field": f, op: v},
            field,
            st.sampled_from(["gt", "gte", "lt", "lte"]),
            MEASURES,
        ),
        st.builds(
            lambda f, op, v: {"field": f, op: v},
            field,
            st.sampled_from(["contains", "starts_with", "ends_with"]),
            st.sampled_from(TEXTS),
        ),
        st.builds(lambda f, v: {"field": f, "matches": v}, field, PATTERNS),
        st.builds(lambda f, v: {"field": f, "in_list": v}, field, st.sampled_from(["some.csv"])),
        st.builds(
            lambda f, op, v: {"field": f, op: v},
            field,
            st.sampled_from(["is_set", "is_blank"]),
            st.booleans(),
        ),
        st.builds(
            lambda f, a, b: {"field": f, "between": sorted((a, b))},
            field,
            st.sampled_from(NUMBERS),
            st.sampled_from(NUMBERS),
        ),
    )


def conditions(fields):
    return st.recursive(
        leaves(fields),
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=4,
    )


DURATIONS = st.sampled_from(["1s", "90m", "1d", "7d", "30d", "52w"])
POINTS = st.sampled_from([-20, -2.5, 0, 0.1, 7, 33, 150])
DECAYS = st.sampled_from(
    ["none", {"half_life": "7d"}, {"half_life": "1s"}, {"steps": {"1d": 1, "7d": 0.5, "30d": 0}}]
)
EVENT_FIELDS = ["url", "status", "value", "attributes.plan", "attributes.n", "occurred_at", "type"]
TYPES = ["page_view", "email_click", "Page_View"]


@st.composite
def event_rules(draw, i, groups):
    rule = {
        "id": f"e{i}",
        "event": draw(st.one_of(st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1))),
    }
    if draw(st.booleans()):
        rule["where"] = draw(conditions(EVENT_FIELDS))
    if draw(st.booleans()):
        rule["within"] = draw(DURATIONS)
    if draw(st.booleans()):
        rule["at_least"] = draw(st.integers(1, 4))
        if draw(st.booleans()):
            rule["sum"] = draw(st.sampled_from(["value", "attributes.n"]))
    if groups is None:
        if draw(st.booleans()):
            rule["min_fit"] = draw(st.sampled_from([0, 10, 33]))
        return rule
    rule["points"] = draw(POINTS)
    if draw(st.booleans()):
        rule["newest"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        rule["decay"] = draw(DECAYS)
    if groups and draw(st.booleans()):
        rule["group"] = draw(st.sampled_from(groups))
    return rule


@st.composite
def criteria_docs(draw):
    groups = draw(st.lists(st.sampled_from(["web", "mail", "odd"]), unique=True))
    doc = {
        "groups": {name: {"cap": draw(st.sampled_from([-5, 0, 10, 40]))} for name in groups},
        "weights": {"fit": draw(st.sampled_from([0.5, 1, 0.3])), "engagement": 0.5},
        "fit": [
            {"id": f"f{i}", "when": draw(conditions([*FIELDS, "nobody"])), "points": draw(POINTS)}
            for i in range(draw(st.integers(0, 3)))
        ],
        "engagement": [draw(event_rules(i, groups)) for i in range(draw(st.integers(0, 4)))],
        "hand_raise": [draw(event_rules(i, None)) for i in range(draw(st.integers(0, 2)))],
        "disqualify": [
            {"id": f"d{i}", "when": draw(conditions(FIELDS))} for i in range(draw(st.integers(0, 2)))
        ],
    }
    if draw(st.booleans()):
        doc["decay"] = draw(DECAYS)
    return doc


PERSONAS = ["champion", "3", "2026-10-31"]
"""Ids that also read as a number and as a date."""
OF_PERSONA = st.one_of(
    st.sampled_from([{"field": "persona", "is_set": True}, {"field": "persona", "gte": 3}]),
    st.builds(lambda id: {"field": "persona", "is": id}, st.sampled_from(PERSONAS)),
    leaves(["persona"]),
)


@st.composite
def shared_docs(draw):
    """Criteria with personas, and with audiences that have keys of their own."""
    doc = draw(criteria_docs())
    every = [*FIELDS, "persona"]
    doc["personas"] = [
        {"id": id, "when": draw(conditions(FIELDS))}
        for id in draw(st.lists(st.sampled_from(PERSONAS), unique=True))
    ]
    if doc["personas"]:
        doc["fit"].append({"id": "of-persona", "when": draw(OF_PERSONA), "points": draw(POINTS)})
    doc["audiences"] = []
    for i in range(draw(st.integers(0, 2))):
        own = draw(criteria_docs())
        keys = draw(st.lists(st.sampled_from(["fit", "hand_raise", "disqualify", "weights"]), unique=True))
        if draw(st.booleans()):
            keys += ["engagement", "groups", "decay"]  # the rules of the file may need groups that these lack
        doc["audiences"].append(
            {"id": f"a{i}", "when": draw(st.one_of(OF_PERSONA, conditions(every)))}
            | {key: own[key] for key in keys if key in own}
        )
    return doc


AGES = st.one_of(
    st.sampled_from(
        [timedelta(0), timedelta(days=7), timedelta(days=30), timedelta(days=1), timedelta(microseconds=-1)]
    ),
    st.timedeltas(min_value=timedelta(days=-2), max_value=timedelta(days=400)),
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["plan", "n"]),
    st.one_of(st.sampled_from(TEXTS), st.sampled_from([3, 2.5, True, None, 1e20])),
)
EVENTS = st.builds(
    lambda type, age, url, status, value, attributes: Engagement(
        crm="x",
        stream="s",
        key="k",
        type=type,
        occurred_at=AS_OF - age,
        url=url,
        status=status,
        value=value,
        attributes=attributes,
    ),
    st.sampled_from([*TYPES, "other"]),
    AGES,
    st.one_of(st.none(), st.sampled_from(TEXTS)),
    st.one_of(st.none(), st.sampled_from(TEXTS)),
    st.one_of(st.none(), st.sampled_from([0.1, 1.0, 2.5, -1.0, math.nan, math.inf, -math.inf])),
    ATTRIBUTES,
)
TYPED_PEOPLE = st.fixed_dictionaries(
    {
        "title": st.one_of(st.none(), st.sampled_from(TEXTS)),
        "size": st.one_of(
            st.none(), st.sampled_from([0.0, 3.0, -3.0, 2.5, 0.1, 1e-7, 1e20, math.nan, math.inf])
        ),
        "since": st.one_of(st.none(), st.sampled_from(TIMES[1:])),
        "active": st.one_of(st.none(), st.booleans()),
        "persona": st.one_of(st.none(), st.sampled_from([*TEXTS[:4], *PERSONAS])),
    }
)
MIXED_PEOPLE = st.dictionaries(
    st.sampled_from(FIELDS), st.one_of(st.none(), OPERANDS, st.just(math.nan), st.just(10**400)), max_size=4
)
SOME = {" VP Sales ", "3", "\u00a0", "true"}
FEW = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def histories(people):
    return st.lists(st.tuples(people, st.lists(EVENTS, max_size=6)), min_size=1, max_size=4)


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
    for row, theirs in zip(rows, alone, strict=True):
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
