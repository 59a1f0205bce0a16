"""Random criteria, random people and hostile histories of theirs, as Hypothesis draws them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from connector.core.model import Engagement
from connector.core.privacy_rules import TREATMENTS

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
    """Criteria with personas, with audiences that have keys of their own, and with rules of privacy."""
    doc = draw(criteria_docs())
    every = [*FIELDS, "persona"]
    doc["personas"] = [
        {"id": id, "when": draw(conditions(FIELDS))}
        for id in draw(st.lists(st.sampled_from(PERSONAS), unique=True))
    ]
    if doc["personas"]:
        doc["fit"].append({"id": "of-persona", "when": draw(OF_PERSONA), "points": draw(POINTS)})
    doc["privacy"] = [
        {"when": draw(conditions(FIELDS)), "do": draw(st.sampled_from(TREATMENTS)), "because": "law"}
        for _ in range(draw(st.integers(0, 2)))
    ]
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


def histories(people):
    return st.lists(st.tuples(people, st.lists(EVENTS, max_size=6)), min_size=1, max_size=4)


SUSPECTS = st.lists(
    st.sampled_from(
        [
            {"event": "email_click", "links": 2, "after_sent": "30s"},
            {"event": TYPES, "links": 2, "within": "10s"},
            {"event": "email_click", "unopened": True, "unless": {"event": "page_view", "another_day": True}},
            {"event": "page_view", "again_within": "5m"},
            {"event": "email_click", "where": {"field": "status", "is": "3"}},
        ]
    ),
    max_size=3,
    unique_by=str,
)
GUARDS = st.lists(
    st.sampled_from(
        [
            {"when": {"field": "size", "gt": 100}, "reason": "too large"},
            {"when": {"field": "persona", "is": "champion"}, "reason": "a champion"},
            {"since": "since", "within": "30d", "reason": "too soon"},
        ]
    ),
    max_size=1,
)


def bound(measure, op, values):
    return st.builds(lambda value: {measure: {op: value}}, st.sampled_from(values))


LOWS = [5, 15, 25, 40]
RISING = st.one_of(
    *(bound(measure, "gte", [10, 30, 60]) for measure in ("score", "fit", "engagement")),
    bound("band", "gte", [2, 3, 4]),
    st.just({"hand_raised": True}),
)
"""What more points can only bring nearer."""
FALLING = st.one_of(
    *(bound(measure, "lt", LOWS) for measure in ("score", "fit", "engagement")), bound("band", "lte", [1, 2])
)
"""What more points can only take away."""


@st.composite
def stage_docs(draw):
    """Rules of the stages that ask for points to enter and for a lack of them to leave, as every sane one does."""

    def rule(entries):
        parts = draw(st.lists(entries, min_size=1, max_size=2))
        parts = [part | ({"for": "2d"} if draw(st.booleans()) else {}) for part in parts]
        return {draw(st.sampled_from(["any", "all"])): parts}

    mql = {"enter": rule(RISING)}
    if draw(st.booleans()):
        mql["leave"] = rule(FALLING)
    if draw(st.booleans()):
        mql["evidence"] = {"events": 2, "days": draw(st.integers(1, 2))}
    if draw(st.booleans()):
        mql["best"] = {"per_week": 9, "from": draw(RISING)}
    stages = {"mql": mql, "recycle": {"cool_off": draw(st.sampled_from(["1d", "30d"]))}}
    for name in draw(st.lists(st.sampled_from(["lead", "sql"]), unique=True)):
        stages[name] = {"enter": rule(RISING), "leave": rule(FALLING)}
    return stages


OF_WHOM = st.sampled_from(
    [
        {"field": "title", "is_blank": True},
        {"not": {"field": "size", "gte": 3}},
        {"field": "title", "contains": "s"},
        {"field": "size", "gte": 3},
        {"field": "active", "is": True},
        {"not": {"field": "since", "is_set": True}},
        {"any": [{"field": "title", "is": "vp sales"}, {"field": "size", "lt": 3}]},
    ]
)
OF_WHOM_OR_PERSONA = st.one_of(OF_WHOM, OF_PERSONA)
OF_WHAT = st.builds(
    lambda event, more: {"event": event} | more,
    st.sampled_from([TYPES, TYPES, [*TYPES, "email_open"], TYPES[0], TYPES[1]]),
    st.sampled_from(
        [
            {},
            {},
            {"within": "30d"},
            {"at_least": 2},
            {"where": {"field": "url", "is_set": True}},
            {"where": {"field": "value", "is_blank": True}, "within": "52w", "at_least": 2},
        ]
    ),
)
SUMS = st.sampled_from([{}, {}, {}, {"sum": "value", "at_least": 2}])
MOSTLY_GAINS = st.sampled_from([7, 33, 20, 0.1, 12, 60, 0, -20, -2.5])
FADING = [{"half_life": "30d"}, {"steps": {"1d": 1, "7d": 0.5, "60d": 0.1}}, "none"]
WORTH = st.builds(
    lambda points, group, newest, decay: {"points": points} | group | newest | decay,
    MOSTLY_GAINS,
    st.sampled_from([{"group": "web"}, {"group": "mail"}, {}]),
    st.sampled_from([{}, {"newest": 1}, {"newest": 2}]),
    st.sampled_from([{}, *({"decay": each} for each in FADING)]),
)
DEFINITIONS = st.fixed_dictionaries(
    {
        "groups": st.fixed_dictionaries(
            {name: st.builds(lambda cap: {"cap": cap}, st.sampled_from([-5, 0, 10, 40])) for name in ("web", "mail")}
        ),
        "weights": st.sampled_from([{"fit": 0.5, "engagement": 0.5}, {"fit": 0.3, "engagement": 0.9}]),
        "fit": st.lists(
            st.builds(lambda when, points: {"when": when, "points": points}, OF_WHOM_OR_PERSONA, MOSTLY_GAINS),
            min_size=1,
            max_size=3,
        ),
        "engagement": st.lists(
            st.builds(lambda *of: of[0] | of[1] | of[2], OF_WHAT, SUMS, WORTH), min_size=2, max_size=4
        ),
        "hand_raise": st.lists(
            st.builds(lambda of, least: of | least, OF_WHAT, st.sampled_from([{}, {"min_fit": 10}, {"min_fit": 33}])),
            min_size=1, max_size=1,
        ),
        "disqualify": st.lists(st.builds(lambda when: {"when": when}, OF_WHOM_OR_PERSONA), max_size=1),
        "guards": GUARDS,
        "suspect": SUSPECTS,
        "stages": stage_docs(),
    },
)  # fmt: skip


def named(doc):
    """With an id for each rule."""
    return doc | {
        key: [{"id": f"{key[0]}{i}", **each} for i, each in enumerate(doc[key])]
        for key in ("fit", "engagement", "hand_raise", "disqualify", "guards", "suspect")
        if key in doc
    }


@st.composite
def whole_docs(draw):
    """Criteria with everything in them: suspects, groups, caps, personas, audiences, guards, stages. Plainer than the
    others, so that most rules reach somebody."""
    doc = named(draw(DEFINITIONS))
    doc["personas"] = [{"id": "3", "when": draw(OF_WHOM)}] if draw(st.booleans()) else []
    doc["audiences"] = []
    if draw(st.booleans()):
        own, keys = (
            named(draw(DEFINITIONS)),
            ["fit", "hand_raise", "disqualify", "weights", "stages", "guards"],
        )
        if draw(st.booleans()):
            keys += ["engagement", "groups"]
        audience = {"id": "a", "when": draw(OF_WHOM_OR_PERSONA)}
        doc["audiences"] = [audience | {key: own[key] for key in keys if draw(st.booleans())}]
        if "engagement" in doc["audiences"][0]:
            doc["audiences"][0]["groups"] = own["groups"]
    return doc
