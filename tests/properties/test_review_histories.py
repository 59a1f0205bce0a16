"""Random joins, splits and undos by humans: they end where the sequence says, and lose no record and no history."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connector.core.model import PersonRecord, Ref, StageState
from connector.core.resolve import resolve
from connector.core.reviewing import contradiction
from connector.errors import StopRun
from connector.ledger import open_ledger
from connector.ledger.tables import RECORD, STAGE_HISTORY
from connector.ports import Decided
from tests.databases import ledger_url
from tests.stories.ledger_words import DAY, NOON, Desk, a_score, a_stage, contact

REFS = [Ref("hubspot", "contact", str(n)) for n in range(1, 5)]
PAIRS = [(a, b) for a in REFS for b in REFS if a < b]
STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "join", "split", "undo"]), st.sampled_from(PAIRS)),
    min_size=2,
    max_size=8,
)
FIRSTS = {ref: NOON - timedelta(days=day) for ref, day in zip(REFS, (40, 10, 30, 20), strict=True)}


class Book:
    """What the sequence says: a stack of answers for each pair, without those that are refused."""

    def __init__(self) -> None:
        self.stacks: dict[tuple[Ref, Ref], list[str]] = {}

    def answers(self, **_) -> dict[tuple[Ref, Ref], str]:
        return {pair: stack[-1] for pair, stack in self.stacks.items() if stack}

    def does(self, act: str, pair: tuple[Ref, Ref]) -> bool:
        stack = self.stacks.setdefault(pair, [])
        was = list(stack)
        if act == "undo":
            if not stack:
                return False
            stack.pop()
        elif not stack or stack[-1] != act:
            stack.append(act)
        if contradiction(self.answers()) is None:
            return True
        self.stacks[pair] = was
        return False

    def groups(self) -> set[frozenset[Ref]]:
        people = [PersonRecord(ref=ref, fields={"last_name": f"Name{ref.id}"}) for ref in REFS]
        return {frozenset(group.refs) for group in resolve(people, {}, self.answers()).groups}


async def _decide(desk: Desk) -> None:
    """Resolve what is due as the flow does; everybody stays where their facts leave them."""
    refs = await desk.due()
    hood = await desk.ledger.neighbourhood(refs)
    found = resolve(hood.records, hood.person_of, hood.decided)
    facts = await desk.ledger.facts([group.refs for group in found.groups])
    decisions = [
        Decided(each.person, group.refs, {}, a_score(), _stays(each.state), (), before=each.state)
        for group, each in zip(found.groups, facts, strict=True)
    ]
    clear = sorted({*refs, *(record.ref for record in hood.records)})
    await desk.decide(*decisions, clear=clear)


def _stays(state: StageState | None):
    assert state is not None
    return a_stage(state.stage, first_mql_at=state.first_mql_at)


async def _story(url: str, steps) -> None:
    ledger = open_ledger(url)
    try:
        desk, book = Desk(ledger), Book()
        await desk.keep(*(contact(ref, fields={"last_name": f"Name{ref.id}"}) for ref in REFS))
        await desk.decide(
            *(decided_alone(ref) for ref in REFS),
        )
        home = {ref: await desk.person_of(ref) for ref in REFS}
        for act, (a, b) in steps:
            desk.at += DAY
            allowed = book.does(act, (a, b))
            try:
                if act == "undo":
                    await ledger.undo_review(a, b, desk.at, author="Grace")
                else:
                    await ledger.answer_review(a, b, act, desk.at, author="Grace")
                assert allowed
            except StopRun:
                assert not allowed
            await _decide(desk)
        assert {frozenset(each) for each in (await _groups(ledger)).values()} == book.groups()
        for person, refs in (await _groups(ledger)).items():
            view = await ledger.person(person)
            assert view.state.first_mql_at == min(FIRSTS[ref] for ref in refs)
            rows = Counter(
                (row.was_of or row.person) for row in await _history(ledger) if row.person == person
            )
            assert rows == Counter(home[ref] for ref in refs)
            if len(refs) == 1:
                assert person == home[refs[0]]
    finally:
        await ledger.close()


def decided_alone(ref: Ref) -> Decided:
    stage = a_stage("lead", change=True, first_mql_at=FIRSTS[ref])
    return Decided(None, (ref,), {}, a_score(), stage, ())


async def _groups(ledger) -> dict[int, list[Ref]]:
    people: dict[int, list[Ref]] = {}
    query = select(RECORD.c.ref, RECORD.c.person_id).order_by(RECORD.c.ref)
    for row in await ledger._db.read(lambda db: db.execute(query).all()):
        people.setdefault(row.person_id, []).append(Ref(*row.ref.split(":")))
    return people


async def _history(ledger):
    return await ledger._db.read(lambda db: db.execute(select(STAGE_HISTORY)).all())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_joins_splits_and_undos_end_where_the_sequence_says_and_lose_no_history(folders, steps):
    url = ledger_url("sqlite", folders.mktemp("review"))
    asyncio.run(_story(url, steps))
