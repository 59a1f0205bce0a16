"""Every line of the worked examples in the page about stages is recomputed with the real arithmetic."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from connector.core.criteria_file import parse_criteria
from connector.core.model import Answer, Engagement, Ref
from connector.core.score.oracle import score_person
from connector.core.stage import decide_stage
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured

PAGE = Path(__file__).parents[2] / "docs/explanation/stages.md"
BLOCKS = [
    yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
]
CRITERIA = parse_criteria(next(each["criteria"] for each in BLOCKS if "criteria" in each))
HISTORIES = [each["history"] for each in BLOCKS if "history" in each]
HUB = Ref("hubspot", "contact", "1")
HAPPENS = {"crm", "person", "did", "sales", "reason"}


class Life:
    def __init__(self):
        self.fields, self.events = [], []  # (since when known, what)
        self.said, self.answer, self.state = None, None, None

    def measured(self, at, known_at, since=None):
        fields = {}
        for known, news in self.fields:
            fields |= news if known <= known_at else {}
        done = [each for each in self.events if each.occurred_at <= known_at]
        newer = [each for each in done if since is None or each.occurred_at > since]
        return Measured(score_person(CRITERIA, fields, newer, at), fields, newer)

    def happens(self, at, step):
        if "person" in step:
            self.fields.append((at, step["person"]))
        if "did" in step:
            self.events.append(Engagement("hubspot", "s", str(at), step["did"], at))
        if "sales" in step:
            self.answer = Answer(step["sales"], f"{step['sales']} {at}", at, step.get("reason"))
        if "crm" in step:
            self.said = StageEvidence("hubspot", HUB, step["crm"], at)

    def decide(self, at):
        decision = decide_stage(
            self.state,
            at=at,
            now=self.measured(at, at),
            then=lambda moment: self.measured(moment, moment),
            newer=lambda since: self.measured(at, at, since),
            criteria=CRITERIA,
            evidence=[self.said] if self.said else [],
            answers=[self.answer] if self.answer else [],
        )
        self.state = decision.state
        if self.said and self.said.stage != decision.state.stage:  # what the sync writes there
            self.said = replace(self.said, stage=decision.state.stage, at=at, ours=True, wrote_at=at)
        return decision


@pytest.mark.parametrize("history", HISTORIES, ids=range(len(HISTORIES)))
def test_each_line_is_what_the_rules_make_of_it(history):
    life, wrong = Life(), []
    for step in history:
        assert set(step) <= HAPPENS | {"at", "stage", "status", "why"}, step
        at = step["at"]
        assert isinstance(at, datetime)
        life.happens(at, step)
        decision = life.decide(at)
        found = (decision.state.stage, decision.state.status.value, decision.because)
        if found[:2] != (step["stage"], step["status"]) or not found[2].startswith(step["why"]):
            wrong.append((str(at), found))
    assert not wrong, "\n".join(map(str, wrong))


def test_the_page_has_its_examples():
    assert len(HISTORIES) >= 2
    assert sum(map(len, HISTORIES)) >= 15
