"""The stages as a machine: sales, humans, overrides, merges, rules that change, time and decay act at random on one
person in two CRMs. No illegal move, no flapping, and every move says why."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.criteria_file import parse_criteria
from connector.core.model import Answer, Engagement, MqlStatus, Ref, Score, StageState
from connector.core.override import HOLD_UNTIL, KINDS, MQL_NOW, Override, strongest
from connector.core.stage import decide_stage
from connector.core.stage_case import DEFAULT_LADDER
from connector.core.stage_heard import StageEvidence
from connector.core.stage_rules import Measured

START = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
HALF_LIFE = timedelta(days=7)
RULES = {
    "engagement": [{"id": "view", "event": "page_view", "points": 10}],
    "hand_raise": [{"id": "demo", "name": "Asked for a demo", "event": "demo_request"}],
    "disqualify": [{"id": "spam", "when": {"field": "spam", "is": True}, "reason": "Is spam"}],
}
MQL = {
    "enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]},
    "leave": {"any": [{"score": {"lt": 40}, "for": "3d"}, {"fit": {"lt": 10}}]},
}
BUDGET = {"field": "budget", "is": "yes"}
STAGES = (
    {"mql": MQL, "recycle": {"cool_off": "10d"}},
    {
        "lead": {"enter": {"fit": {"gte": 20}}, "leave": {"fit": {"lt": 10}}},
        "mql": MQL | {"evidence": {"events": 2, "days": 2}},
        "sql": {
            "enter": {"all": [{"when": BUDGET}, {"score": {"gte": 50}}]},
            "leave": {"when": {"not": BUDGET}, "for": "2d"},
        },
        "recycle": {"cool_off": "10d"},
    },
    {
        "lead": {"enter": {"fit": {"gte": 20}, "for": "2d"}, "leave": {"fit": {"lt": 10}, "for": "2d"}},
        "mql": {"enter": {"score": {"gte": 60}, "for": "2d"}, "leave": {"score": {"lt": 40}, "for": "2d"}},
        "sql": {"enter": {"when": BUDGET, "for": "4d"}, "leave": {"when": {"not": BUDGET}}},
        "recycle": {"cool_off": "5d"},
    },
    {"mql": MQL | {"best": {"per_week": 9, "from": {"score": {"gte": 30}, "for": "2d"}}}},
)
CRITERIA = [parse_criteria(RULES | {"stages": stages}) for stages in STAGES]
RESTING = {MqlStatus.REJECTED, MqlStatus.RECYCLED}
LOW = {MqlStatus.NONE, MqlStatus.DISQUALIFIED, *RESTING}
LEGAL = {
    **dict.fromkeys(("subscriber", "lead"), LOW),
    "mql": {MqlStatus.QUALIFIED},
    **{stage: {MqlStatus.ACCEPTED, *LOW} for stage in ("opportunity", "customer", "evangelist", "other")},
    "sql": {MqlStatus.ACCEPTED, MqlStatus.QUALIFIED, *LOW},
}
BY_RULE = {
    *(("subscriber", to) for to in ("lead", "mql", "sql")),
    *(("lead", to) for to in ("subscriber", "mql", "sql")),
    *(("mql", to) for to in ("lead", "subscriber", "sql")),
    *(("sql", to) for to in ("lead", "subscriber", "mql")),
}
WORDS = (
    "as set in the CRM",
    "by sales",
    "Disqualified: ",
    "by the rule",
    "no longer",
    "band",
    "Asked for",
    "override",
    "waits for a place",
)


@dataclass
class Record:
    """One record in a CRM: what it says of the stage, and what we last wrote there."""

    ref: Ref
    stage: str = ""
    at: datetime | None = None
    wrote: tuple[str, datetime] | None = None

    def says(self):
        ours = self.wrote is not None and self.wrote[0] == self.stage
        wrote_at = self.wrote[1] if self.wrote else None
        return StageEvidence(self.ref.crm, self.ref, self.stage, self.at, ours=ours, wrote_at=wrote_at)


@dataclass
class Life:
    """One person's facts, and what was decided of them."""

    at: datetime = START
    rules: int = 0
    fit: float = 30
    budget: bool = False
    spam: bool = False
    complete: bool = True
    place: bool = False
    fades: bool = False
    events: list = field(default_factory=list)
    answer: Answer | None = None
    past: list = field(default_factory=list)
    state: StageState | None = None
    look_again_at: datetime | None = None
    records: tuple = ()
    words: int = 0
    word: Override | None = None

    def __post_init__(self):
        hub, lead = Ref("hubspot", "contact", "1"), Ref("salesforce", "Lead", "00Q1")
        self.records = (Record(hub, "subscriber", START - timedelta(days=9)), Record(lead))

    def measured(self, since=None, at=None):
        at = at or self.at
        events = [each for each in self.events if since is None or each.occurred_at > since]
        ages = [(at - each.occurred_at) / HALF_LIFE for each in events if each.type == "page_view"]
        views = sum(0.5**age for age in ages) if self.fades else len(ages)
        score = min(100.0, self.fit + 20 * views)
        demo = "demo" if len(events) > len(ages) else None
        band = 1 + sum(score >= cut for cut in (20, 40, 60, 80))
        told = Score(self.fit, score - self.fit, score, band, "C3", "spam" if self.spam else None, demo)
        return Measured(told, {"budget": "yes" if self.budget else "no"}, tuple(events))

    def then(self, moment):
        known = [each for at, each in self.past if at <= moment] or [self.past[0][1]]
        then = replace(known[-1], events=[each for each in known[-1].events if each.occurred_at <= moment])
        return then.measured(at=moment)

    def happens(self, span, what, value):
        self.at += span
        if what == "human":
            record, stage = self.records[value[0]], value[1]
            record.stage, record.at = stage, self.at
        elif what == "event":
            self.events.append(Engagement("hubspot", "s", str(len(self.events)), value, self.at))
        elif what == "forgotten":
            self.events.clear()
        elif what == "sales":
            kind = "rejected" if value == "recycled" else value
            reason = "No budget" if value == "recycled" else None
            self.answer = Answer(kind, f"{value} at {self.at}", self.at, reason)
        elif what == "merge" and self.state is not None:
            self.state = replace(
                self.state, first_mql_at=min(self.state.first_mql_at or self.at, self.at - value)
            )
        elif what == "override":
            self.words += 1
            kind, days = value
            ends = None if days is None else self.at + timedelta(days=days)
            self.word = Override(self.words, kind, "person", "x", "Grace", "A wish", self.at, expires_at=ends)
            self.word = replace(self.word, until=ends, expires_at=None) if kind == HOLD_UNTIL else self.word
        elif what == "override ends":
            self.word = None
        elif what in ("rules", "fit", "budget", "spam", "complete", "place", "fades"):
            setattr(self, what, value)
        self.remember()

    def remember(self):
        """The facts as they stand, for the dwell to look back at."""
        self.past.append((self.at, replace(self, events=list(self.events), past=[])))

    def decide(self):
        return decide_stage(
            self.state,
            at=self.at,
            now=self.measured(),
            then=self.then,
            newer=self.measured,
            criteria=CRITERIA[self.rules],
            evidence=[each.says() for each in self.records if each.stage],
            answers=[self.answer] if self.answer else [],
            may_leave=self.complete,
            has_place=self.place,
            override=strongest([self.word] if self.word else [], self.at),
        )

    def keep(self, decision, *, written):
        self.state, self.look_again_at = decision.state, decision.look_again_at
        for record in self.records if written else ():
            if record.stage != self.state.stage:
                record.stage, record.at = self.state.stage, self.at
                record.wrote = (record.stage, self.at)


