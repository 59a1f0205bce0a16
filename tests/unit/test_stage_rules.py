"""Rules of lead and sql, conditions on fields in stage entries, and what keeps somebody who qualifies from entering."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.criteria import Evidence, fields_of_criteria
from connector.core.criteria_file import parse_criteria
from connector.core.model import Answer, Engagement, MqlStatus, Ref, Score, StageState
from connector.core.score.oracle import events_that_count
from connector.core.stage import decide_stage
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured, entry_holds, keeps_from_entering
from connector.errors import FixConfig

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = timedelta(days=1)
HUB = Ref("hubspot", "contact", "1")
HEAD = {
    "engagement": [
        {"id": "view", "event": "page_view", "within": "30d", "points": 5},
        {"id": "click", "event": "email_click", "at_least": 2, "points": 5},
        {"id": "open", "event": "email_open", "points": 0},
        {"id": "bye", "event": "email_unsubscribe", "points": -20},
        {"id": "old", "event": "webinar_attendance", "points": 9, "decay": {"steps": {"7d": 1}}},
    ],
    "hand_raise": [{"id": "demo", "name": "Asked for a demo", "event": "demo_request"}],
}
MQL = {
    "enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]},
    "leave": {"any": [{"score": {"lt": 40}, "for": "14d"}, {"fit": {"lt": 10}}]},
}
BUDGET = {"field": "budget", "is_set": True}
SQL = {
    "enter": {
        "all": [{"score": {"gte": 50}}, {"when": {"all": [BUDGET, {"field": "authority", "is": True}]}}]
    },
    "leave": {"when": {"not": BUDGET}, "for": "7d"},
}
LEAD_RULE = {"enter": {"fit": {"gte": 20}}, "leave": {"fit": {"lt": 10}}}


def rules(**stages):
    return parse_criteria(HEAD | {"stages": {"mql": MQL} | stages})


ALL = rules(lead=LEAD_RULE, sql=SQL)
MEANS = {"budget": "50k", "authority": True}


def event(type="page_view", ago=DAY, key="1", **more):
    return Engagement("hubspot", "stream", f"{type}{key}{ago}", type, AT - ago, **more)


def person(score=10, *, fit=None, demo=False, disqualified=None, fields=(), events=None):
    band = 1 + sum(score >= cut for cut in (20, 40, 60, 80))
    fit = score if fit is None else fit
    told = Score(fit, score, score, band, "B2", disqualified, "demo" if demo else None)
    return Measured(told, dict(fields), (event(),) if events is None else events)


def decide(before, now, *, criteria=ALL, then=None, newer=None, at=AT, **rest):
    return decide_stage(
        before,
        at=at,
        now=now,
        then=then or (lambda moment: now),
        newer=lambda since: person(events=()) if newer is None else newer,
        criteria=criteria,
        **rest,
    )


def says(stage, at=AT - DAY, **rest):
    return StageEvidence("hubspot", HUB, stage, at, **rest)


LEAD = StageState("lead", since=AT - 30 * DAY, seen=())
SUBSCRIBER = StageState("subscriber", since=AT - 30 * DAY, seen=())
IS_MQL = replace(
    LEAD, stage="mql", status=MqlStatus.QUALIFIED, mql_since=AT - 9 * DAY, first_mql_at=AT - 9 * DAY,
    dwell_from=AT - 9 * DAY, since=AT - 9 * DAY,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- lead, both ways


def test_a_rule_raises_a_subscriber_to_lead_and_takes_back_only_that():
    raised = decide(SUBSCRIBER, person(30))
    assert (raised.state.stage, raised.because) == ("lead", "Lead: by the rule for it, band 2")
    kept = decide(raised.state, person(15), at=AT + DAY)
    assert kept.state.stage == "lead"
    assert decide(kept.state, person(70), at=AT + DAY).because == "MQL: band 4"
    back = decide(kept.state, person(5), at=AT + 2 * DAY)
    assert (back.state.stage, back.because) == ("subscriber", "Subscriber: no longer Lead, band 1")

    assert decide(LEAD, person(5)).state.stage == "lead", "no rule made this one"
    assert decide(SUBSCRIBER, person(30), criteria=rules()).state.stage == "subscriber"


def test_a_subscriber_whom_a_human_set_back_is_raised_only_by_newer_engagement():
    raised = decide(SUBSCRIBER, person(30), evidence=[says("subscriber")]).state
    back = says("subscriber", AT + DAY, wrote_at=AT)  # what stood there before we wrote `lead`
    lowered = decide(raised, person(30), at=AT + DAY, evidence=[back])
    assert lowered.state.stage == "subscriber"
    assert lowered.because == "Subscriber: as set in the CRM"
    again = decide(lowered.state, person(30), at=AT + 2 * DAY, newer=person(30, events=()))
    assert again.state.stage == "subscriber", "the same fit, and nothing that they did since"
    assert decide(lowered.state, person(30), at=AT + 2 * DAY, newer=person(30)).state.stage == "lead"


# ----------------------------------------------------------------------------------------------- sql, both ways


def test_sql_without_mql():
    found = decide(LEAD, person(55, fields=MEANS))
    assert (found.state.stage, found.state.status) == ("sql", MqlStatus.NONE)
    assert found.state.first_mql_at is None
    assert (found.entered_mql, found.left_mql) == (False, False)
    assert found.because == "SQL: by the rule for it, band 3"
    assert decide(LEAD, person(55, fields={"budget": "50k"})).state.stage == "lead", "no authority"


def test_an_sql_by_rule_is_taken_back_to_where_it_came_from_after_the_dwell():
    for start, stage in ((LEAD, "lead"), (SUBSCRIBER, "subscriber"), (IS_MQL, "mql")):
        made = decide(start, person(55, fields=MEANS), criteria=rules(sql=SQL))
        assert (made.state.stage, made.state.raised_from) == ("sql", stage)
        poor = person(50, fields={})
        waits = decide(made.state, poor, at=AT + 2 * DAY, criteria=rules(sql=SQL))
        assert (waits.state.stage, waits.look_again_at) == ("sql", AT + 7 * DAY)
        back = decide(waits.state, poor, at=AT + 7 * DAY, criteria=rules(sql=SQL))
        assert back.state.stage == stage
        assert back.entered_mql == (stage == "mql")
        assert "no longer SQL" in back.because
        assert decide(back.state, poor, at=AT + 7 * DAY, criteria=rules(sql=SQL)).change is None


def test_an_sql_that_sales_set_or_accepted_is_not_the_rules_to_take_back():
    set_by_hand = decide(IS_MQL, person(50), evidence=[says("sql")]).state
    assert decide(set_by_hand, person(1), at=AT + 90 * DAY, evidence=[says("sql")]).state.stage == "sql"

    made = decide(IS_MQL, person(55, fields=MEANS)).state
    taken = decide(made, person(55), at=AT + DAY, answers=[Answer("accepted", "Working", AT + DAY)])
    assert (taken.state.stage, taken.state.status) == ("sql", MqlStatus.ACCEPTED)
    assert decide(taken.state, person(1), at=AT + 90 * DAY).state.stage == "sql"


def test_sales_rejects_an_sql_by_rule_with_the_date_of_the_spell_it_was_handed_over_in():
    made = decide(IS_MQL, person(55, fields=MEANS)).state
    late = Answer(
        "rejected", "Unqualified", AT - 2 * DAY
    )  # given before the rule made the SQL, seen after it
    back = decide(made, person(55, fields=MEANS), at=AT + DAY, answers=[late])
    assert (back.state.stage, back.state.status) == ("lead", MqlStatus.REJECTED)
    assert back.state.cool_off_until == late.at + 30 * DAY
    assert back.state.raised_from == ""

    without = decide(LEAD, person(55, fields=MEANS)).state
    found = decide(without, person(55), at=AT + DAY, answers=[Answer("rejected", "No", AT + DAY, "Budget")])
    assert (found.state.stage, found.state.status) == ("lead", MqlStatus.RECYCLED)


def test_a_disqualifier_takes_back_what_a_rule_made_and_leaves_what_sales_set():
    spam = person(55, disqualified="spam", fields=MEANS)
    made = decide(LEAD, person(55, fields=MEANS)).state
    assert (decide(made, spam).state.stage, decide(made, spam).state.status) == (
        "lead",
        MqlStatus.DISQUALIFIED,
    )
    assert decide(made, spam, may_leave=False).state.stage == "sql", "facts are missing"
    sales = decide(IS_MQL, person(50), evidence=[says("sql")]).state
    assert decide(sales, spam).state.stage == "sql"
    freed = decide(decide(LEAD, spam).state, person(10), at=AT + DAY)
    assert freed.because == "Lead: no longer disqualified, band 1"


def test_somebody_whom_a_human_moved_from_sql_to_mql_is_not_lifted_by_the_same_facts():
    made = decide(IS_MQL, person(55, fields=MEANS), evidence=[says("mql", ours=True)]).state
    back = says("mql", AT + DAY, wrote_at=AT)
    lowered = decide(made, person(55, fields=MEANS), at=AT + DAY, evidence=[back]).state
    assert (lowered.stage, lowered.by_human) == ("mql", True)
    assert decide(lowered, person(55, fields=MEANS), at=AT + 2 * DAY).state.stage == "mql"
    assert decide(lowered, person(55), at=AT + 2 * DAY, newer=person(55, fields=MEANS)).state.stage == "sql"


def test_an_mql_leaves_when_fit_is_lost_whatever_the_score():
    assert decide(IS_MQL, person(55, fit=5)).state.stage == "lead"
    assert decide(IS_MQL, person(55, fit=15)).state.stage == "mql"


def test_missing_facts_take_nothing_back():
    for stage, now in (("sql", person(1)), ("mql", person(55, fit=5)), ("lead", person(5))):
        raised = "" if stage == "mql" else "subscriber"
        state = replace(IS_MQL, stage=stage, raised_from=raised)
        state = state if stage == "mql" else replace(state, status=MqlStatus.NONE, mql_since=None)
        kept = decide(state, now, may_leave=False)
        assert kept.state.stage == stage
        assert kept.look_again_at == AT


# --------------------------------------------------------------------------------------- conditions and dwell


def test_a_condition_stands_beside_the_other_keys_of_an_entry():
    entry = rules(sql={"enter": {"when": BUDGET, "score": {"gte": 50}}}).stages.sql.enter
    assert entry_holds(entry, person(50, fields={"budget": 1}))
    assert not entry_holds(entry, person(49, fields={"budget": 1}))
    assert not entry_holds(entry, person(50))


def test_a_dwell_looks_at_the_fields_as_they_were_known_at_each_midnight():
    criteria = rules(sql={"enter": {"when": BUDGET, "for": "3d"}})
    rich = person(10, fields=MEANS)
    learnt = datetime(2026, 11, 20, 15, tzinfo=UTC)

    def then(moment):
        return rich if moment >= learnt else person(10)

    waits = decide(LEAD, rich, criteria=criteria, then=then)
    assert (waits.state.stage, waits.look_again_at) == ("lead", datetime(2026, 11, 23, tzinfo=UTC))
    assert decide(LEAD, rich, criteria=criteria, then=then, at=waits.look_again_at).state.stage == "sql"


def test_the_fields_that_stage_rules_read_are_fields_of_the_criteria():
    assert {"budget", "authority"} <= fields_of_criteria(ALL)
    assert "budget" in fields_of_criteria(rules(lead={"enter": {"when": BUDGET}}))


# ------------------------------------------------------------------------------- after sales or a human said no


def test_after_a_rejection_fit_alone_never_qualifies_again():
    fit_only = rules(mql={"enter": {"fit": {"gte": 50}}})
    rejected = replace(LEAD, status=MqlStatus.REJECTED, rejected_at=AT - 90 * DAY)
    assert decide(rejected, person(90), criteria=fit_only, newer=person(90, events=())).state.stage == "lead"
    opened = person(90, events=(event("email_open"),))
    assert decide(rejected, person(90), criteria=fit_only, newer=opened).state.stage == "lead", (
        "gives nothing"
    )
    assert decide(rejected, person(90), criteria=fit_only, newer=person(90)).entered_mql


def test_an_answer_that_was_there_when_the_rule_made_an_mql_is_no_answer_to_that():
    fast = Answer("accepted", "Working", AT + timedelta(seconds=2))  # their clock runs ahead of ours
    made = decide(LEAD, person(70), answers=[fast])
    assert made.entered_mql
    assert decide(made.state, person(70), at=AT + DAY, answers=[fast]).state.stage == "mql"
    later = Answer("accepted", "Working", AT + DAY)
    assert decide(made.state, person(70), at=AT + DAY, answers=[later]).state.stage == "sql"


# ------------------------------------------------------------------------------------- what keeps from entering

GUARDED = rules(mql=MQL | {"evidence": {"events": 3, "types": 2, "days": 2}}, sql=SQL)
ENOUGH = (event(), event(ago=3 * DAY), event("webinar_attendance"))


def test_who_qualifies_without_evidence_is_kept_and_told_what_is_missing():
    kept = decide(LEAD, person(90, events=(event(), event(key="2"))), criteria=GUARDED)
    assert (kept.state.stage, kept.entered_mql) == ("lead", False)
    words = "2 of 3 engagements, 1 of 2 kinds of engagement, 1 of 2 days of engagement"
    assert kept.guarded == kept.state.guarded == f"too little evidence so far ({words})"
    assert kept.because == f"Lead: not MQL yet, {kept.guarded}"
    let_in = decide(kept.state, person(90, events=ENOUGH), criteria=GUARDED, at=AT + DAY)
    assert (let_in.entered_mql, let_in.guarded, let_in.because) == (True, "", "MQL: band 5")


def test_the_reason_follows_the_guard_and_nothing_else_is_told_anew():
    kept = decide(LEAD, person(90), criteria=GUARDED)
    same = decide(kept.state, person(85), criteria=GUARDED, at=AT + DAY)
    assert (same.change, same.because) == (None, kept.because)
    more = decide(kept.state, person(85, events=ENOUGH[:2]), criteria=GUARDED, at=AT + DAY)
    assert "2 of 3 engagements" in more.because
    gone = decide(kept.state, person(85), at=AT + DAY, criteria=rules(mql={"enter": {"score": {"gte": 99}}}))
    assert gone.because == "Lead: band 5"


def test_who_raised_a_hand_passes_and_who_is_mql_is_not_asked():
    assert decide(LEAD, person(5, demo=True, events=(event("demo_request"),)), criteria=GUARDED).entered_mql
    assert decide(IS_MQL, person(90), criteria=GUARDED).state.stage == "mql"
    assert decide(LEAD, person(10), criteria=GUARDED).guarded == "", "does not qualify: nothing to guard"


def test_the_guard_stands_before_sql_without_mql_too():
    kept = decide(LEAD, person(55, fields=MEANS), criteria=GUARDED)
    assert (kept.state.stage, bool(kept.guarded)) == ("lead", True)
    assert decide(LEAD, person(55, fields=MEANS, events=ENOUGH), criteria=GUARDED).state.stage == "sql"


def test_evidence_is_what_a_rule_with_points_reaches_once_each():
    def counted(*events):
        return len(events_that_count(GUARDED, events, AT))

    assert counted(event(), event(key="2")) == 2
    assert counted(event(ago=40 * DAY)) == 0, "older than `within`"
    assert counted(event("email_open"), event("email_unsubscribe")) == 0, "no points, or points taken"
    assert counted(event("email_click")) == 0, "one is too few for the rule"
    assert counted(event("email_click"), event("email_click", key="2")) == 2
    assert counted(event("webinar_attendance", ago=8 * DAY)) == 0, "faded to nothing"
    assert counted(event(counted=False), event(key="2", deleted=True), event(ago=-DAY)) == 0
    assert counted(event("demo_request")) == 1
    assert keeps_from_entering(person(90, events=ENOUGH), GUARDED, AT) == ""


def test_who_was_let_in_below_the_fixed_bar_does_not_leave_and_enter_in_turn():
    criteria = rules(mql=MQL | {"best": {"per_week": 9, "from": {"score": {"gte": 30}}}})
    let_in = decide(LEAD, person(35), criteria=criteria, has_place=True)
    assert let_in.loosened
    later = decide(let_in.state, person(35), criteria=criteria, has_place=True, at=AT + 60 * DAY)
    assert (later.change, later.state.mql_since) == (None, AT)
    assert decide(let_in.state, person(25), criteria=criteria, at=AT + 60 * DAY).left_mql


def test_an_sql_by_rule_of_whom_only_an_ended_override_had_made_mql_goes_back_to_lead():
    wished = replace(IS_MQL, by_override=7)
    made = decide(wished, person(55, fields=MEANS), criteria=rules(sql=SQL), may_leave=False)
    assert (made.state.stage, made.state.raised_from, made.state.by_override) == ("sql", "lead", None)
    again = decide(made.state, person(55, fields=MEANS), criteria=rules(sql=SQL), may_leave=False)
    assert (again.change, again.state.raised_from) == (None, "lead")


# ----------------------------------------------------------------------------------------------------- the file


def test_the_guard_reads_its_three_numbers():
    assert GUARDED.stages.mql.evidence == Evidence(3, 2, 2)
    assert rules(mql=MQL | {"evidence": {"days": 2}}).stages.mql.evidence == Evidence(days=2)
    assert rules().stages.mql.evidence is None


@pytest.mark.parametrize(
    ("stages", "path", "words"),
    [
        ({"sql": {"leave": {"fit": {"lt": 1}}}}, "stages.sql", "`enter` is missing"),
        ({"lead": {"entr": {"fit": {"lt": 1}}}}, "stages.lead.entr", "no key here"),
        ({"lead": {}}, "stages.lead", "`enter` is missing"),
        ({"sql": {"enter": {"when": {"field": "x", "iz": 1}}}}, "stages.sql.enter.when.iz", "iz"),
        ({"sql": {"enter": {"for": "3d"}}}, "stages.sql.enter", "needs one of"),
        ({"mql": MQL | {"evidence": {}}}, "stages.mql.evidence", "needs one of events, types, days"),
        ({"mql": MQL | {"evidence": {"days": 0}}}, "stages.mql.evidence.days", "at least 1"),
        ({"mql": MQL | {"evidence": {"hours": 1}}}, "stages.mql.evidence.hours", "no key here"),
        ({"mql": MQL | {"evidence": 3}}, "stages.mql.evidence", "A map of keys"),
    ],
)
def test_mistakes_come_back_with_their_place(stages, path, words):
    with pytest.raises(FixConfig) as caught:
        parse_criteria({"stages": stages})
    found = {".".join(map(str, each.path)): each.what for each in caught.value.problems}
    assert words in found[path], found
