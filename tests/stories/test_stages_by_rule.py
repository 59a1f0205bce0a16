"""Stages by rules, whole syncs: SQL by a rule and back, and whom too little evidence keeps from sales."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from connector.core.criteria import Criteria, MqlStage, StageAny, StageEntry, StageTest
from connector.core.criteria_file import parse_criteria
from connector.core.model import MqlStatus
from tests.stories.test_stage_goes_back import (
    LEAD,
    SETS,
    killed,
    proven,
    row_of,
    stage,
    stages_written,
)
from tests.stories.test_sync_survives import quiet
from tests.stories.world import START, QuickClock, World, look, somebody, world

BOSS = {"when": {"field": "seniority", "is": "c_level"}}
SQL = parse_criteria(
    {"stages": {"sql": {"enter": BOSS, "leave": {"when": {"not": BOSS["when"]}}}}}
).stages.sql

# Nothing that anybody has done so far counts; a form of the last hour does.
FORM = {"id": "form", "event": ["form_submission", "newsletter_subscription"], "within": "1h", "points": 5}
FORMS = parse_criteria({"engagement": [FORM]}).engagement

ANY_FIT, NEVER = StageTest("fit", "gte", 0.0), StageAny(())
ENTERED = "hs_v2_date_entered_marketingqualifiedlead"


def with_backward(made: World) -> None:
    """The stage follows us down as well as up, in both CRMs."""
    for crm, name in (("hubspot", "contact"), ("salesforce", "Lead")):
        mapping = made.definition.mappings[crm]
        target = mapping.objects[name]
        assert target.stage is not None
        lines = tuple(
            replace(line, rule="always") if line.result == "stage" else line for line in target.write
        )
        target = replace(target, stage=replace(target.stage, backward=True), write=lines)
        made.remap(crm, objects={**mapping.objects, name: target})


def stages(criteria: Criteria, **changes: object) -> dict[str, object]:
    return {"stages": replace(criteria.stages, **changes)}


async def test_a_rule_makes_an_sql_in_both_crms_and_takes_back_what_it_made(database_url: str) -> None:
    async with world(database_url, people=16, clock=QuickClock(START)) as made:
        with_backward(made)
        made.redefine(**stages(made.definition.criteria, sql=SQL))
        await made.sync()
        who = await somebody(made, where=lambda v: v.state.rejected_at is None and v.fields.get("title"))
        title = {"jobtitle": "Chief Executive Officer"}
        made.later(hours=1)
        made.hubspot.edit("contacts", who.contact, title)
        made.salesforce.edit("Lead", who.lead, {"Title": title["jobtitle"]})
        made.later(minutes=5)
        await made.sync()

        state = (await look(made, who)).state
        assert (state.stage, state.raised_from, state.status) == ("sql", "lead", MqlStatus.NONE)
        assert state.because.startswith("SQL: by the rule for it")
        assert stage(made, who) == "salesqualifiedlead"
        assert made.salesforce.raw("Lead", who.lead)["Lifecycle_Stage__c"] == "sql"
        made.later(minutes=15)
        calm = await made.sync()
        assert quiet(calm.crms["hubspot"])
        assert quiet(calm.crms["salesforce"])

        made.hubspot.log.clear()
        made.hubspot.edit("contacts", who.contact, {"jobtitle": "Assistant"})
        made.salesforce.edit("Lead", who.lead, {"Title": "Assistant"})
        made.later(minutes=5)
        await made.sync()

        state = (await look(made, who)).state
        assert (state.stage, state.raised_from) == ("lead", "")
        assert state.because.startswith("Lead: no longer SQL")
        assert stages_written(made, who) == ["", LEAD]
        assert made.salesforce.raw("Lead", who.lead)["Lifecycle_Stage__c"] == "lead"
        made.later(minutes=15)
        assert quiet((await made.sync()).crms["hubspot"])


async def test_an_mql_who_leaves_by_rule_goes_back_though_the_run_dies_between_the_two_calls(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=24, clock=QuickClock(START)) as made:
        with_backward(made)
        await made.sync()
        who = await somebody(made, stage="mql", where=lambda v: v.state.status is MqlStatus.QUALIFIED)
        made.later(hours=1)
        await made.sync()
        made.hubspot.log.clear()
        leave = parse_criteria(
            {
                "stages": {
                    "mql": {
                        "enter": {"fit": {"gt": 100}},
                        "leave": {"when": {"field": "email", "is": who.email}},
                    }
                }
            }
        ).stages.mql
        made.redefine(**stages(made.definition.criteria, mql=leave))
        made.later(minutes=15)

        await killed(made, SETS)
        assert (await look(made, who)).state.stage == "lead"
        assert stage(made, who) == ""
        assert (await row_of(made, who)).status == "sending"
        await made.sync("hubspot")

        assert stage(made, who) == LEAD
        await proven(made, who)
        state = (await look(made, who)).state
        assert state.because.startswith("Lead: no longer MQL")
        made.redefine(**stages(made.definition.criteria, mql=MqlStage(StageEntry((ANY_FIT,)), NEVER)))
        made.later(hours=1)
        await made.sync()
        again = (await look(made, who)).state
        own = made.hubspot.raw("contacts", who.contact)["properties"][ENTERED]
        assert (again.stage, again.first_mql_at) == ("mql", who.view.state.first_mql_at)
        assert datetime.fromisoformat(own) >= again.mql_since > again.first_mql_at, "theirs is the last entry"
        steps = [each.text for each in await made.ledger.story(who.view.id) if each.kind == "stage"]
        assert [step.split(",")[0] for step in steps] == ["mql", "mql to lead", "lead to mql"], (
            "each spell is kept"
        )


async def test_too_little_evidence_keeps_from_sales_until_there_is_enough(sqlite_url: str) -> None:
    async with world(sqlite_url, people=16, clock=QuickClock(START)) as made:
        rule = parse_criteria(
            {"stages": {"mql": {"enter": {"fit": {"gte": 25}}, "evidence": {"events": 1, "days": 1}}}}
        ).stages.mql
        made.redefine(engagement=FORMS, hand_raise=(), **stages(made.definition.criteria, mql=rule))
        await made.sync()
        who = await somebody(made, where=lambda v: v.score.fit >= 25 and bool(v.guarded))
        before = made.hubspot.raw("contacts", who.contact)["properties"]
        assert who.view.state.because.startswith("Lead: not MQL yet, too little evidence so far (0 of 1")
        assert before["mql_reason"] == who.view.state.because

        made.later(hours=1)
        made.hubspot.create("form_submissions", {"form": "Newsletter", "email": who.email})
        made.later(minutes=5)
        await made.sync()

        view = await look(made, who)
        assert (view.state.stage, view.guarded) == ("mql", "")
        assert view.state.mql_since is not None
        assert view.state.mql_since - START > timedelta(hours=1)