moments = st.integers(1, 80).map(lambda hours: timedelta(hours=hours))
humans = st.tuples(st.integers(0, 1), st.sampled_from([*DEFAULT_LADDER, "other"]))
steps = st.one_of(
    st.tuples(st.just("human"), humans),
    st.tuples(st.just("sales"), st.sampled_from(["accepted", "rejected", "recycled", "working"])),
    st.tuples(st.just("event"), st.sampled_from(["page_view", "page_view", "demo_request"])),
    st.tuples(st.just("forgotten"), st.none()),
    st.tuples(st.just("fit"), st.sampled_from([0, 15, 30, 70])),
    st.tuples(st.just("budget"), st.booleans()),
    st.tuples(st.just("spam"), st.booleans()),
    st.tuples(st.just("complete"), st.booleans()),
    st.tuples(st.just("place"), st.booleans()),
    st.tuples(st.just("fades"), st.booleans()),
    st.tuples(st.just("merge"), st.integers(0, 90).map(lambda days: timedelta(days=days))),
    st.tuples(st.just("rules"), st.integers(0, len(CRITERIA) - 1)),
    st.tuples(st.just("override"), st.tuples(st.sampled_from(KINDS), st.sampled_from([None, 1, 4]))),
    st.tuples(st.just("override ends"), st.none()),
    st.tuples(st.just("time"), st.none()),
)
histories = st.lists(st.tuples(moments, steps, st.booleans()), min_size=1, max_size=16)


