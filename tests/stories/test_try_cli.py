"""`connector try` as somebody with an exported list calls it: a real process, no account and no database."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "mappings" / "examples"
REAL = ROOT.parent / "shared" / "data" / "education-leads.csv"
MAPPING = """
crm: csv
version: 1
file: {id: Lead, outcome: Bought, positive: ["yes"], blank: ["-"]}
objects:
  row:
    kind: person
    fields: {title: Job title, company_size: Employees}
    counters: [{counter: Visits, type: page_view, first: all}]
"""
CRITERIA = """
version: 3
name: Small
decay: none
fit:
  - {id: chief, name: Runs things, when: {field: title, contains: chief}, points: 50}
  - {id: big, name: Large company, when: {field: company_size, gte: 200}, points: 25.5}
engagement:
  - {id: visits, name: Came back, event: page_view, at_least: 2, newest: 3, points: 10}
stages:
  mql: {enter: {any: [{score: {gte: 45}}]}, leave: {any: [{score: {lt: 20}}]}}
"""
LEADS = """\
Lead,Job title,Employees,Visits,Bought
z-9,"Chief of ""Things"", and more",500,7,yes
a-1,-,,1,no
m-5,chief,50,,no
b-2,,-,2.0,yes
"""
HEADER = ["id", "fit", "engagement", "score", "band", "stage"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a list of four made-up leads, its mapping and its criteria."""
    (tmp_path / "small-leads.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "small-criteria.yaml").write_text(CRITERIA, encoding="utf-8")
    (tmp_path / "leads.csv").write_text(LEADS, encoding="utf-8")
    return tmp_path


def connector(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`connector try WORDS` in `folder`."""
    done = subprocess.run(
        [Path(sys.executable).with_name("connector"), "try", *words],
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


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_every_lead_gets_its_row_in_the_order_of_the_file(folder):
    connector(folder, "leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv")
    header, *rows = rows_of(folder / "SCORES.csv")
    assert header == HEADER
    assert [(row[0], *map(float, row[1:5]), row[5]) for row in rows] == [
        ("z-9", 75.5, 30.0, 52.75, 3, "mql"),
        ("a-1", 0.0, 0.0, 0.0, 1, "lead"),
        ("m-5", 50.0, 0.0, 25.0, 2, "lead"),
        ("b-2", 0.0, 20.0, 10.0, 1, "lead"),
    ]


def test_it_says_why_and_how_well_the_score_separates_who_bought(folder):
    words = ["leads.csv", "--mapping", "small-leads.yaml", "--as-of", "2026-11-01"]
    told = json.loads(connector(folder, *words, "--json").stdout)
    plain = connector(folder, *words).stdout
    assert (told["people"], told["stages"]) == (4, {"lead": 3, "mql": 1})
    assert told["examples"][0]["id"] == "z-9"
    assert "Runs things +50" in told["examples"][0]["because"]
    assert told["separation"]["auc"] == 0.75  # of four pairs, three are in the right order
    assert told["separation"]["base_rate"] == 0.5
    assert "Runs things +50" in plain
    assert "AUC 0.75" in plain


def test_every_lead_is_judged_by_the_criteria_of_its_audience_and_treated_by_the_rules_of_privacy(folder):
    large = """
audiences:
  - {id: large, name: Large companies, when: {field: company_size, gte: 100}, weights: {fit: 1, engagement: 0}}
privacy:
  - {when: {field: title, contains: nobody}, do: score, because: asked}
  - {when: {field: title, is_blank: true}, do: do_not_score, because: unknown}
"""
    (folder / "small-criteria.yaml").write_text(CRITERIA + large, encoding="utf-8")
    words = ["leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv", "--json"]
    told = json.loads(connector(folder, *words).stdout)
    header, *rows = rows_of(folder / "SCORES.csv")
    assert header == [*HEADER, "audience", "privacy"]
    assert [(row[0], row[3], *row[5:]) for row in rows] == [
        ("z-9", "75.5", "mql", "large", ""),
        ("a-1", "", "lead", "", "do_not_score"),
        ("m-5", "25.0", "lead", "", ""),
        ("b-2", "", "lead", "", "do_not_score"),
    ]
    assert told["audiences"] == {"large": 1}
    assert told["privacy"] == {"do_not_score": 2}
    assert sum(told["bands"].values()) == told["separation"]["people"] == 2


def test_it_writes_nothing_but_the_scores(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    connector(folder, "leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv")
    (folder / "SCORES.csv").unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_wrong_column_is_named_with_the_nearest_right_one(folder):
    (folder / "leads.csv").write_text(LEADS.replace("Employees", "Employes"), encoding="utf-8")
    done = connector(folder, "leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv", code=2)
    assert "`Employees`" in done.stderr
    assert "`Employes`" in done.stderr
    assert not (folder / "SCORES.csv").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The list is empty"),
        (LEADS.splitlines()[0].encode(), "The list has no rows"),
        (b"PK\x03\x04\xff\xfe\x00\x00", "no CSV in UTF-8"),
        (LEADS.encode() + b'"x-7,never closed', "no CSV in UTF-8"),
        (LEADS.replace("Bought", "Lead").encode(), "`Lead` stands twice"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_whole(folder, content, says):
    (folder / "leads.csv").write_bytes(content)
    done = connector(folder, "leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv", code=2)
    assert says in done.stderr
    assert "leads.csv" in done.stderr
    assert not (folder / "SCORES.csv").exists()


def test_a_row_with_a_cell_too_few_is_told_and_the_others_are_scored(folder):
    (folder / "leads.csv").write_text(LEADS + "x-7,chief\n", encoding="utf-8")
    done = connector(
        folder, "leads.csv", "--mapping", "small-leads.yaml", "--out", "SCORES.csv", "--json", code=3
    )
    assert json.loads(done.stdout)["left_out_lines"] == [6]
    assert [row[0] for row in rows_of(folder / "SCORES.csv")[1:]] == ["z-9", "a-1", "m-5", "b-2"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["absent.csv", "--mapping", "small-leads.yaml"], "absent.csv: There is no such file"),
        (["leads.csv", "--mapping", "absent.yaml"], "absent.yaml"),
        (["leads.csv", "--mapping", "small-leads.yaml", "--criteria", "absent.yaml"], "absent.yaml"),
        (["leads.csv", "--mapping", "small-leads.yaml", "--as-of", "soon"], "--as-of is not a moment: soon"),
        (["leads.csv", "--mapping", "small-leads.yaml", "--out", "absent/S.csv"], "absent/S.csv"),
        (["leads.csv", "--mapping", "small-leads.yaml", "--out", "leads.csv"], "leads.csv"),
    ],
)
def test_what_cannot_work_says_why_and_exits_with_2(folder, words, says):
    done = connector(folder, *words, code=2)
    assert says in done.stderr
    assert (folder / "leads.csv").read_text(encoding="utf-8") == LEADS


@pytest.mark.skipif(not REAL.exists(), reason="the real leads are not part of the project")
def test_the_example_scores_every_real_lead_and_separates_who_bought(tmp_path):
    out = tmp_path / "SCORES.csv"
    mapping = EXAMPLES / "education-leads.yaml"
    done = connector(tmp_path, str(REAL), "--mapping", str(mapping), "--out", str(out), "--json")
    header, *rows = rows_of(out)
    assert header == HEADER
    assert [row[0] for row in rows] == [row[0] for row in rows_of(REAL)[1:]]
    assert len(rows) == 5595
    assert json.loads(done.stdout)["separation"]["auc"] > 0.8
