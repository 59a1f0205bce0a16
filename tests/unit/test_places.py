"""Places among the best: who gets one, who waits, and what the file may say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.core.criteria import Criteria, MqlStage
from connector.core.criteria_file import parse_criteria
from connector.core.model import Engagement, StageDecision, StageState
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override
from connector.core.places import Bar, contest_of, contests, free, rank, taken, told
from connector.core.score import score_person
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.errors import FixConfig

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENTER = {"any": [{"score": {"gte": 50}}, {"hand_raised": True}]}


def criteria(audiences: list[Any] | None = None, **mql: Any) -> Criteria:
    return parse_criteria({
        "weights": {"fit": 1, "engagement": 0},
        "fit": [{"id": "size", "when": {"field": "size", "gte": n}, "points": 10} | {"id": f"size{n}"}
                for n in range(1, 10)],
        "hand_raise": [{"id": "demo", "event": "demo_request"}],
        "stages": {"mql": {"enter": ENTER, **mql}},
        **({"audiences": audiences} if audiences else {}),
    })  # fmt: skip


def stage(**mql: Any) -> MqlStage:
    return criteria(**mql).stages.mql


def decide(
    made: Criteria,
    size: int,
    *,
    place: bool,
    demo: bool = False,
    word: Override | None = None,
    before: StageState | None = None,
    at: datetime = NOW,
) -> StageDecision:
    done = [Engagement("any", "s", "d", "demo_request", NOW)] if demo else []
    now = Measured(score_person(made, {"size": size}, done, at), {"size": size}, done)
    return decide_stage(
        before, at=at, now=now, then=lambda at: now, criteria=made, has_place=place, override=word
    )


@pytest.mark.parametrize(
    ("mql", "entered", "places"),
    [
        ({"capacity": 40}, 0, 40),
        ({"capacity": 40}, 39, 1),
        ({"capacity": 40}, 50, 0),
        ({"best": {"per_week": 30}, "capacity": 40}, 10, 20),
        ({"best": {"top": "5%"}}, 10, None),
        ({"best": {"top": "5%"}, "capacity": 12}, 10, 2),
    ],
)
def test_free_places_are_what_the_last_seven_days_left(mql: Any, entered: int, places: int | None) -> None:
    assert free(stage(**mql), entered) == places


def test_the_top_per_cent_ends_at_a_rank_and_holds_at_least_one() -> None:
    assert rank(stage(best={"top": "5%"}), 1000) == 50
    assert rank(stage(best={"top": "0.1 %"}), 30) == 1
    assert rank(stage(best={"top": "100%"}), 7) == 7
    assert rank(stage(capacity=3), 1000) is None


def test_the_best_get_in_and_among_equals_whoever_is_known_longer() -> None:
    waiting = [(4, 60.0), (2, 70.0), (9, 60.0), (1, 50.0)]
    assert taken(waiting, 2, None) == [(2, 70.0), (4, 60.0)]
    assert taken(waiting, None, 60.0) == [(2, 70.0), (4, 60.0), (9, 60.0)]
    assert taken(waiting, 1, 55.0) == [(2, 70.0)]
    assert taken(waiting, 0, None) == []
    assert taken([(1, 59.9999999999)], None, 60.0) == [(1, 59.9999999999)]


def test_whoever_qualifies_by_points_waits_for_a_place_and_whoever_raised_a_hand_does_not() -> None:
    made = criteria(capacity=1)
    waits, has, asked = (
        decide(made, 6, place=False),
        decide(made, 6, place=True),
        decide(made, 6, place=False, demo=True),
    )
    assert (waits.state.stage, waits.waits, waits.because) == (
        "lead", True,
        "Lead: qualifies, waits for a place (the best 1 a week); size1 +10, size2 +10, size3 +10, size4 +10",
    )  # fmt: skip
    assert (has.state.stage, has.waits, has.entered_mql, has.loosened) == ("mql", False, True, False)
    assert (asked.state.stage, asked.waits) == ("mql", False)
    assert not decide(made, 3, place=False).waits
    assert decide(criteria(), 6, place=False).state.stage == "mql"  # nothing is contested


def test_an_mql_by_override_takes_a_place_and_waits_for_none_like_a_raised_hand() -> None:
    made = criteria(capacity=1)
    word = Override(1, MQL_NOW, "person", "ada@acme.example", "Grace", "met at the fair", NOW)
    wished, asked = decide(made, 1, place=False, word=word), decide(made, 6, place=False, demo=True)
    for each in (wished, asked):
        assert (each.state.stage, each.waits, each.entered_mql, each.loosened) == ("mql", False, True, False)
    assert wished.by_override
    assert not asked.by_override
    assert (
        free(made.stages.mql, entered=wished.entered_mql) == 0
    )  # counted as whoever entered, however they did
    assert decide(made, 6, place=False).waits


def test_whoever_took_a_place_by_override_keeps_it_when_the_word_ends_and_they_qualify() -> None:
    made = criteria(best={"per_week": 1, "from": {"score": {"gte": 30}}})
    word = Override(1, MQL_NOW, "person", "ada@acme.example", "Grace", "met at the fair", NOW)
    later = NOW + timedelta(days=1)
    for size, stands, loosened in ((6, "mql", False), (4, "mql", True), (1, "lead", False)):
        wished = decide(made, size, place=False, word=word)
        ended = decide(made, size, place=False, before=wished.state, at=later)
        told = (ended.state.stage, ended.waits, ended.entered_mql, ended.left_mql, ended.state.loosened)
        assert told == (stands, False, False, stands == "lead", loosened), size
        assert ended.state.mql_since == (NOW if stands == "mql" else None)
        assert decide(made, size, place=False, before=ended.state, at=later).state == ended.state


@pytest.mark.parametrize("kind", [NEVER, HOLD_UNTIL])
def test_whom_a_word_keeps_out_takes_no_place_and_waits_for_none(kind: str) -> None:
    made = criteria(capacity=1)
    word = Override(1, kind, "person", "ada@acme.example", "Grace", "", NOW, until=NOW + timedelta(days=2))
    for place in (False, True):
        kept = decide(made, 6, place=place, word=word)
        assert (kept.state.stage, kept.waits, kept.entered_mql) == ("lead", False, False)
        assert bool(kept.guarded) is (kind == HOLD_UNTIL)
    ended = decide(made, 6, place=False, before=kept.state, at=NOW + timedelta(days=2))
    assert (ended.state.stage, ended.waits, ended.guarded) == ("lead", True, "")


def test_a_loosened_bar_is_told_where_it_was() -> None:
    made = criteria(best={"per_week": 5, "from": {"score": {"gte": 30}}})
    assert not decide(made, 2, place=True).entered_mql
    below, above = decide(made, 4, place=True), decide(made, 6, place=True)
    assert (below.state.stage, below.loosened) == ("mql", True)
    assert below.because.startswith("MQL: below the fixed bar, let in as one of the best 5 a week, band 3; ")
    assert (above.state.stage, above.loosened, above.because.split(";")[0]) == ("mql", False, "MQL: band 4")
    assert decide(made, 4, place=False).waits
    assert told(Bar("all", NOW, 40.0, 5, 3, 0, 2)) == (
        "3 of 5 places among the best taken, from score 40.0 on; 0 qualify and wait; "
        "LOOSENED: 2 of them stand below the fixed bar"
    )


def test_an_audience_competes_alone_only_with_stages_of_its_own() -> None:
    when = {"field": "size", "gte": 8}
    shares = criteria([{"id": "big", "when": when, "bands": [10, 20, 30, 40]}], capacity=3)
    assert [(each.name, each.audiences) for each in contests(shares)] == [("all", {"", "big"})]
    assert contest_of(shares, "big") == "all"
    own = criteria([{"id": "big", "when": when, "stages": {"mql": {"enter": ENTER, "capacity": 1}}}])
    assert [(each.name, each.audiences) for each in contests(own)] == [("big", {"big"})]
    assert (contest_of(own, "big"), contest_of(own, "")) == ("big", "")


@pytest.mark.parametrize(
    ("mql", "said"),
    [
        ({"best": {"top": 5}}, "as in `5%`"),
        ({"best": {"top": "120%"}}, "at most 100 %"),
        ({"best": {"top": "-5%"}}, "as in `5%`"),
        ({"best": {"per_week": 0}}, "at least 1"),
        ({"best": {}}, "either `per_week`"),
        ({"best": {"per_week": 5, "top": "5%"}}, "either `per_week`"),
        ({"best": {"per_week": 50}, "capacity": 40}, "more than the capacity of 40"),
        ({"capacity": "many"}, "whole number"),
    ],
)
def test_what_the_file_may_not_say_is_told(mql: Any, said: str) -> None:
    with pytest.raises(FixConfig) as refused:
        criteria(**mql)
    assert said in " ".join(problem.what for problem in refused.value.problems)