def live(history):
    life = Life()
    for span, (what, value), written in history:
        before = life.state
        threshold = life.look_again_at
        life.happens(span, what, value)
        decision = life.decide()
        yield life, before, decision, what, threshold
        life.keep(decision, written=written)


@settings(max_examples=150, deadline=None)
@given(histories)
def test_stage_and_status_are_a_legal_pair_and_no_move_is_illegal(history):
    for life, before, decision, what, _ in live(history):
        state = decision.state
        assert state.status in LEGAL[state.stage]
        assert (state.status is MqlStatus.QUALIFIED) <= (state.stage == "mql" or bool(state.raised_from))
        assert (state.stage == "mql") == (state.mql_since is not None)
        assert not state.raised_from or (state.stage in ("lead", "sql") and not state.by_human)
        assert not state.guarded or state.stage in ("subscriber", "lead")
        if before is not None and before.stage != state.stage and what not in ("human", "sales"):
            assert (before.stage, state.stage) in BY_RULE
            assert before.stage != "sql" or before.raised_from
        if state.stage == "mql" and life.spam:
            wished = life.word is not None and life.word.kind == MQL_NOW and life.word.in_force(life.at)
            assert wished or not life.complete


@settings(max_examples=150, deadline=None)
@given(histories)
def test_nothing_moves_without_a_new_fact_a_threshold_of_time_or_a_human(history):
    for life, before, decision, what, threshold in live(history):
        if (
            what == "time"
            and before is not None
            and decision.change is not None
            and not (life.fades and life.events)
        ):
            assert (threshold or life.at + timedelta(1)) <= life.at, decision.because
        life.keep(decision, written=True)  # its own echo moves nothing either
        again = life.decide()
        assert again.change is None
        assert replace(again.state, seen=None) == replace(decision.state, seen=None)
        assert again.because == decision.because


@settings(max_examples=60, deadline=None)
@given(histories)
def test_when_nothing_happens_any_more_everybody_comes_to_rest(history):
    *_, (life, *_) = live(history)
    life.complete = True
    life.remember()
    places = []
    for _ in range(40):  # long enough for what fades to be gone
        life.at += timedelta(days=1)
        decision = life.decide()
        life.keep(decision, written=True)
        place = (decision.state.stage, decision.state.status)
        places += [place] if place not in places[-1:] else []
    assert len(places) == len(set(places)), places
    assert life.look_again_at is None


@settings(max_examples=150, deadline=None)
@given(histories)
def test_every_move_says_what_caused_it(history):
    for _, before, decision, what, _ in live(history):
        state, because = decision.state, decision.because
        if decision.change is None:
            continue
        assert any(words in because for words in WORDS), because
        assert decision.change.because == because == state.because
        if before is None or before.stage == state.stage:
            continue
        if state.status is MqlStatus.DISQUALIFIED:
            assert "Is spam" in because or "by override of Grace: A wish" in because
        elif state.raised_from:
            assert "by the rule" in because
        elif state.stage != "mql" and state.answered_at != before.answered_at:
            assert "by sales" in because
        elif what not in ("human", "sales") and state.by_override is None:
            down = DEFAULT_LADDER.index(state.stage) < DEFAULT_LADDER.index(before.stage)
            assert ("no longer " in because.replace("no longer disqualified", "")) == down, because
