"""YAML files come back as plain values with places, and their mistakes with line and column."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.app.definition import read_files
from connector.app.files import Beside, in_document, load_criteria, load_document, load_mapping, read_document
from connector.errors import FixConfig, Problem


def test_values_are_plain_and_follow_yaml_1_2():
    text = "a: yes\nb: 012\nc: 2026-11-01\nd: 2026-11-01T02:00:00+02:00\ne: 1.5\nf: [true, null]\n"
    assert read_document(text, "x.yaml").data == {
        "a": "yes",
        "b": 12,
        "c": date(2026, 11, 1),
        "d": datetime(2026, 11, 1, tzinfo=UTC),
        "e": 1.5,
        "f": [True, None],
    }


def test_each_value_knows_its_line_and_column():
    document = read_document("a: 1\nb:\n  - {c: 2}\n  - 3\n", "x.yaml")
    assert document.locate(("b", 0, "c")) == (3, 6)
    assert document.locate(("b", 1)) == (4, 5)
    assert document.locate(("b", 0, "absent")) == (3, 5)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2\n", 2, 'duplicate key "a"'),
        ("a: [1\nb: 2\n", 2, "Expected"),
        ("\ta: 1\n", 1, "cannot start any token"),
        ("a: *b\n", 1, "undefined alias"),
        ("a: !!python/object:os.system x\n", None, "take the tag away"),
        ("&a [*a]\n", None, "refers to itself"),
        ("a: 2026-13-45\n", None, "month"),
    ],
)
def test_broken_yaml_is_refused_with_its_place(tmp_path, text, line, says):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FixConfig) as caught:
        load_document(tmp_path / "x.yaml")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert says in problem.what
    assert problem.file.endswith("x.yaml")


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("absent.yaml", "x.yaml"):
        with pytest.raises(FixConfig):
            load_document(tmp_path / name)


def test_problems_inside_a_document_get_file_line_and_column():
    document = read_document("fit:\n  - points: x\n", "criteria.yaml")
    with pytest.raises(FixConfig) as caught, in_document(document):
        raise FixConfig("No.", problems=[Problem(("fit", 0, "points"), "A number is needed here.")])
    assert str(caught.value.problems[0]).startswith("criteria.yaml:2:5: fit.0.points")


CRITERIA = """\
disqualify:
  - {id: rival, when: {field: email_domain, in_list: lists/rivals.csv}}
"""


def test_lists_are_taken_from_beside_the_criteria(tmp_path):
    (tmp_path / "criteria.yaml").write_text(CRITERIA, encoding="utf-8")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "rivals.csv").write_text(
        "\ufeffRival.example,why\n\n other.example \n", encoding="utf-8"
    )
    (rule,) = load_criteria(tmp_path / "criteria.yaml").disqualify
    assert rule.when.value == {"rival.example", "other.example"}


def test_a_missing_list_is_a_problem_with_its_place(tmp_path):
    (tmp_path / "criteria.yaml").write_text(CRITERIA, encoding="utf-8")
    with pytest.raises(FixConfig) as caught:
        load_criteria(tmp_path / "criteria.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, "no lists/rivals.csv" in problem.what) == (2, True)


def test_a_list_outside_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.csv").write_text("a\n", encoding="utf-8")
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "criteria.yaml").write_text(
        CRITERIA.replace("lists/rivals.csv", "../secret.csv"), encoding="utf-8"
    )
    with pytest.raises(FixConfig, match="outside of the folder"):
        load_criteria(folder / "criteria.yaml")


def test_entries_of_a_list_are_blank_as_values_of_records_are(tmp_path):
    (tmp_path / "some.csv").write_text("one,why\n\u00a0\t,x\n\u3000,x\n", encoding="utf-8")
    assert Beside(tmp_path).entries("some.csv") == {"one", "\u3000"}


MAPPING = """\
crm: hubspot
version: 1
titles: titles.csv
objects:
  contact:
    kind: person
    emails: [email]
    scope: {field: country, in_list: lists/markets.csv}
"""


def test_a_mapping_finds_its_titles_and_lists_beside_it_and_only_they_are_part_of_the_definition(tmp_path):
    (tmp_path / "hubspot.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "criteria.yaml").write_text("version: 1\nname: Ours\n", encoding="utf-8")
    (tmp_path / "titles.csv").write_text(
        "language,phrase,seniority,job_function\nen,head honcho,c_level,\n", encoding="utf-8"
    )
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "markets.csv").write_text("DE\nAT\n", encoding="utf-8")
    (tmp_path / "leads.csv").write_bytes(b"name\nJos\xe9\n")  # somebody's export, not even UTF-8
    (tmp_path / "salesforce.yaml").mkdir()

    files = read_files(tmp_path, ["hubspot", "salesforce"])

    assert files.problems == ()
    assert files.mappings["hubspot"].titles[0].phrase == "head honcho"
    assert set(files.texts) == {"criteria.yaml", "hubspot.yaml", "titles.csv", "lists/markets.csv"}


def test_titles_that_are_not_there_are_a_problem_with_their_place(tmp_path):
    (tmp_path / "hubspot.yaml").write_text(MAPPING, encoding="utf-8")
    with pytest.raises(FixConfig) as caught:
        load_mapping(tmp_path / "hubspot.yaml")
    lines = {problem.path[0]: problem for problem in caught.value.problems}
    assert (lines["titles"].line, "no titles.csv" in lines["titles"].what) == (3, True)
    assert "lists/markets.csv" in lines["objects"].what
