"""The worked example of the arithmetic is computed again; the page says nothing that does not come out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import yaml

from connector.core.criteria_file import parse_criteria
from connector.core.examples import run_examples
from connector.core.known import Known, score_known
from connector.core.model import StageState
from connector.insight.explain.changed import Moment, changed
from connector.insight.explain.deciding import Case
from connector.insight.explain.missing import missing
from connector.insight.explain.why import why

PAGE = (Path(__file__).parents[2] / "docs/explanation/arithmetic.md").read_text(encoding="utf-8")
CRITERIA = parse_criteria(yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]))
(EXAMPLE,) = CRITERIA.examples
AT = EXAMPLE.as_of
KNOWN = Known(EXAMPLE.person, EXAMPLE.engagement, CRITERIA)


def said(line: str) -> bool:
    """Whether the page says this, whatever the line breaks and the bold type."""
    return " ".join(line.split()) in " ".join(PAGE.replace("**", "").replace("\n>", "\n").split())


def test_the_example_of_the_page_holds() -> None:
    (result,) = run_examples(CRITERIA)

    assert result.ok, result.differences


def test_every_step_from_an_event_to_the_score_is_what_comes_out() -> None:
    found = why(KNOWN, score_known(KNOWN, AT), AT)
    steps = found.arithmetic
    (web,) = steps.groups

    for driver in found.drivers:
        if driver.kind == "fit":
            assert said(f"| {driver.name} | {driver.points:g} |"), driver.name
        for event in driver.events:
            assert said(f"| {event.what.partition(':')[0]} | {(AT - event.at).days} | {event.points:.2f} |")
    assert (
        sum(len(driver.events) for driver in found.drivers)
        == PAGE.count(".00 |\n") + PAGE.count("8.49 |\n") + 1
    )
    assert said(f"| Fit | {steps.fit:g} |")
    assert said(f"The rules of the group `web` gave {web.given:.2f} points; the cap lets {web.cap:g} count")
    assert said(f"takes {web.given - web.counts:.2f} away")
    assert said(f"{web.counts:g} + 7.50 make an engagement of {steps.engagement:.2f}")
    assert said(
        f"{steps.fit_weight:g} x {steps.fit:g} + {steps.engagement_weight:g} x {steps.engagement:.2f} = {steps.score:g}"
    )
    assert said(f"a score of {steps.score:g} is in band {steps.band}")
    assert said(f"Together {steps.grade}.")


def test_what_is_missing_is_what_explain_says() -> None:
    case = Case(StageState("lead"), AT, KNOWN, lambda moment: KNOWN, lambda since: KNOWN)

    sentences = missing(case).sentences

    assert re.findall(r"^> (.+)$", PAGE, re.MULTILINE) == list(sentences)


def test_what_changed_until_later_is_what_explain_says_and_adds_up() -> None:
    later = AT + timedelta(days=28)

    found = changed(Moment(KNOWN, AT), Moment(replace(KNOWN), later))

    assert said(f"from {found.then.score:g} to {found.now.score:.2f}")
    for change in found.changes:
        assert said(f"| {change.name} | {change.says} | {change.points:+.2f} |"), change
    assert len(found.changes) == len(re.findall(r"\| [+-][0-9.]+ \|\n", PAGE))
