"""`connector score` as a data team calls it: real processes, real Parquet files, no account and no database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

CRITERIA = """
version: 1
name: Two rules each
groups: {web: {cap: 15}}
fit:
  - {id: senior, name: Senior, when: {field: seniority, in: [VP, Director]}, points: 40}
  - {id: small, name: Small company, when: {field: size, lt: 10}, points: -10}
engagement:
  - {id: pricing, name: Pricing, event: page_view, where: {field: url, contains: /pricing}, within: 30d, points: 10,
     decay: {half_life: 7d}, group: web}
  - {id: pro, name: Pro plan, event: page_view, where: {field: attributes.plan, is: pro}, points: 2.5}
disqualify:
  - {id: rival, name: Rival, when: {field: domain, in_list: lists/rivals.csv}, reason: Sells the same}
hand_raise:
  - {id: demo, name: Demo, event: demo_request, min_fit: 30}
stages:
  mql: {enter: {any: [{score: {gte: 60}}, {hand_raised: true}]}, leave: {any: [{score: {lt: 40}}]}}
"""
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMA = {
    "person_id": pl.String(),
    "fit": pl.Float64(),
    "engagement": pl.Float64(),
    "score": pl.Float64(),
    "band": pl.Int64(),
    "grade": pl.String(),
    "disqualified": pl.String(),
    "hand_raised": pl.String(),
    "contributions": pl.List(pl.Struct({"rule": pl.String, "points": pl.Float64})),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with criteria, a list, people and their engagement."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "rivals.csv").write_text("domain\nrival.example\n", encoding="utf-8")
    (tmp_path / "criteria.yaml").write_text(CRITERIA, encoding="utf-8")
    pl.DataFrame(
        {
            "person_id": ["ann", "bob", "cho"],
            "seniority": ["\u00a0vp ", None, "director"],
            "size": [float("nan"), 5.0, 50.0],
            "domain": ["ann.example", "Rival.Example", ""],
        }
    ).write_parquet(tmp_path / "people.parquet")
    pl.DataFrame(
        {
            "person_id": ["ann", "ann", "ann", "cho", "cho", "nobody"],
            "type": ["page_view", "page_view", "page_view", "demo_request", "page_view", "page_view"],
            "occurred_at": [
                AS_OF.replace(tzinfo=None) - age
                for age in map(
                    timedelta, (0, 7, 30, 1, -1, 0)
                )  # in days; the last but one lies in the future
            ],
            "url": ["/pricing", "/pricing?x", "/pricing", None, "/pricing", "/pricing"],
            "attributes": ['{"plan": "Pro"}', "{broken", None, None, None, None],
        }
    ).write_parquet(tmp_path / "engagement.parquet")
    return tmp_path


def score(folder: Path, *, code: int = 0, **changed: str) -> subprocess.CompletedProcess[str]:
    """`connector score` in `folder`, with some options other than usual."""
    options = {
        "criteria": "criteria.yaml",
        "people": "people.parquet",
        "engagement": "engagement.parquet",
        "as-of": "2026-11-01T00:00:00Z",
        "out": "out.parquet",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        [Path(sys.executable).with_name("connector"), "score", "--json", *words],
        cwd=folder,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_everyone_gets_the_row_worked_out_by_hand(folder):
    told = json.loads(score(folder).stdout)
    scores = pl.read_parquet(folder / "out.parquet")
    assert told["people"] == 3
    assert dict(scores.schema) == SCHEMA
    assert scores.sort("person_id").rows() == [
        ("ann", 40.0, 17.5, 28.75, 2, "C4", None, None,
         [{"rule": "senior", "points": 40.0}, {"rule": "pricing", "points": 15.0}, {"rule": "pro", "points": 2.5}]),
        ("bob", 0.0, 0.0, 0.0, 1, "D4", "rival", None, [{"rule": "small", "points": -10.0}]),
        ("cho", 40.0, 0.0, 20.0, 2, "C4", None, "demo", [{"rule": "senior", "points": 40.0}]),
    ]  # fmt: skip


def test_as_of_decides_what_is_in_the_future(folder):
    score(folder, as_of="2026-11-02T02:00:00+02:00")
    (cho,) = pl.read_parquet(folder / "out.parquet").filter(pl.col("person_id") == "cho").to_dicts()
    assert cho["contributions"] == [{"rule": "senior", "points": 40.0}, {"rule": "pricing", "points": 10.0}]


def test_times_in_a_zone_that_is_only_an_offset_are_instants(folder):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    offset = timezone(timedelta(hours=5, minutes=30))
    seen = arrow.array([AS_OF.astimezone(offset)], arrow.timestamp("us", "+05:30"))
    table = arrow.table(
        {"person_id": ["bob"], "type": ["page_view"], "occurred_at": seen, "url": ["/pricing"]}
    )
    parquet.write_table(table, folder / "offset.parquet")
    score(folder, engagement="offset.parquet")
    (bob,) = pl.read_parquet(folder / "out.parquet").filter(pl.col("person_id") == "bob").to_dicts()
    assert bob["engagement"] == 10.0


def test_each_audience_is_scored_by_its_own_criteria_and_each_treatment_by_what_is_left(folder):
    shared = """
personas: [{id: head, name: Head, when: {field: seniority, in: [VP, Director]}}]
audiences:
  - {id: partners, name: Partners, when: {field: persona, is: reseller}, fit: []}
  - id: heads
    name: Heads
    when: {field: persona, is: head}
    weights: {fit: 1, engagement: 0}
privacy:
  - {when: {field: domain, is: rival.example}, do: do_not_score, because: They asked us not to}
  - {when: {field: seniority, is: vp}, do: no_behaviour, because: No consent}
"""
    (folder / "criteria.yaml").write_text(CRITERIA + shared, encoding="utf-8")
    people = pl.read_parquet(folder / "people.parquet")
    people = people.with_columns(persona=pl.Series([" ", None, "Reseller"]))
    people.write_parquet(folder / "people.parquet")
    score(folder)
    scores = pl.read_parquet(folder / "out.parquet").sort("person_id")
    assert scores.select("person_id", "audience", "privacy", "fit", "engagement", "score").rows() == [
        ("ann", "heads", "no_behaviour", 40.0, 0.0, 40.0),
        ("bob", None, "do_not_score", None, None, None),
        ("cho", "partners", None, 0.0, 0.0, 0.0),
    ]
    assert scores.select("band", "grade", "disqualified").rows()[1] == (None, None, None), "though a rival"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"people": "criteria.yaml"}, "criteria.yaml: This is no Parquet file."),
        ({"people": "absent.parquet"}, "absent.parquet: There is no such file."),
        ({"people": "twice.parquet"}, "repeated in 1 row"),
        ({"people": "nameless.parquet"}, "no column `person_id`"),
        ({"as_of": "yesterday"}, "--as-of is not a moment: yesterday"),
        ({"engine": "abacus"}, "There is no engine `abacus`"),
        ({"criteria": "absent.yaml"}, "absent.yaml: This file does not exist"),
        ({"out": "absent/out.parquet"}, "absent/out.parquet: No file can be written here."),
        ({"out": "people.parquet"}, "people.parquet: This table would be overwritten."),
    ],
)
def test_what_cannot_work_says_why_and_exits_with_2(folder, changed, says):
    pl.DataFrame({"person_id": ["ann", "ann"]}).write_parquet(folder / "twice.parquet")
    pl.DataFrame({"id": ["ann"]}).write_parquet(folder / "nameless.parquet")
    done = score(folder, code=2, **changed)
    assert says in done.stderr
    assert not (folder / "out.parquet").exists()
