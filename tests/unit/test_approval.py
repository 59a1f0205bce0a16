"""Who has to agree to a definition, and who may."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from connector.core.approval import Agreed, Proof, missing, owners, refuse, review, why_not_second
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.errors import FixConfig, StopRun

AT = datetime(2026, 11, 26, tzinfo=UTC)
BOTH = {"agreed_by": {"marketing": "Ada", "sales": "Grace"}, "approve": "both"}


def criteria(**keys: Any) -> Criteria:
    return parse_criteria(keys)


def word(side: str, by: str) -> Agreed:
    return Agreed(side, by, "", AT)


def test_the_owners_in_force_judge_a_draft_and_a_draft_may_ask_for_judges_first() -> None:
    other = criteria(agreed_by={"marketing": "Mallory", "sales": "Trudy"}, approve="both")
    assert owners(criteria(**BOTH), other) == {"marketing": "Ada", "sales": "Grace"}
    assert owners(criteria(), other) == {"marketing": "Mallory", "sales": "Trudy"}
    assert owners(None, criteria(agreed_by=BOTH["agreed_by"])) == {}


@pytest.mark.parametrize(
    ("author", "given", "sides"),
    [
        ("files", (), ["marketing", "sales"]),
        ("Ada", (), ["sales"]),
        (" ada ", (word("sales", "Grace"),), []),
        ("Edith", (word("sales", "Grace"),), ["marketing"]),
    ],
)
def test_whose_word_is_missing(author: str, given: tuple[Agreed, ...], sides: list[str]) -> None:
    assert missing(owners(None, criteria(**BOTH)), author, given) == sides


@pytest.mark.parametrize(
    ("author", "side", "by", "said"),
    [
        ("Grace", "sales", "grace", "own draft"),
        ("Edith", "sales", "Ada", "Grace's to approve"),
        ("Edith", "legal", "Ada", "no side `legal`"),
        ("Edith", "sales", "Edith", "own draft"),
    ],
)
def test_who_may_not_approve(author: str, side: str, by: str, said: str) -> None:
    with pytest.raises(StopRun, match=said):
        refuse(owners(None, criteria(**BOTH)), author, (), side, by)


@pytest.mark.parametrize(
    ("by", "proof", "required", "said"),
    [
        ("Grace", Proof.PROVEN, True, ""),
        ("Grace", Proof.CLAIMED, True, ""),
        (" aDA", Proof.PROVEN, True, "nobody approves their own plan"),
        (" aDA", Proof.PROVEN, False, "nobody approves their own plan"),
        ("Ada", Proof.CLAIMED, True, "nobody approves their own plan"),
        (
            "Ada",
            Proof.CLAIMED,
            False,
            "",
        ),  # a note of the command line, where nobody asks for a second person
        ("Grace", Proof.SERVICE, False, "a plan is approved by a person"),
        ("Grace", Proof.BOOTSTRAP, True, "cannot approve a plan"),
        ("Grace", Proof.BOOTSTRAP, False, "cannot approve a plan"),
    ],
)
def test_who_can_be_the_second_person(by: str, proof: Proof, required: bool, said: str) -> None:
    why = why_not_second("Ada", by, proof, "plan", required=required)
    assert (said in why) if said else not why


@pytest.mark.parametrize("proof", [Proof.BOOTSTRAP, Proof.SERVICE])
def test_an_owner_agrees_in_person(proof: Proof) -> None:
    with pytest.raises(StopRun, match="draft"):
        refuse(owners(None, criteria(**BOTH)), "Edith", (), "sales", "Grace", proof)


def test_approve_both_needs_two_people() -> None:
    for keys in ({"approve": "both"}, {**BOTH, "agreed_by": {"marketing": "Ada", "sales": " ada"}}):
        with pytest.raises(FixConfig) as refused:
            criteria(**keys)
        assert "two different people" in refused.value.problems[0].what
    with pytest.raises(FixConfig):
        criteria(**{**BOTH, "approve": "all"})


@pytest.mark.parametrize(
    ("today", "state"),
    [
        (date(2026, 11, 1), ""),
        (date(2026, 11, 16), "soon"),
        (date(2026, 11, 30), "soon"),
        (date(2026, 12, 1), "overdue"),
    ],
)
def test_the_review_reminds_for_two_weeks_and_is_overdue_after_its_day(today: date, state: str) -> None:
    assert review(criteria(review_by=date(2026, 11, 30)), today) == state
    assert review(criteria(), today) == ""
