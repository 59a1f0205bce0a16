"""Whole tables score as `connector score` promises, on Polars and on PySpark alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from connector.app.files import load_criteria
from connector.core.conditions import Leaf
from connector.core.criteria import Audience, Criteria, FitRule, Persona
from connector.core.criteria_file import parse_criteria
from connector.core.privacy_rules import DO_NOT_SCORE, NO_BEHAVIOUR, PrivacyRule
from connector.core.score import score_frames, score_parquet, tables
from connector.core.score.pack import OUT
from connector.errors import FixConfig

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
SHIPPED = Path(__file__).parents[2] / "mappings" / "criteria.yaml"
CRITERIA = {
    "groups": {"web": {"cap": 25}},
    "fit": [
        {"id": "text", "when": {"field": "title", "matches": "*vp?sales*"}, "points": 1},
        {"id": "turkish", "when": {"field": "title", "in": ["İSTANBUL", "ΟΔΟΣ"]}, "points": 2},
        {"id": "listed", "when": {"field": "title", "in_list": "some.csv"}, "points": 4},
        {"id": "number", "when": {"field": "size", "between": [3, 10]}, "points": 8},
        {"id": "no-size", "when": {"not": {"field": "size", "gte": 0}}, "points": 16},
        {"id": "spelled", "when": {"field": "size", "is": "2.5"}, "points": 0.5},
        {"id": "date", "when": {"field": "since", "gte": date(2026, 10, 31)}, "points": 32},
        {"id": "dated", "when": {"field": "since", "starts_with": "2026-10-31t1"}, "points": 0.25},
        {"id": "active", "when": {"field": "Active", "is": True}, "points": 0.125},
        {"id": "nobody", "when": {"field": "no.such", "is_blank": True}, "points": 0.0625},
    ],
    "engagement": [
        {
            "id": "views",
            "event": "page_view",
            "newest": 2,
            "points": 10,
            "decay": {"half_life": "7d"},
            "group": "web",
        },
        {"id": "plan", "event": "page_view", "where": {"field": "attributes.plan", "is": "pro"}, "points": 3},
        {"id": "seats", "event": "page_view", "sum": "attributes.seats", "at_least": 5, "points": 5},
        {"id": "steps", "event": "email_click", "points": 4, "decay": {"steps": {"1d": 1, "9d": 0.5}}},
        {"id": "lots", "event": "email_click", "at_least": 3, "points": 50},
    ],
    "disqualify": [{"id": "student", "when": {"field": "title", "contains": "student"}}],
    "hand_raise": [
        {"id": "picky", "event": "demo_request", "min_fit": 99},
        {"id": "demo", "event": "demo_request"},
    ],
}
PEOPLE = pl.DataFrame(
    {
        "person_id": ["ann", "bob", "cho", "dee", "eve"],
        "title": ["\u00a0VP\nSales EMEA ", "istanbul", "οδος", " \t", "Student"],
        "size": [3.0, None, float("nan"), 2.5, 1e20],
        "since": [date(2026, 10, 31), None, date(2026, 11, 1), date(1969, 12, 31), date(2026, 1, 1)],
        "Active": [True, False, None, True, True],
        "active": ["no", "no", "no", "no", "no"],
    }
)


def an_event(person, type, ago, **attributes):
    return {
        "person_id": person,
        "type": type,
        "occurred_at": AS_OF - ago,
        "attributes": json.dumps(attributes),
    }


EVENTS = pl.DataFrame(
    [
        an_event("ann", "page_view", timedelta(days=7), plan=" PRO", seats="3"),
        an_event("ann", "page_view", timedelta(days=7), plan="pro", seats=2),
        an_event("ann", "page_view", timedelta(days=1), seats=True),
        an_event("ann", "page_view", -timedelta(seconds=1), plan="pro"),
        an_event("bob", "page_view", timedelta(microseconds=1), plan=["pro"], seats=4.5),
        an_event("bob", "email_click", timedelta(days=1)),
        an_event("bob", "email_click", timedelta(hours=23)),
        an_event("cho", "demo_request", timedelta(days=30)),
        an_event("stranger", "page_view", timedelta(days=1)),
        {**an_event("dee", "page_view", timedelta(0)), "attributes": '{"plan": "pro"'},
        {**an_event("dee", "page_view", timedelta(0)), "attributes": '{"plan": "pro"} and more'},
        {**an_event("dee", "page_view", timedelta(0)), "attributes": None},
        {**an_event("dee", "page_view", timedelta(0)), "type": None},
    ]
)


@pytest.fixture(scope="module")
def criteria():
    return parse_criteria(CRITERIA, lists=lambda name: frozenset({"Student", "x"}))


@pytest.fixture(scope="module")
def spark():
    pyspark_sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("PySpark tests need Java 17 or newer")
    builder = pyspark_sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    # A zone with daylight saving would show any detour through local time.
    builder = builder.config("spark.sql.session.timeZone", "America/New_York")
    builder = builder.config("spark.sql.caseSensitive", "true")
    # Compiling code for a handful of rows would take most of the time.
    builder = builder.config("spark.sql.codegen.wholeStage", "false")
    builder = builder.config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    builder = builder.config("spark.sql.adaptive.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "1")
    session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    yield session
    session.stop()


def by_person(rows):
    return {
        row["person_id"]: {
            "fit": row["fit"],
            "engagement": pytest.approx(row["engagement"], abs=1e-9),
            "score": pytest.approx(row["score"], abs=1e-9),
            "rest": (row["band"], row["grade"], row["disqualified"], row["hand_raised"]),
            "points": {one["rule"]: pytest.approx(one["points"], abs=1e-9) for one in row["contributions"]},
            "order": [one["rule"] for one in row["contributions"]],
        }
        for row in rows
    }


def test_a_table_scores_as_worked_out_by_hand(criteria):
    rows = {
        row["person_id"]: row for row in score_frames(criteria, PEOPLE, EVENTS, AS_OF).collect().to_dicts()
    }
    points = {id: {one["rule"]: one["points"] for one in row["contributions"]} for id, row in rows.items()}
    assert list(rows["ann"]) == list(OUT)
    views = 10 * 0.5 ** (1 / 7) + 5
    assert points["ann"] == {
        **{"text": 1, "number": 8, "date": 32, "active": 0.125, "nobody": 0.0625},
        **{"views": pytest.approx(views), "plan": 6, "seats": 15},
    }
    assert rows["ann"]["engagement"] == pytest.approx(views + 6 + 15)
    assert points["bob"] == {"no-size": 16, "nobody": 0.0625, "views": pytest.approx(10), "steps": 6}
    assert points["cho"] == {"turkish": 2, "no-size": 16, "date": 32, "nobody": 0.0625}
    assert rows["cho"]["hand_raised"] == "demo"
    assert points["dee"] == {"spelled": 0.5, "active": 0.125, "nobody": 0.0625, "views": 20}
    assert rows["eve"]["disqualified"] == "student"
    assert points["eve"] == {"listed": 4, "active": 0.125, "nobody": 0.0625}


def test_spark_gives_what_polars_gives(criteria, spark, tmp_path):
    naive = EVENTS.with_columns(pl.col("occurred_at").dt.replace_time_zone(None))
    only_times = replace(criteria, fit=(), engagement=criteria.engagement[:1])
    for name, table in (("people", PEOPLE), ("aware", EVENTS), ("naive", naive)):
        table.write_parquet(tmp_path / f"{name}.parquet")
    for name, rules in (("aware", criteria), ("naive", only_times)):
        frames = [spark.read.parquet(str(tmp_path / f"{each}.parquet")) for each in ("people", name)]
        rows = [row.asDict(recursive=True) for row in score_frames(rules, *frames, AS_OF).collect()]
        assert by_person(rows) == by_person(score_frames(rules, PEOPLE, EVENTS, AS_OF).collect().to_dicts())


def test_spark_scores_parquet_files_with_nanoseconds(spark, tmp_path):
    shipped = load_criteria(SHIPPED)
    hands = (replace(shipped.hand_raise[0], min_fit=None),)
    customer = FitRule("customer", "Customer", Leaf("account.is_customer", "is", "true"), 7.0)
    few = replace(shipped, fit=(customer,), engagement=shipped.engagement[:1], hand_raise=hands)
    buyers = FitRule("buyer", "Buyer", Leaf("persona", "is", "buyer"), 30.0)
    few = replace(
        few,
        personas=(Persona("buyer", "Buyer", Leaf("seniority", "is_blank")),),
        audiences=(Audience("buyers", "Buyers", buyers.when, Criteria(fit=(buyers,))),),
        privacy=(
            PrivacyRule(Leaf("country", "is", "fr"), NO_BEHAVIOUR, "no consent"),
            PrivacyRule(Leaf("country", "is_set"), DO_NOT_SCORE, "objected"),
        ),
    )
    people = pl.DataFrame({
        "person_id": [1, 2, 3, 4], "seniority": ["vp", None, "vp", None], "company_size": ["850", "n/a", None, None],
        "account.is_customer": [True, None, True, True], "country": [None, None, "FR", "DE"],
    })  # fmt: skip
    events = pl.DataFrame(
        {
            "person_id": ["1", "1", "3", "3", "4"],
            "type": ["page_view", "demo_request"] * 2 + ["demo_request"],
            "url": ["/pricing", None] * 2 + [None],
        }
    ).with_columns(occurred_at=pl.lit(AS_OF - timedelta(days=3)).cast(pl.Datetime("ns")))
    people.write_parquet(tmp_path / "p.parquet")
    events.write_parquet(tmp_path / "e.parquet")
    for engine in ("polars", "spark"):
        paths = (tmp_path / "p.parquet", tmp_path / "e.parquet", AS_OF, tmp_path / f"{engine}.parquet")
        assert score_parquet(few, *paths, engine) == 4
    one, other = (pl.read_parquet(tmp_path / f"{engine}.parquet") for engine in ("polars", "spark"))
    assert one.schema == other.schema
    assert by_person(one.to_dicts()) == by_person(other.to_dicts())
    assert one.sort("person_id")["hand_raised"].to_list() == ["demo", None, None, None]
    assert one.sort("person_id").select("audience", "fit").rows() == [
        (None, 7.0), ("buyers", 30.0), (None, 7.0), ("buyers", None),
    ]  # fmt: skip
    assert one.sort("person_id").select("engagement", "privacy").rows()[1:] == [
        (0.0, None), (0.0, NO_BEHAVIOUR), (None, DO_NOT_SCORE),
    ]  # fmt: skip
    assert one["privacy"].null_count() == 2
    assert one.sort("person_id")["score"][0] > one.sort("person_id")["score"][2] == 3.5
    assert one.sort("person_id")["audience"].to_list() == other.sort("person_id")["audience"].to_list()


def occurred(dtype_or_texts):
    events = pl.DataFrame({"person_id": ["a"], "type": ["page_view"]})
    if isinstance(dtype_or_texts, str):
        return events.with_columns(occurred_at=pl.lit(dtype_or_texts))
    return events.with_columns(
        occurred_at=pl.lit(datetime.fromisoformat("2026-10-31T12:00")).cast(dtype_or_texts)
    )


@pytest.mark.parametrize(
    ("spelling", "age_days"),
    [
        (pl.Datetime("ms"), 0.5),
        (pl.Datetime("us"), 0.5),
        (pl.Datetime("ns"), 0.5),
        (pl.Datetime("ns", "Asia/Tokyo"), 0.5),
        (pl.Date, 1.0),
        ("2026-10-31T12:00:00Z", 0.5),
        ("2026-10-31 12:00", 0.5),
        ("2026-10-31T14:00:00.000000+02:00", 0.5),
        ("2026-10-31", 1.0),
    ],
)
def test_times_come_in_any_spelling(spelling, age_days):
    criteria = parse_criteria(
        {"engagement": [{"id": "e", "event": "page_view", "points": 64, "decay": {"half_life": "1d"}}]}
    )
    rows = score_frames(criteria, pl.DataFrame({"person_id": ["a"]}), occurred(spelling), AS_OF).collect()
    assert rows["engagement"].to_list() == pytest.approx([64 * 0.5**age_days])


def test_everyone_gets_a_row_also_without_any_engagement_or_rule():
    people = pl.DataFrame({"person_id": [3, 1, 2]})
    nothing = pl.DataFrame(
        schema={"person_id": pl.Int64, "type": pl.String, "occurred_at": pl.Datetime("us")}
    )
    for doc in (CRITERIA, {"groups": {"off": {"cap": -5}}}):
        rows = score_frames(
            parse_criteria(doc, lists=lambda name: frozenset()), people, nothing, AS_OF
        ).collect()
        assert sorted(rows["person_id"]) == [1, 2, 3]
        assert rows["contributions"].null_count() == 0
        assert rows["band"].to_list() == [1, 1, 1]


def test_whole_number_ids_meet_their_texts():
    people = pl.DataFrame({"person_id": pl.Series([7], dtype=pl.UInt16)})
    events = pl.DataFrame({"person_id": ["7"], "type": ["demo_request"], "occurred_at": [AS_OF]})
    rows = score_frames(
        parse_criteria({"hand_raise": CRITERIA["hand_raise"]}), people, events, AS_OF
    ).collect()
    assert rows["hand_raised"].to_list() == ["demo"]
    assert rows.schema["person_id"] == pl.UInt16


@pytest.mark.parametrize(
    ("people", "events", "says"),
    [
        (PEOPLE.vstack(PEOPLE[:1]), EVENTS, "repeated in 1 row"),
        (PEOPLE.with_columns(person_id=pl.lit(None, dtype=pl.String)), EVENTS, "blank in 5 row"),
        (PEOPLE.drop("person_id"), EVENTS, "no column `person_id`"),
        (PEOPLE, EVENTS.drop("type", "occurred_at"), "no column `type` and no column `occurred_at`"),
        (PEOPLE.with_columns(person_id=pl.lit(1.5)), EVENTS, "Float64"),
        (PEOPLE, EVENTS.with_columns(occurred_at=pl.lit(5)), "`occurred_at`"),
        (PEOPLE.with_columns(title=pl.lit([1])), EVENTS, "`title`"),
    ],
)
def test_tables_that_make_no_sense_are_refused(criteria, people, events, says):
    with pytest.raises(FixConfig) as caught:
        score_frames(criteria, people, events, AS_OF)
    assert says in caught.value.message


def test_more_events_than_fit_into_memory_are_scored_in_shares_with_the_same_result(criteria, tmp_path):
    PEOPLE.write_parquet(tmp_path / "p.parquet")
    EVENTS.write_parquet(tmp_path / "e.parquet")
    paths = (tmp_path / "p.parquet", tmp_path / "e.parquet", AS_OF, tmp_path / "o.parquet")
    assert tables.score_parquet(criteria, *paths, events_at_once=2) == 5
    expected = score_frames(criteria, PEOPLE, EVENTS, AS_OF).collect().to_dicts()
    assert by_person(pl.read_parquet(paths[-1]).to_dicts()) == by_person(expected)


def test_a_file_that_is_no_parquet_is_refused(criteria, tmp_path):
    (tmp_path / "p.parquet").write_text("no", encoding="utf-8")
    for people in (tmp_path / "p.parquet", tmp_path / "absent.parquet"):
        with pytest.raises(FixConfig):
            score_parquet(criteria, people, people, AS_OF, tmp_path / "out.parquet")


def test_a_file_damaged_inside_is_refused_with_both_names(criteria, tmp_path):
    people, events = tmp_path / "p.parquet", tmp_path / "e.parquet"
    PEOPLE.write_parquet(people)
    EVENTS.write_parquet(events)
    whole = people.read_bytes()
    people.write_bytes(whole[:4] + b"\x55" * 60 + whole[64:])
    with pytest.raises(FixConfig, match="damaged") as caught:
        score_parquet(criteria, people, events, AS_OF, tmp_path / "out.parquet")
    assert str(people) in caught.value.where
    assert not (tmp_path / "out.parquet").exists()


def test_scores_go_only_where_a_file_may_be_written(criteria, tmp_path):
    people, events = tmp_path / "p.parquet", tmp_path / "e.parquet"
    PEOPLE.write_parquet(people)
    EVENTS.write_parquet(events)
    for out in (tmp_path, tmp_path / "absent" / "out.parquet", people, events):
        with pytest.raises(FixConfig):
            score_parquet(criteria, people, events, AS_OF, out)
    assert pl.read_parquet(people).columns == PEOPLE.columns
