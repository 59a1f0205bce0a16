"""Who has to agree before a definition is put in force, and who may. Pure: keeps nothing.

The owners named by the definition in force decide about the next one, so that no draft can choose its own judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from connector.core.criteria import Criteria
from connector.errors import StopRun

REMINDER = timedelta(days=14)  # before `review_by`


class Proof(StrEnum):
    """How it is known who somebody is."""

    CLAIMED = "claimed"  # said at a command line, by whoever holds the database anyway
    PROVEN = "proven"  # by the token of a named person
    SERVICE = "service"  # by the token of a program
    BOOTSTRAP = "bootstrap"  # by a token of the environment, which is nobody's own


@dataclass(frozen=True, slots=True)
class Agreed:
    """One side's word about a draft."""

    side: str
    by: str
    note: str
    at: datetime
    proof: Proof = Proof.CLAIMED


def why_not_second(asked_by: str, by: str, proof: Proof, what: str, *, required: bool = True) -> str:
    """Why `by` may not be the second person about what `asked_by` wants (`what`: plan, draft); empty where they may.

    Nobody approves their own, and the second person is a person who is known. `required`: whether a second person must
    approve at all; where nobody asks for one, a name that is only claimed is a note, as it always was.
    """
    if proof is Proof.BOOTSTRAP:
        return f"A token of the environment is nobody's own, so that it cannot approve a {what}."
    if proof is Proof.SERVICE:
        return f"{by} is a program: a {what} is approved by a person."
    if same_name(asked_by, by) and (required or proof is Proof.PROVEN):
        return f"{by} asked for this {what}, and nobody approves their own {what}."
    return ""


def owners(in_force: Criteria | None, draft: Criteria) -> Mapping[str, str]:
    """Side -> name of who has to agree; empty where nobody is asked."""
    judge = in_force if in_force is not None and in_force.approve_both else draft
    return dict(judge.agreed_by) if judge.approve_both else {}


def missing(asked: Mapping[str, str], author: str, given: Sequence[Agreed]) -> list[str]:
    """The sides whose word is still missing. Whoever wrote the draft has said what they want by writing it, and cannot
    approve it: of their own side nothing is missing, of the other everything."""
    done = {each.side for each in given}
    return [side for side, name in asked.items() if side not in done and not same_name(name, author)]


def refuse(
    asked: Mapping[str, str],
    author: str,
    given: Sequence[Agreed],
    side: str,
    by: str,
    proof: Proof = Proof.CLAIMED,
) -> None:
    """StopRun where this person may not agree for this side, with the reason."""
    if side not in asked:
        raise StopRun(
            f"There is no side `{side}`.",
            next_step=f"Name one of {', '.join(asked) or 'none: nobody is asked'}.",
        )
    if why := why_not_second(author, by, proof, "draft"):
        raise StopRun(why, next_step=f"{asked[side]} has to, or another owner.")
    if not same_name(by, asked[side]):
        raise StopRun(
            f"{side} is {asked[side]}'s to approve (`agreed_by`), not {by}'s.",
            next_step=f"Ask {asked[side]}; another owner is named by a definition that both approve.",
        )
    if any(same_name(each.by, by) and each.side != side for each in given):
        raise StopRun("One person cannot stand for both sides.", next_step="The other owner has to approve.")


def same_name(one: str, other: str) -> bool:
    """Names as people write them: without case and outer space."""
    return one.strip().casefold() == other.strip().casefold()


def review_in_words(criteria: Criteria, state: str) -> str:
    """What `review` has found, in a sentence without its end."""
    said = "is overdue" if state == "overdue" else "comes up"
    return f"the review of the definition {said}: {criteria.review_by}"


REVIEW_IT = "Look at it together with sales, then publish it with another `review_by`."


def review(criteria: Criteria, today: date) -> str:
    """`soon` within two weeks of `review_by`, `overdue` after it, else empty."""
    if criteria.review_by is None:
        return ""
    if today > criteria.review_by:
        return "overdue"
    return "soon" if criteria.review_by - today <= REMINDER else ""
