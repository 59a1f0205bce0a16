"""A human's word above the rules: what it makes of a stage, how long, and what wins over it. And who it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.mapping_file import parse_mapping
from connector.core.model import MqlStatus, RecordState, Ref, Said, VendorRecord
from connector.core.normalize import normalize_person
from connector.core.override import HOLD_UNTIL, MQL_NOW, NEVER, Override, in_words, strongest
from tests.unit.test_stage import AT, DAY, HIGH, KNOWN_LEAD, LOW, MQL, answered, decide, says, scored

WISH = Override(1, MQL_NOW, "person", "ada@acme.example", "Grace", "Met at the fair", AT - timedelta(hours=1))
BAN = replace(WISH, id=2, kind=NEVER, reason="A partner")
REST = replace(WISH, id=3, kind=HOLD_UNTIL, reason="Budget next year", until=AT + 10 * DAY)


def stands(found):
    return found.state.stage, found.state.status


def again(found, score=LOW, *, at=AT + DAY, **rest):
    return decide(found.state, score, at=at, **rest)


@pytest.mark.parametrize("score", [LOW, scored(70, disqualified="competitor")], ids=["low", "disqualified"])
def test_mql_now_makes_an_mql_whatever_the_rules_say_and_keeps_it_against_points(score):
    found = decide(KNOWN_LEAD, score, override=WISH)

    assert stands(found) == ("mql", MqlStatus.QUALIFIED)
    assert found.entered_mql
    assert found.by_override
    assert found.state.by_override == 1
    assert found.because.startswith("MQL: by override of Grace: Met at the fair")
    later = again(found, score, at=AT + 400 * DAY, override=WISH)
    assert stands(later) == ("mql", MqlStatus.QUALIFIED)
    assert later.change is None


def test_the_end_of_mql_now_gives_the_person_back_to_the_rules():
    found = decide(KNOWN_LEAD, LOW, override=WISH)

    back = again(found)
    assert stands(back) == ("lead", MqlStatus.NONE)
    assert back.left_mql
    assert back.by_override
    assert back.because.startswith("Lead: no longer MQL, the override has ended")
    stays = again(found, HIGH)
    assert stays.state.stage == "mql"
    assert stays.state.mql_since == AT
    assert not stays.entered_mql
    assert stays.because.startswith("MQL: band 4")
    out = again(found, scored(70, disqualified="competitor"))
    assert stands(out) == ("lead", MqlStatus.DISQUALIFIED)


def test_on_missing_facts_the_end_of_mql_now_waits_for_the_next_run():
    found = again(decide(KNOWN_LEAD, LOW, override=WISH), may_leave=False)
    assert found.state.stage == "mql"
    assert found.look_again_at == AT + DAY
    assert again(found).state.stage == "lead"


def test_who_is_mql_by_the_rules_is_held_by_mql_now_and_leaves_by_the_rules():
    held = decide(MQL, scored(10), override=WISH)
    assert held.state.stage == "mql"
    assert held.change is None
    assert not held.by_override
    left = again(held, scored(10))
    assert left.state.stage == "lead"
    assert not left.by_override


def test_sales_answer_after_mql_now_wins_until_somebody_says_it_again():
    found = decide(KNOWN_LEAD, LOW, override=WISH)

    rejected = again(found, override=WISH, answers=[answered("rejected", at=AT + timedelta(hours=2))])
    assert stands(rejected) == ("lead", MqlStatus.REJECTED)
    assert again(rejected, at=AT + 2 * DAY, override=WISH).state.stage == "lead"
    anew = replace(WISH, id=9, made_at=AT + 2 * DAY)
    assert stands(again(rejected, at=AT + 3 * DAY, override=anew)) == ("mql", MqlStatus.QUALIFIED)
    accepted = again(found, override=WISH, answers=[answered("accepted", at=AT + timedelta(hours=2))])
    assert stands(accepted) == ("sql", MqlStatus.ACCEPTED)


def test_a_stage_that_somebody_lowers_in_a_crm_after_mql_now_stays_lowered():
    found = decide(KNOWN_LEAD, LOW, override=WISH)
    lowered = again(found, override=WISH, evidence=[says("lead", AT + timedelta(hours=3))])
    assert lowered.state.stage == "mql"  # a record that is new to us lowers nobody
    seen = replace(found.state, seen=("hubspot:contact:1=mql",))
    lowered = decide(seen, LOW, at=AT + DAY, override=WISH, evidence=[says("lead", AT + timedelta(hours=3))])
    assert lowered.state.stage == "lead"
    assert again(lowered, at=AT + 2 * DAY, override=WISH).state.stage == "lead"


def test_never_takes_an_mql_back_and_keeps_whoever_qualifies_out_until_it_ends():
    out = decide(MQL, HIGH, override=BAN)
    assert stands(out) == ("lead", MqlStatus.DISQUALIFIED)
    assert out.left_mql
    assert out.by_override
    assert out.because.startswith("Lead: never MQL, by override of Grace: A partner")
    still = again(out, HIGH, override=BAN)
    assert stands(still) == ("lead", MqlStatus.DISQUALIFIED)
    assert still.change is None
    assert stands(again(still, HIGH, at=AT + 2 * DAY)) == ("mql", MqlStatus.QUALIFIED)


@pytest.mark.parametrize(
    "left",
    [
        {"override": BAN},
        {"score": scored(70, disqualified="competitor")},
        {"answers": [answered("rejected", at=AT - timedelta(minutes=30))]},
        {"answers": [answered("accepted", at=AT - timedelta(minutes=30))]},
        {"evidence": [says("lead", at=AT - timedelta(minutes=30))]},
    ],
    ids=["never", "disqualified", "rejected", "accepted", "lowered"],
)
def test_who_got_in_below_the_bar_and_left_does_not_come_back_so_by_a_word(left):
    in_before = replace(MQL, loosened=True)
    found = decide(in_before, **left)
    assert found.state.stage != "mql"
    assert not found.state.loosened

    wish = replace(WISH, made_at=AT + timedelta(hours=1))
    back = again(found, override=wish)
    assert back.state.stage == ("sql" if found.state.stage == "sql" else "mql")
    assert not back.state.loosened
    assert not back.loosened


def test_never_leaves_the_stages_that_sales_set():
    customer = decide(KNOWN_LEAD, HIGH, override=BAN, evidence=[says("customer")])
    assert stands(customer) == ("customer", MqlStatus.DISQUALIFIED)
    ours = replace(MQL, stage="sql", mql_since=None, raised_from="mql", handed_at=MQL.mql_since)
    assert decide(ours, HIGH, override=BAN).state.stage == "lead"


def test_hold_lets_nobody_new_in_and_leaves_who_is_mql():
    kept = decide(KNOWN_LEAD, HIGH, override=REST)
    assert stands(kept) == ("lead", MqlStatus.NONE)
    assert kept.guarded == "on hold until 2026-12-02, by override of Grace: Budget next year"
    assert kept.look_again_at == REST.until
    assert again(kept, HIGH, at=REST.until).state.stage == "mql"
    assert decide(MQL, HIGH, override=REST).state.stage == "mql"


def test_who_was_mql_by_a_word_alone_is_none_under_a_hold():
    found = decide(KNOWN_LEAD, HIGH, override=WISH)
    assert again(found, HIGH, override=REST).state.stage == "lead"


@pytest.mark.parametrize("word", [WISH, BAN, REST], ids=["mql_now", "never", "hold"])
@pytest.mark.parametrize(
    "score", [LOW, HIGH, scored(70, disqualified="competitor")], ids=["low", "high", "out"]
)
@pytest.mark.parametrize("before", [None, KNOWN_LEAD, MQL], ids=["new", "lead", "mql"])
def test_deciding_twice_at_one_moment_changes_nothing(word, score, before):
    once = decide(before, score, override=word)
    twice = decide(once.state, score, override=word)
    assert twice.state == once.state
    assert twice.change is None


def test_the_nearest_word_counts_then_the_newest_and_none_that_is_over():
    company = replace(BAN, id=5, scope="company", target="hubspot:company:7", made_at=AT)
    domain = replace(REST, id=6, scope="domain", target="acme.example", made_at=AT)
    assert strongest([domain, company, WISH], AT) == WISH
    assert strongest([domain, company], AT) == company
    assert strongest([domain, REST, BAN], AT) == REST  # of one moment the later number
    over = replace(WISH, id=7, expires_at=AT)
    assert strongest([over, replace(WISH, ended_at=AT), replace(REST, until=AT)], AT) is None
    assert strongest([replace(WISH, made_at=AT + DAY)], AT) is None


def test_the_reason_names_nobody_by_address():
    word = replace(WISH, author="grace@acme.example", reason="asked by bob@acme.example\n at the fair")
    assert in_words(word) == "by override of grace: asked by (address) at the fair"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"word": " HOLD ", "until": "2027-01-01", "why": "Later"},
            Said("hold", "word", datetime(2027, 1, 1, tzinfo=UTC), "Later"),
        ),
        ({"word": "hold", "until": "soon"}, Said("hold", "word")),
        ({"word": "no", "until": "2027-01-01"}, Said("never", "word")),
        ({"word": "maybe"}, None),
        ({"word": ""}, None),
        ({}, None),
    ],
)
def test_a_record_says_what_the_mapping_knows_of_its_field(values, said):
    mapping = parse_mapping(
        {
            "crm": "acme",
            "version": 1,
            "objects": {
                "contact": {
                    "kind": "person",
                    "override": {
                        "from": "word", "until": "until", "reason": "why",
                        "values": {"never": "no", "hold": "hold"},
                    },
                }
            },
        }
    )  # fmt: skip
    record = VendorRecord(Ref("acme", "contact", "1"), "person", values, AT)
    assert normalize_person(record, mapping).says == said
    gone = VendorRecord(Ref("acme", "contact", "1"), "person", values, AT, state=RecordState.ARCHIVED)
    assert normalize_person(gone, mapping).says is None
