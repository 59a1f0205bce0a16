"""Random lives of a person: whatever happens in whatever order, the stage's promises hold after every decision."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.core.criteria_file import parse_criteria
from connector.core.model import Answer, Engagement, MqlStatus, Ref, Score
from connector.core.stage import decide_stage
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured

START = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
HUB = Ref("hubspot", "contact", "1")
COOL_OFF = timedelta(days=10)
CRITERIA = parse_criteria(
    {
        "hand_raise": [{"id": "demo", "event": "demo_request"}],
        "stages": {
            "mql": {
                "enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]},
                "leave": {"any": [{"score": {"lt": 40}, "for": "3d"}, {"disqualified": True}]},
            },
            "recycle": {"cool_off": "10d"},
        },
    }
)

SOMETHING = Engagement("hubspot", "forms", "1", "demo_request", START - timedelta(days=1))

moments = st.integers(1, 96).map(lambda hours: timedelta(hours=hours))
steps = st.one_of(
    st.tuples(st.just("points"), st.sampled_from([0, 30, 39.9999999999, 45, 60, 90])),
    st.tuples(st.just("newer"), st.sampled_from([0, 90])),
    st.tuples(st.just("demo"), st.booleans()),
    st.tuples(st.just("disqualify"), st.booleans()),
    st.tuples(st.just("human"), st.sampled_from([*DEFAULT_LADDER, "other"])),
    st.tuples(st.just("sales"), st.sampled_from(["accepted", "rejected", "recycled", "working"])),
    st.tuples(st.just("facts"), st.booleans()),
    st.tuples(st.just("nothing"), st.none()),
)
histories = st.lists(st.tuples(moments, steps), min_size=1, max_size=25)


class Life:
    """One person's facts, and the decisions made of them."""

    def __init__(self):
        self.at = START
        self.points, self.newer, self.demo, self.disqualified, self.complete = 0, 0, False, False, True
        self.stage, self.written, self.status, self.asked = None, None, None, 0
        self.past = []  # (moment, score) as it was known then
        self.state, self.entered, self.left = None, 0, 0

    def happens(self, span, what, value):
        self.at += span
        if what == "points":
            self.points = value
        elif what == "newer":
            self.newer = value
        elif what == "demo":
            self.demo = value
        elif what == "disqualify":
            self.disqualified = value
        elif what == "human":
            self.stage = (value, self.at)
        elif what == "facts":
            self.complete = value
        elif what == "sales":
            self.asked += 1
            kind = "rejected" if value == "recycled" else value
            reason = "No budget" if value == "recycled" else None
            self.status = Answer(kind, f"{value} {self.asked}", self.at, reason)
        self.past.append((self.at, self.score()))

    def score(self, points=None):
        points = self.points if points is None else points
        band = 1 + sum(points >= cut - 1e-9 for cut in (20, 40, 60, 80))
        disqualified = "spam" if self.disqualified else None
        return Score(points, points, points, band, "C3", disqualified, "demo" if self.demo else None)

    def score_at(self, moment):
        known = [score for at, score in self.past if at <= moment]
        return known[-1] if known else self.past[0][1]

    def decide(self):
        evidence = []
        if self.stage:
            stage, at = self.stage
            evidence = [StageEvidence("hubspot", HUB, stage, at, ours=stage == self.written)]
        decision = decide_stage(
            self.state,
            at=self.at,
            now=Measured(self.score()),
            then=lambda moment: Measured(self.score_at(moment)),
            newer=lambda since: Measured(self.score(min(self.newer, self.points)), {}, (SOMETHING,)),
            criteria=CRITERIA,
            evidence=evidence,
            answers=[self.status] if self.status else [],
            may_leave=self.complete,
        )
        return decision

    def keep(self, decision):
        self.state = decision.state
        self.entered += decision.entered_mql
        self.left += decision.left_mql


def live(history):
    life = Life()
    for span, (what, value) in history:
        before = life.state
        life.happens(span, what, value)
        decision = life.decide()
        yield life, before, decision, what, value
        life.keep(decision)


@settings(max_examples=200, deadline=None)
@example(
    [
        (timedelta(hours=1), ("disqualify", True)),
        (timedelta(hours=1), ("facts", False)),
        (timedelta(hours=1), ("human", "mql")),
    ]
)
@given(histories)
def test_stage_status_and_dates_never_contradict_each_other(history):
    for life, _, decision, _, _ in live(history):
        state = decision.state
        assert (
            (state.stage == "mql") == (state.mql_since is not None) == (state.status is MqlStatus.QUALIFIED)
        )
        assert state.mql_since is None or state.first_mql_at <= state.mql_since <= life.at
        assert (state.status is MqlStatus.DISQUALIFIED) == (state.disqualified_by is not None)
        assert len(decision.because) <= 255
        assert decision.look_again_at is None or decision.look_again_at >= life.at


@settings(max_examples=200, deadline=None)
@given(histories)
def test_a_disqualified_person_is_mql_only_while_facts_are_missing(history):
    for life, before, decision, _, _ in live(history):
        if life.disqualified and decision.state.stage == "mql":
            assert not life.complete
            assert before is None or before.stage == "mql" or life.stage[0] == "mql"


@settings(max_examples=200, deadline=None)
@given(histories)
def test_deciding_twice_at_one_moment_is_deciding_once(history):
    for life, _, decision, _, _ in live(history):
        life.keep(decision)
        again = life.decide()
        assert again.change is None
        assert not again.entered_mql
        assert not again.left_mql
        assert again.state == decision.state


@settings(max_examples=200, deadline=None)
@given(histories)
def test_entered_less_left_is_who_is_mql_now(history):
    for life, _, decision, _, _ in live(history):
        entered, left = life.entered + decision.entered_mql, life.left + decision.left_mql
        assert entered - left == (decision.state.stage == "mql")


@settings(max_examples=200, deadline=None)
@given(histories)
def test_nobody_leaves_while_an_enter_condition_holds_unless_sales_or_a_human_or_a_disqualifier_says_so(
    history,
):
    for life, _, decision, what, _ in live(history):
        enters = life.points >= 60 or life.demo
        if decision.left_mql and enters and decision.state.rejected_at is None:
            assert what in ("human", "sales", "disqualify", "facts")


@settings(max_examples=200, deadline=None)
@given(histories)
def test_what_sales_decided_from_sql_up_moves_only_by_sales(history):
    for _, before, decision, what, _ in live(history):
        if before is not None and before.stage in ("sql", "opportunity", "customer", "evangelist", "other"):
            assert decision.state.stage == before.stage or what in ("human", "sales")


@settings(max_examples=200, deadline=None)
@given(histories)
def test_the_first_mql_date_never_moves_later_and_is_never_lost(history):
    for _, before, decision, _, _ in live(history):
        if before is not None and before.first_mql_at is not None:
            assert decision.state.first_mql_at <= before.first_mql_at


@settings(max_examples=200, deadline=None)
@given(histories)
def test_after_a_rejection_only_newer_engagement_or_a_human_qualifies(history):
    for life, before, decision, what, _ in live(history):
        if before is not None and before.rejected_at is not None and decision.entered_mql and what != "human":
            assert life.demo or min(life.newer, life.points) >= 60
            resting = before.cool_off_until is not None and life.at < before.cool_off_until
            assert life.demo or not resting


@settings(max_examples=200, deadline=None)
@given(histories)
def test_the_reason_stays_while_stage_status_spell_and_band_stay(history):
    for _, before, decision, _, _ in live(history):
        if before is None or decision.change is not None:
            continue
        if before.band == decision.state.band:
            assert decision.because == before.because
