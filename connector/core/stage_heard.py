"""What CRMs say of the stage and what sales answered, each heard once: our own echo is no news, nor is a
standing value. Pure, as all of the stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connector.core.model import Answer, MqlStatus, Ref, StageState
from connector.core.stage_case import Case
from connector.core.stage_moves import moved

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_ANSWER_RANK = {"rejected": 1, "accepted": 2}  # `working` is no answer


@dataclass(frozen=True, slots=True)
class StageEvidence:
    """What one record in a CRM says of the stage, in our words where the mapping knows them.

    `at` is when it was set, by the vendor where it says so. `ours`: it equals what we last wrote there, an echo;
    `wrote_at` is when that was, so that a human who sets back what stood there before us is heard.
    `found`: it may be our own doing, of a time that a restored ledger does not know; it is adopted as on a first load.
    `only_raises`: it can lift a person, never lower one (an open deal of somebody who is a customer).
    """

    crm: str
    ref: Ref
    stage: str
    at: datetime | None
    ours: bool = False
    only_raises: bool = False
    wrote_at: datetime | None = None
    found: bool = False

    @property
    def said(self) -> str:
        """What was said, told apart from the same words said before our last write."""
        return self.stage if self.wrote_at is None else f"{self.stage}|{self.wrote_at.isoformat()}"


def follow(case: Case, state: StageState, evidence: Sequence[StageEvidence], *, adopt: bool) -> StageState:
    """Follow the newest change among what CRMs say, if there is one."""
    known = None if case.before is None else _known_stages(case.before)
    news = [each for each in evidence if _is_news(case, each, state, known)]
    newest = max(
        (each for each in news if not each.only_raises),
        key=lambda each: (each.at or _EARLIEST, case.rank(each.stage)),
        default=None,
    )
    for each in sorted(news, key=lambda each: case.rank(each.stage)):
        if each.only_raises and case.rank(each.stage) > case.rank((newest or state).stage):
            newest = each
    if newest is None or (case.before is not None and newest.stage == state.stage):
        return state
    return _followed(case, state, newest, adopt=(adopt and case.before is None) or newest.found)


def _is_news(case: Case, said: StageEvidence, state: StageState, known: dict[str, str] | None) -> bool:
    if said.ours or (known is not None and known.get(str(said.ref)) == said.said):
        return False
    if case.before is None:
        return True
    place, here = case.rank(said.stage), case.rank(state.stage)
    lower = place < here and (place >= 0 or here >= case.rank("mql"))
    if not lower and case.past_mql(said.stage):
        return True  # sales decides, whenever that was
    if lower and (said.only_raises or (known is not None and str(said.ref) not in known)):
        return False  # a record that is new to us starts low; nobody lowered anything
    if said.at is None or state.since is None:
        return True
    return said.at > state.since if lower else said.at >= state.since


def _followed(case: Case, state: StageState, said: StageEvidence, *, adopt: bool) -> StageState:
    since = case.not_later(said.at)
    there = replace(moved(state, said.stage, state.status, since), by_human=not adopt)
    lower = case.rank(said.stage) < case.rank(state.stage)
    if lower and (case.rank(state.stage) >= case.rank("mql") or state.raised_from):
        there = replace(there, rejected_at=since)  # lowered: only what happens from now on counts
    if said.stage == "mql":
        first = min(since, state.first_mql_at or since)
        return replace(
            there,
            status=MqlStatus.QUALIFIED,
            mql_since=since,
            first_mql_at=first,
            cool_off_until=None,
            dwell_from=case.at if adopt else since,
        )
    if case.past_mql(said.stage):
        taken = state.status in (MqlStatus.QUALIFIED, MqlStatus.ACCEPTED)
        status = MqlStatus.ACCEPTED if taken else MqlStatus.NONE
        return replace(there, status=status, cool_off_until=None)
    return replace(there, status=MqlStatus.NONE) if case.rank(state.stage) >= case.rank("mql") else there


def hear(case: Case, state: StageState, answers: Sequence[Answer], *, adopt: bool) -> StageState:
    """Take the newest answer, unless it was used or is older than the present entry."""
    heard = [answer for answer in answers if answer.kind in _ANSWER_RANK]
    if not heard:
        return state
    answer = max(heard, key=lambda each: (each.at, _ANSWER_RANK[each.kind]))
    if adopt:
        return _adopt_answer(case, state, answer)
    if answer.kind == "rejected" and answer.reason and state.status is MqlStatus.REJECTED:
        return replace(
            state, status=MqlStatus.RECYCLED
        )  # the reason came later; the dates stay those of the answer
    ours = state.stage == "mql" or (
        state.stage == "sql"
        and (state.status in (MqlStatus.ACCEPTED, MqlStatus.QUALIFIED) or bool(state.raised_from))
    )
    entry = state.handed_at or state.mql_since or state.since
    used = state.answered_at is not None and answer.at <= state.answered_at
    if not ours or used or (entry is not None and answer.at < entry):
        return state
    if answer.kind == "rejected":
        return _rejected(case, state, answer)
    return _accepted(case, state, answer) if state.stage == "mql" or state.raised_from else state


def used_up(case: Case, state: StageState, heard: StageState, answers: Sequence[Answer]) -> StageState:
    """An answer that was there when a rule made an MQL is no answer to that, whatever the CRM's clock says."""
    there = [answer.at for answer in answers if answer.at >= case.at]
    if not there or state.stage == heard.stage or state.stage not in ("mql", "sql"):
        return state
    return replace(state, answered_at=max(there))


def _adopt_answer(case: Case, state: StageState, answer: Answer) -> StageState:
    if case.rank(state.stage) > case.rank("mql") or case.rank(state.stage) < 0:
        return state
    if state.stage == "mql" and state.since is not None and answer.at < state.since:
        return state
    if answer.kind == "rejected":
        return _rejected(case, state, answer)
    return _accepted(case, state, answer) if state.stage == "mql" else state


def _accepted(case: Case, state: StageState, answer: Answer) -> StageState:
    since = case.not_later(answer.at)
    if state.stage == "sql" and state.since is not None:
        since = state.since
    return replace(
        moved(state, "sql", MqlStatus.ACCEPTED, since), answered_at=answer.at
    )  # theirs from now on


def _rejected(case: Case, state: StageState, answer: Answer) -> StageState:
    # A stage from `sql` up that somebody set in a CRM is theirs; only the status tells of the answer.
    keeps = (case.past_mql(state.stage) and state.by_human) or case.rank(state.stage) < case.rank("mql")
    status = MqlStatus.RECYCLED if answer.reason else MqlStatus.REJECTED
    if keeps:
        state = replace(state, status=status, mql_since=None, handed_at=None)
    else:
        state = moved(state, "lead", status, case.not_later(answer.at))
    return replace(
        state,
        rejected_at=answer.at,
        cool_off_until=answer.at + case.criteria.stages.recycle.cool_off,
        answered_at=answer.at,
    )


def seen_of(evidence: Sequence[StageEvidence]) -> tuple[str, ...]:
    """What CRMs said, to tell changes from standing values at the next decision."""
    return tuple(sorted(f"{each.ref}={each.said}" for each in evidence))


def _known_stages(state: StageState) -> dict[str, str] | None:
    if state.seen is None:
        return None
    return {ref: stage for ref, _, stage in (each.partition("=") for each in state.seen)}
