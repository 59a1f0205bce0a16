"""A real person frozen as an example: nothing that names them is left, and the rules say the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.app.commands.init import shipped
from connector.app.examples_file import with_example
from connector.app.files import Beside, load_criteria, read_document
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.examples import run_examples
from connector.core.known import Known
from connector.core.model import Engagement
from connector.core.score import score_person
from connector.errors import FixConfig
from connector.insight.frozen import freeze

AT = datetime(2026, 11, 26, 14, 37, 11, 250000, tzinfo=UTC)
CLASSIC = load_criteria(shipped() / "criteria.yaml", Beside(shipped()))
ADA = {
    "email": "ada.lovelace@analytical.co.uk", "first_name": "Ada", "last_name": "Lovelace", "phone": "+442071234567",
    "email_domain": "analytical.co.uk", "company_domain": "analytical.co.uk", "company_name": "Analytical Engines",
    "website": "https://analytical.co.uk", "title": "VP of Engines at Analytical", "city": "London", "owner": "77",
    "seniority": "vp", "job_function": "engineering", "email_kind": "business", "company_size": 273,
    "industry": "Computer Software",
}  # fmt: skip


def event(type: str, days: float, **more: object) -> Engagement:
    return Engagement("any", "s", f"{type}{days}", type, AT - timedelta(days=days), **more)  # type: ignore[arg-type]


DONE = (
    event(
        "page_view",
        1.3,
        url="https://www.example.com/pricing?email=ada.lovelace%40analytical.co.uk#plans",
        name="Pricing",
    ),
    event("content_download", 4.01, name="Guide for Ada", attributes={"ip": "10.0.0.1"}),
    event("email_click", 3, name="To Ada", counted=False, why_not="a scanner"),
    event("trial_signup", 400),
    event("webinar_attendance", 8, name="Getting started", value=2100.0),
)


def known(criteria: Criteria = CLASSIC, **fields: object) -> Known:
    return Known({**ADA, **fields}, DONE, criteria)  # type: ignore[arg-type]


def text_of(document: object) -> str:
    return repr(document).lower()


def test_an_example_holds_and_names_nobody(tmp_path: Path) -> None:
    frozen = freeze(known(), AT, name="Somebody")
    real = score_person(CLASSIC, ADA, DONE, AT)  # type: ignore[arg-type]

    said = text_of(frozen.document)
    assert not [
        word for word in ("ada", "lovelace", "analytical", "442071", "london", "10.0.0.1") if word in said
    ]
    assert frozen.notes == ()
    assert frozen.document["person"]["company_size"] == 300
    assert [each["type"] for each in frozen.document["engagement"]] == [
        "page_view", "content_download", "webinar_attendance",
    ]  # fmt: skip
    path = tmp_path / "criteria.yaml"
    text = with_example((shipped() / "criteria.yaml").read_text(), frozen.document)
    path.write_text(text)
    again = load_criteria(path, Beside(shipped()))
    result = run_examples(again)[-1]
    assert (result.name, result.ok, result.differences) == ("Somebody", True, ())
    assert result.score.score == pytest.approx(real.score, abs=1e-6)
    assert [each.rule for each in result.score.contributions] == [each.rule for each in real.contributions]


def test_what_a_rule_reads_stays_and_is_told_but_never_a_name() -> None:
    competitor = freeze(known(email_domain="rival-one.example"), AT, name="x")
    assert competitor.document["person"]["email_domain"] == "rival-one.example"
    assert competitor.document["expect"]["disqualified"] == "competitor"
    assert "email_domain" in competitor.notes[0]

    by_name = parse_criteria(
        {"fit": [{"id": "a", "when": {"field": "last_name", "is": "Lovelace"}, "points": 5}]}
    )
    with pytest.raises(FixConfig, match="`last_name`"):
        freeze(known(by_name), AT, name="x")
    by_provider = parse_criteria(
        {"fit": [{"id": "a", "when": {"field": "email", "ends_with": ".uk"}, "points": 5}]}
    )
    assert freeze(known(by_provider), AT, name="x").document["person"] == {"email": "person@analytical.co.uk"}


TWO_KEYS = """# top
examples:
  - name: one
    as_of: 2026-11-01T00:00:00Z
    expect: {stage: lead}

# the rest
name: x
"""


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("name: x\n", ""),
        ("examples: []\nname: x\n", ""),
        (TWO_KEYS, "# the rest\nname: x\n"),
        ("examples:\n- name: one\n  as_of: 2026-11-01T00:00:00Z\n  expect: {stage: lead}", ""),
    ],
)  # fmt: skip
def test_an_example_goes_behind_the_others_and_the_rest_of_the_file_stays(text: str, behind: str) -> None:
    before = read_document(text, "f").data
    made = with_example(
        text, {"name": "two", "as_of": AT, "person": {}, "engagement": [], "expect": {"stage": "lead"}}
    )
    after = read_document(made, "f").data

    assert made.endswith(behind)
    assert "#" not in text or "# top" in made
    assert [each["name"] for each in after.pop("examples")] == [
        *(each["name"] for each in before.pop("examples", [])), "two",
    ]  # fmt: skip
    assert after == before
