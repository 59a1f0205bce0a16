"""Who decides a person's stage, when, and what is told of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.criteria import RuledStage
from connector.core.criteria_file import parse_criteria
from connector.core.model import Answer, Contribution, Engagement, MqlStatus, Ref, Score, StageState
from connector.core.stage import decide_stage
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = timedelta(days=1)
HUB = Ref("hubspot", "contact", "1")
LEAD = Ref("salesforce", "Lead", "00Q1")
CRITERIA = parse_criteria(
    {
        "fit": [
            {"id": "dm", "name": "Decision maker", "when": {"field": "seniority", "is": "vp"}, "points": 30},
            {
                "id": "free",
                "name": "Free mailbox",
                "when": {"field": "email_kind", "is": "free"},
                "points": -20,
            },
        ],
        "engagement": [{"id": "price", "name": "Looked at pricing", "event": "page_view", "points": 10}],
        "disqualify": [
            {
                "id": "competitor",
                "name": "Competitor",
                "reason": "Works for a competitor",
                "when": {"field": "email_domain", "is": "rival.example"},
            }
        ],
        "hand_raise": [{"id": "demo", "name": "Asked for a demo", "event": "demo_request"}],
        "stages": {
            "mql": {
                "enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]},
                "leave": {"any": [{"score": {"lt": 40}, "for": "14d"}, {"disqualified": True}]},
            },
            "recycle": {"cool_off": "30d"},
        },
    }
)
LOOKED = (Engagement("hubspot", "visits", "1", "page_view", AT - DAY),)
POINTS = (Contribution("dm", 30.0), Contribution("price", 19.4), Contribution("free", -20.0))


def scored(points, *, demo=False, disqualified=None, told=POINTS):
    band = 1 + sum(points >= cut - 1e-9 for cut in (20, 40, 60, 80))
    return Score(points, points, points, band, "B2", disqualified, "demo" if demo else None, told)


def person(score, fields=None, engagement=None):
    """With one look at a page, unless said otherwise."""
    return Measured(score, fields or {}, LOOKED if engagement is None else engagement)


LOW, MIDDLE, HIGH = scored(10), scored(50), scored(70)
MQL = StageState(
    "mql",
    MqlStatus.QUALIFIED,
    since=AT - 30 * DAY,
    mql_since=AT - 30 * DAY,
    first_mql_at=AT - 90 * DAY,
    dwell_from=AT - 30 * DAY,
    seen=(),
)
KNOWN_LEAD = StageState("lead", since=AT - 30 * DAY, seen=())


def decide(before=None, score=LOW, *, at=AT, past=None, newer=None, criteria=CRITERIA, **rest):
    """`past`: score at an earlier moment (default: as now). `newer`: score by newer engagement only (default: none)."""
    return decide_stage(
        before,
        at=at,
        now=person(score),
        then=lambda moment: person((past or (lambda at: score))(moment)),
        newer=lambda since: person(newer if newer is not None else LOW),
        criteria=criteria,
        **rest,
    )


def says(stage, at=AT - DAY, ref=HUB, **rest):
    return StageEvidence(ref.crm, ref, stage, at, **rest)


def answered(kind, status="UNQUALIFIED", at=AT - DAY, reason=None):
    return Answer(kind, status, at, reason)


# -------------------------------------------------------------------------------------------- entering


def test_a_person_without_a_stage_in_any_crm_is_a_lead():
    found = decide()
    assert (found.state.stage, found.state.status) == ("lead", MqlStatus.NONE)
    assert not found.entered_mql


def test_enough_points_make_an_mql_from_now_on():
    found = decide(KNOWN_LEAD, HIGH)
    assert (found.state.stage, found.state.status) == ("mql", MqlStatus.QUALIFIED)
    assert found.state.mql_since == found.state.first_mql_at == AT
    assert found.entered_mql
    assert (found.change.from_stage, found.change.to_stage, found.change.at) == ("lead", "mql", AT)


def test_a_bound_missed_by_a_billionth_is_reached():
    assert decide(KNOWN_LEAD, scored(60 - 1e-10)).entered_mql
    assert not decide(KNOWN_LEAD, scored(60 - 1e-6)).entered_mql


def test_a_hand_raise_qualifies_whatever_the_points():
    assert decide(KNOWN_LEAD, scored(5, demo=True)).entered_mql


def test_deciding_again_changes_nothing():
    first = decide(KNOWN_LEAD, HIGH)
    again = decide(first.state, HIGH)
    assert again.change is None
    assert again.state == first.state
    assert not again.entered_mql


def test_a_disqualified_person_is_never_mql():
    found = decide(KNOWN_LEAD, scored(90, demo=True, disqualified="competitor"))
    assert (found.state.stage, found.state.status) == ("lead", MqlStatus.DISQUALIFIED)
    assert found.because.startswith("Disqualified: Works for a competitor")
    freed = decide(found.state, HIGH)
    assert freed.entered_mql
    assert freed.state.disqualified_by is None


def test_sql_is_decided_only_where_a_rule_says_so():
    stages = replace(CRITERIA.stages, sql=RuledStage(CRITERIA.stages.mql.enter))
    found = decide(MQL, HIGH, criteria=replace(CRITERIA, stages=stages))
    assert found.state.stage == "sql"
    assert found.left_mql
    assert decide(MQL, HIGH).state.stage == "mql"


# --------------------------------------------------------------------------------------------- leaving


def test_an_mql_leaves_only_after_the_dwell():
    def low_for_six_days(moment):
        return LOW if moment >= AT - 6 * DAY else MIDDLE

    waiting = decide(MQL, LOW, past=low_for_six_days)
    assert waiting.state.stage == "mql"
    # Last good midnight: 16 November; the window of 14 days leaves it behind on the 30th.
    assert waiting.look_again_at == datetime(2026, 11, 30, tzinfo=UTC)
    left = decide(waiting.state, LOW, at=waiting.look_again_at, past=low_for_six_days)
    assert (left.state.stage, left.state.status, left.state.mql_since) == ("lead", MqlStatus.NONE, None)
    assert left.left_mql
    assert left.state.first_mql_at == MQL.first_mql_at


def test_a_dwell_counts_at_the_earliest_from_entry():
    fresh = replace(MQL, mql_since=AT - 5 * DAY, dwell_from=AT - 5 * DAY)
    waiting = decide(fresh, LOW)
    assert waiting.state.stage == "mql"
    assert waiting.look_again_at == AT + 9 * DAY
    assert decide(waiting.state, LOW, at=AT + 9 * DAY).left_mql


def test_the_midnight_a_whole_dwell_ago_does_not_count():
    midnight = datetime(2026, 11, 22, tzinfo=UTC)

    def good_until(last):
        return lambda moment: MIDDLE if moment <= last else LOW

    assert decide(MQL, LOW, at=midnight, past=good_until(midnight - 14 * DAY)).left_mql
    assert not decide(MQL, LOW, at=midnight, past=good_until(midnight - 13 * DAY)).left_mql


def test_one_good_midnight_starts_the_dwell_again():
    found = decide(
        MQL, LOW, past=lambda moment: MIDDLE if moment == datetime(2026, 11, 15, tzinfo=UTC) else LOW
    )
    assert found.state.stage == "mql"
    assert found.look_again_at == datetime(2026, 11, 29, tzinfo=UTC)


def test_nobody_leaves_while_an_enter_condition_holds():
    assert decide(MQL, scored(10, demo=True)).state.stage == "mql"


def test_a_score_between_the_bounds_changes_nothing():
    assert decide(MQL, MIDDLE).state.stage == "mql"
    assert decide(KNOWN_LEAD, MIDDLE).state.stage == "lead"


def test_disqualification_ends_the_spell_at_once():
    found = decide(MQL, scored(90, disqualified="competitor"))
    assert found.left_mql
    assert (found.state.stage, found.state.status) == ("lead", MqlStatus.DISQUALIFIED)


@pytest.mark.parametrize("score", [LOW, scored(90, disqualified="competitor")])
def test_nobody_is_demoted_while_facts_are_missing(score):
    kept = decide(MQL, score, may_leave=False)
    assert (kept.state.stage, kept.state.status) == ("mql", MqlStatus.QUALIFIED)
    assert kept.look_again_at == AT
    assert decide(kept.state, score).left_mql


def test_the_first_mql_date_survives_a_second_spell():
    left = decide(MQL, LOW)
    back = decide(left.state, HIGH, at=AT + DAY)
    assert back.state.first_mql_at == MQL.first_mql_at
    assert back.state.mql_since == AT + DAY


# --------------------------------------------------------------------------------------- what CRMs say


@pytest.mark.parametrize("stage", ["sql", "opportunity", "customer", "evangelist"])
def test_from_sql_up_we_mirror_sales(stage):
    found = decide(MQL, LOW, evidence=[says(stage)])
    assert (found.state.stage, found.state.status) == (stage, MqlStatus.ACCEPTED)
    assert found.left_mql
    assert decide(found.state, scored(0), at=AT + 90 * DAY, evidence=[says(stage)]).state.stage == stage


def test_our_own_write_coming_back_is_no_evidence():
    left = decide(MQL, LOW).state
    echo = decide(left, LOW, at=AT + DAY, evidence=[says("mql", AT + DAY, ours=True)])
    assert echo.state.stage == "lead"


def test_among_changes_the_newest_wins_and_at_the_same_time_the_higher():
    older, newer = says("customer", AT - 2 * DAY), says("opportunity", AT - DAY, LEAD)
    assert decide(None, evidence=[older, newer]).state.stage == "opportunity"
    same = says("opportunity", AT - 2 * DAY, LEAD)
    assert decide(None, evidence=[older, same]).state.stage == "customer"


def test_an_mql_set_by_hand_is_not_undone_by_points():
    by_hand = decide(KNOWN_LEAD, LOW, evidence=[says("mql")])
    assert by_hand.entered_mql
    assert by_hand.state.mql_since == AT - DAY
    later = decide(by_hand.state, LOW, at=AT + 60 * DAY, evidence=[says("mql")])
    assert later.state.stage == "mql"
    assert decide(later.state, scored(1, disqualified="competitor"), at=AT + 60 * DAY).left_mql


def test_a_lead_set_by_hand_needs_newer_engagement_to_qualify_again():
    known = decide(MQL, HIGH, evidence=[says("mql", ours=True)]).state
    lowered = decide(known, HIGH, at=AT + DAY, evidence=[says("lead", AT + DAY)])
    assert lowered.state.stage == "lead"
    assert lowered.left_mql
    assert (
        decide(lowered.state, HIGH, at=AT + 2 * DAY, evidence=[says("lead", AT + DAY)]).state.stage == "lead"
    )
    back = decide(lowered.state, HIGH, at=AT + 2 * DAY, newer=HIGH, evidence=[says("lead", AT + DAY)])
    assert back.entered_mql


def test_a_new_record_that_starts_as_a_lead_lowers_nobody():
    known = decide(MQL, MIDDLE, evidence=[says("mql", ours=True)]).state
    found = decide(
        known, MIDDLE, at=AT + DAY, evidence=[says("mql", ours=True), says("lead", AT + DAY, LEAD)]
    )
    assert found.state.stage == "mql"


def test_a_standing_value_is_no_change_however_often_its_record_is_edited():
    left = decide(replace(MQL, seen=(f"{HUB}=mql",)), LOW, evidence=[says("mql", AT - 30 * DAY)]).state
    edited = decide(left, LOW, at=AT + 2 * DAY, evidence=[says("mql", AT + DAY)])
    assert edited.state.stage == "lead"


def test_an_open_deal_raises_and_never_lowers():
    deal = says("opportunity", AT, Ref("salesforce", "Opportunity", "006"), only_raises=True)
    assert decide(None, evidence=[says("customer", AT - 90 * DAY), deal]).state.stage == "customer"
    assert decide(MQL, MIDDLE, evidence=[deal]).state.stage == "opportunity"


def test_a_subscriber_is_observed_and_can_qualify():
    found = decide(None, LOW, evidence=[says("subscriber")])
    assert found.state.stage == "subscriber"
    assert decide(found.state, HIGH, evidence=[says("subscriber")]).entered_mql


def test_a_stage_beside_the_ladder_is_left_to_those_who_set_it():
    found = decide(KNOWN_LEAD, HIGH, evidence=[says("other")])
    assert found.state.stage == "other"
    assert not decide(found.state, HIGH, at=AT + DAY, evidence=[says("other")]).entered_mql


def test_an_account_s_own_ladder_is_followed():
    ladder = ("subscriber", "lead", "nurture", "mql", "sql", "customer")
    found = decide(KNOWN_LEAD, LOW, evidence=[says("nurture")], ladder=ladder)
    assert found.state.stage == "nurture"
    assert decide(found.state, HIGH, evidence=[says("nurture")], ladder=ladder).entered_mql


# --------------------------------------------------------------------------------------- sales' answer


def test_accepted_leads_to_sql():
    found = decide(MQL, HIGH, answers=[answered("accepted", "CONNECTED")])
    assert (found.state.stage, found.state.status) == ("sql", MqlStatus.ACCEPTED)
    assert found.state.since == AT - DAY


@pytest.mark.parametrize(("why", "status"), [(None, MqlStatus.REJECTED), ("No budget", MqlStatus.RECYCLED)])
def test_rejected_ends_the_spell_and_starts_the_cool_off(why, status):
    found = decide(MQL, HIGH, answers=[answered("rejected", reason=why)])
    assert (found.state.stage, found.state.status) == ("lead", status)
    assert found.state.cool_off_until == AT + 29 * DAY
    assert found.look_again_at == AT + 29 * DAY
    assert found.left_mql


def test_a_reason_that_comes_after_the_rejection_still_counts_with_the_dates_of_the_answer():
    rejected = decide(MQL, HIGH, answers=[answered("rejected")])
    later = AT + timedelta(minutes=1)
    told = decide(rejected.state, HIGH, at=later, answers=[answered("rejected", reason="No budget")])
    assert told.state == replace(
        rejected.state, status=MqlStatus.RECYCLED, because=told.because, seen=told.state.seen
    )
    assert (told.change.from_status, told.change.to_status) == (MqlStatus.REJECTED, MqlStatus.RECYCLED)
    again = decide(told.state, HIGH, at=later + DAY, answers=[answered("rejected", reason="No need")])
    assert again.change is None


def test_working_changes_nothing():
    assert decide(MQL, HIGH, answers=[answered("working", "IN_PROGRESS")]).state.stage == "mql"


def test_an_answer_from_before_the_entry_is_no_answer():
    assert decide(MQL, HIGH, answers=[answered("rejected", at=AT - 31 * DAY)]).state.stage == "mql"
    assert decide(MQL, HIGH, answers=[answered("rejected", at=MQL.mql_since)]).state.stage == "lead"


def test_an_answer_is_used_once():
    rejected = decide(MQL, HIGH, answers=[answered("rejected")])
    back = decide(rejected.state, HIGH, at=AT + 40 * DAY, newer=HIGH, answers=[answered("rejected")])
    assert back.entered_mql
    standing = decide(back.state, HIGH, at=AT + 42 * DAY, newer=HIGH, answers=[answered("rejected")])
    assert standing.state.stage == "mql"
    again = answered("rejected", at=AT + 44 * DAY)
    assert decide(standing.state, HIGH, at=AT + 45 * DAY, newer=HIGH, answers=[again]).left_mql


def test_an_answer_already_used_is_not_used_for_a_spell_that_began_with_it():
    spell = replace(MQL, mql_since=AT - DAY, answered_at=AT - DAY)
    assert decide(spell, HIGH, answers=[answered("rejected", at=AT - DAY)]).state.stage == "mql"
    assert decide(spell, HIGH, answers=[answered("rejected", at=AT)]).state.stage == "lead"


def test_after_a_rejection_only_newer_engagement_qualifies_and_after_the_cool_off():
    rejected = decide(MQL, HIGH, answers=[answered("rejected")]).state
    resting = decide(rejected, HIGH, at=AT + 10 * DAY, newer=HIGH)
    assert resting.state.stage == "lead"
    stale = decide(rejected, HIGH, at=AT + 40 * DAY, newer=MIDDLE)
    assert stale.state.stage == "lead"
    assert stale.state.status is MqlStatus.REJECTED
    assert decide(rejected, HIGH, at=AT + 29 * DAY, newer=HIGH).entered_mql


def test_a_newer_hand_raise_ends_the_cool_off_early():
    rejected = decide(MQL, HIGH, answers=[answered("rejected")]).state
    old_demo = decide(rejected, scored(10, demo=True), at=AT + 5 * DAY)
    assert old_demo.state.stage == "lead"
    found = decide(rejected, scored(10, demo=True), at=AT + 5 * DAY, newer=scored(10, demo=True))
    assert found.entered_mql
    assert found.state.cool_off_until is None


def test_a_hand_raise_between_the_rejection_and_its_arrival_starts_a_new_spell():
    found = decide(MQL, scored(10, demo=True), newer=scored(10, demo=True), answers=[answered("rejected")])
    assert found.state.mql_since == AT
    assert found.left_mql
    assert found.entered_mql


def test_without_knowing_what_is_newer_nobody_re_qualifies():
    rejected = decide(MQL, HIGH, answers=[answered("rejected")]).state
    found = decide_stage(
        rejected, at=AT + 90 * DAY, now=person(HIGH), then=lambda moment: person(HIGH), criteria=CRITERIA
    )
    assert found.state.stage == "lead"


def test_accepted_work_that_sales_gives_back_is_recycled():
    taken = decide(MQL, HIGH, answers=[answered("accepted", "CONNECTED")]).state
    back = decide(
        taken, HIGH, at=AT + 9 * DAY, answers=[answered("rejected", at=AT + 8 * DAY, reason="No budget")]
    )
    assert (back.state.stage, back.state.status) == ("lead", MqlStatus.RECYCLED)


# ---------------------------------------------------------------------------------------- a first load


def test_what_a_first_load_finds_is_adopted_with_its_dates_and_not_counted():
    found = decide(None, HIGH, adopt=True, evidence=[says("mql", AT - 200 * DAY)])
    assert found.state.mql_since == found.state.first_mql_at == AT - 200 * DAY
    assert not found.entered_mql
    assert found.change.adopted
    assert found.change.at == AT - 200 * DAY


def test_the_dwell_of_an_adopted_mql_starts_at_adoption():
    found = decide(None, LOW, adopt=True, evidence=[says("mql", AT - 200 * DAY)])
    assert found.state.stage == "mql"
    assert found.look_again_at == AT + 14 * DAY
    later = decide(found.state, LOW, at=AT + 14 * DAY, evidence=[says("mql", AT - 200 * DAY)])
    assert later.left_mql


def test_an_answer_found_at_first_load_is_adopted_and_is_no_fresh_rejection():
    found = decide(
        None,
        HIGH,
        adopt=True,
        evidence=[says("mql", AT - 200 * DAY)],
        answers=[answered("rejected", at=AT - 100 * DAY)],
    )
    assert (found.state.stage, found.state.status) == ("lead", MqlStatus.REJECTED)
    assert found.state.rejected_at == AT - 100 * DAY
    assert found.state.cool_off_until is None  # long over
    assert not found.left_mql
    assert found.change.adopted


def test_a_first_load_still_finds_new_mqls_by_the_rules():
    found = decide(None, HIGH, adopt=True, evidence=[says("lead", AT - 200 * DAY)])
    assert found.entered_mql
    assert not found.change.adopted


# ------------------------------------------------------------------------------------------ the reason


def test_the_reason_names_what_weighs_most():
    found = decide(KNOWN_LEAD, scored(70, demo=True))
    assert (
        found.because == "MQL: Asked for a demo; Decision maker +30, Free mailbox -20, Looked at pricing +19"
    )


def test_the_reason_changes_only_with_stage_status_or_band():
    first = decide(KNOWN_LEAD, scored(62, told=POINTS[:1]))
    same_band = decide(first.state, scored(75, told=POINTS), at=AT + DAY)
    assert same_band.because == first.because
    other_band = decide(same_band.state, scored(85, told=POINTS), at=AT + 2 * DAY)
    assert other_band.because != first.because


def test_the_reason_never_exceeds_a_text_field():
    rules = [
        {
            "id": f"r{n}",
            "name": "A rule with a name of\nno small length " * 6,
            "when": {"field": "x", "is_set": True},
            "points": 9,
        }
        for n in range(9)
    ]
    criteria = parse_criteria({"fit": rules})
    told = tuple(Contribution(f"r{n}", 9.0) for n in range(9))
    because = decide(KNOWN_LEAD, scored(70, told=told), criteria=criteria).because
    assert len(because) <= 255
    assert "\n" not in because


# --------------------------------------------------------------------------------------------- what a human took back


def put_back(**was) -> StageState:
    """Somebody whom a run made MQL an hour ago, and whom an undo has put back to where they stood."""
    undone = replace(
        MQL, since=AT - DAY, mql_since=AT - DAY, first_mql_at=AT - DAY, because="MQL: band 4", band=4
    )
    return replace(StageState("lead", since=AT - 9 * DAY, seen=()), undone=undone, **was)


def test_an_undone_stage_that_the_same_facts_reach_again_is_the_same_decision():
    decision = decide(put_back(), HIGH)

    state = decision.state
    assert (state.stage, state.status, state.mql_since, state.first_mql_at) == (
        "mql", MqlStatus.QUALIFIED, AT - DAY, AT - DAY,
    )  # fmt: skip
    assert (decision.entered_mql, decision.because) == (False, "MQL: band 4")


def test_nor_is_leaving_it_again_counted():
    again = decide(put_back(), HIGH).state
    stays = decide(again, HIGH, at=AT + DAY)
    assert (stays.change, stays.entered_mql, stays.left_mql) == (None, False, False)

    left = decide(stays.state, scored(90, disqualified="competitor"), at=AT + 2 * DAY)

    assert (left.state.stage, left.left_mql, left.state.undone) == ("lead", False, None)


def test_the_day_the_facts_say_something_else_an_undone_stage_is_forgotten():
    other = decide(put_back(), LOW)
    assert (other.state.stage, other.state.undone) == ("lead", None)

    entered = decide(other.state, HIGH, at=AT + DAY)

    assert (entered.state.mql_since, entered.entered_mql) == (AT + DAY, True)


def test_what_a_human_sets_after_an_undo_is_theirs_and_new():
    set_by_hand = decide(
        put_back(seen=(f"{HUB}=lead",)), LOW, evidence=[says("mql", at=AT - timedelta(hours=1))]
    )

    assert (set_by_hand.state.stage, set_by_hand.state.by_human, set_by_hand.entered_mql) == (
        "mql",
        True,
        True,
    )
    assert set_by_hand.state.mql_since == AT - timedelta(hours=1)
