"""Whoever it is and whatever they did: what `explain` says is true, adds up, and knows nothing of later days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.app.commands.init import shipped
from connector.app.files import Beside, load_criteria
from connector.core.account import Account, Around
from connector.core.criteria import Criteria
from connector.core.criteria_file import parse_criteria
from connector.core.definition import Definition
from connector.core.facts import Facts, KnownEngagement, PastRecord, Surroundings
from connector.core.known import Known, known_now, known_then, score_known
from connector.core.model import (
    CompanyRecord,
    Engagement,
    MqlStatus,
    OpportunityRecord,
    PersonRecord,
    Ref,
    StageState,
    Value,
)
from connector.core.score import score_person
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.core.then import account_then
from connector.insight.explain.arithmetic import arithmetic
from connector.insight.explain.changed import Moment, changed
from connector.insight.explain.deciding import Case
from connector.insight.explain.missing import missing
from connector.insight.explain.past import past_of, recompute

AT = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CLASSIC = load_criteria(shipped() / "criteria.yaml", Beside(shipped()))
STRICT = load_criteria(shipped() / "presets" / "strict.yaml", Beside(shipped()))
TYPES = sorted({type for rule in (*CLASSIC.engagement, *CLASSIC.hand_raise) for type in rule.events})
URLS = [
    "https://www.example.com/pricing",
    "https://www.example.com/careers",
    "https://www.example.com/",
    None,
]

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "seniority": st.sampled_from(["vp", "director", "manager", "entry", "student"]),
        "job_function": st.sampled_from(["marketing", "it", "legal"]),
        "email_kind": st.sampled_from(["business", "free", "disposable"]),
        "company_size": st.sampled_from([3, 40, 120, 900]),
        "industry": st.sampled_from(["Software", "Farming"]),
        "budget": st.sampled_from(["high", "low"]),
        "plan_type": st.just("Free"),
        "website": st.just("https://acme.example"),
        "email_opt_out": st.just(True),
    },
)


def event(n: int, type: str, age: float, url: str | None, seconds: int) -> Engagement:
    return Engagement(
        "hubspot", "s", str(n), type, AT - age * DAY, about=REF, url=url, value=seconds * 4.0,
        attributes={"seconds": seconds},
    )  # fmt: skip


REF = Ref("hubspot", "contact", "1")
ONE = st.tuples(st.sampled_from(TYPES), st.floats(0, 120), st.sampled_from(URLS), st.integers(0, 700))
DONE = st.lists(ONE, max_size=12).map(lambda found: tuple(event(n, *each) for n, each in enumerate(found)))
STATES = st.sampled_from(
    [
        StageState("lead", since=AT - 50 * DAY),
        StageState("lead", MqlStatus.REJECTED, AT - 9 * DAY, rejected_at=AT - 9 * DAY),
        StageState(
            "lead", MqlStatus.RECYCLED, AT - 9 * DAY, rejected_at=AT - 9 * DAY, cool_off_until=AT + 21 * DAY
        ),
    ]
)


@settings(max_examples=25, deadline=None)
@given(fields=FIELDS, done=DONE, state=STATES, criteria=st.sampled_from([CLASSIC, STRICT]))
def test_with_exactly_what_is_proposed_the_person_qualifies(
    fields: Mapping[str, Value], done: tuple[Engagement, ...], state: StageState, criteria: Criteria
) -> None:
    known = Known(dict(fields), done, criteria)

    def newer_than(events: tuple[Engagement, ...], since: datetime) -> tuple[Engagement, ...]:
        return tuple(each for each in events if each.occurred_at > since)

    case = Case(
        state,
        AT,
        known,
        lambda moment: known,
        lambda since: replace(known, engagement=newer_than(done, since)),
    )

    for way in missing(case).ways:
        told = dict(fields) | {name: value for step in way.steps for name, value in step.fields.items()}
        events = (*done, *(each for step in way.steps for each in step.events))
        at = way.not_before or AT

        def measured(
            what: tuple[Engagement, ...], moment: datetime, told: dict[str, Value] = told
        ) -> Measured:
            return Measured(score_person(criteria, told, what, moment), told, what)

        decision = decide_stage(
            state, at=at, now=measured(events, at), then=lambda moment, events=events: measured(events, moment),
            newer=lambda since, events=events, at=at: measured(newer_than(events, since), at), criteria=criteria,
        )  # fmt: skip
        assert decision.state.stage in ("mql", "sql"), [step.says for step in way.steps]


@settings(max_examples=60, deadline=None)
@given(
    was=FIELDS, is_=FIELDS, before=DONE, after=DONE, days=st.floats(0, 60),
    old=st.sampled_from([CLASSIC, STRICT]), new=st.sampled_from([CLASSIC, STRICT]),
)  # fmt: skip
def test_the_differences_add_up_to_that_of_the_score_and_the_shares_to_the_score(
    was: dict[str, Value],
    is_: dict[str, Value],
    before: tuple[Engagement, ...],
    after: tuple[Engagement, ...],
    days: float,
    old: Criteria,
    new: Criteria,
) -> None:
    then, now = Known(was, before, old), Known(is_, (*before[::2], *after), new)

    found = changed(Moment(then, AT - days * DAY, 1), Moment(now, AT, 2))

    assert found.then == score_known(then, AT - days * DAY)
    assert found.now == score_known(now, AT)
    assert sum(each.points for each in found.changes) == pytest.approx(
        found.now.score - found.then.score, abs=1e-9
    )
    assert all(each.says and each.name for each in found.changes)
    assert sum(arithmetic(new, found.now).shares().values()) == pytest.approx(found.now.score, abs=1e-9)


KNOWN = st.tuples(
    ONE, st.floats(-5, 5)
)  # an event and how long after (or before) T it came to be known, in days


ACME, OTHER, NEWCO = (Ref("hubspot", "company", str(number)) for number in (7, 8, 9))
LATE = Ref("salesforce", "Lead", "00Q1")
TIERED = replace(
    CLASSIC,
    fit=(*CLASSIC.fit, *parse_criteria(
        {"fit": [{"id": "tier", "name": "Tier A", "when": {"field": "account.tier", "is": "A"}, "points": 30}]}
    ).fit),
)  # fmt: skip
AROUND = Around(
    AT,
    frozenset({"account.tier", "account.open_opportunity", "account.lost_at"}),
    frozenset({"hubspot:deal"}),
)
COMPANY = st.fixed_dictionaries(
    {},
    optional={
        "company_size": st.sampled_from([3, 900]),
        "company_domain": st.sampled_from(["x.example", "y.example"]),
        "account.tier": st.sampled_from(["A", "B"]),
        "account.is_customer": st.booleans(),
        "account.parent": st.sampled_from([OTHER.id, NEWCO.id]),
    },
)
PERSON = st.tuples(FIELDS, st.sampled_from([ACME, OTHER, None]))
DEAL = st.tuples(st.sampled_from([ACME, OTHER]), st.booleans(), st.booleans(), st.booleans())


def somebody(told: tuple[Mapping[str, Value], Ref | None], at: datetime) -> PersonRecord:
    fields, company = told
    mail = {"email_domain": "x.example"}
    return PersonRecord(REF, {**mail, **fields}, ("a@x.example",), company=company, changed_at=at)


def a_deal(number: int, told: tuple[Ref, bool, bool, bool], at: datetime) -> OpportunityRecord:
    company, closed, won, mine = told
    people = (REF,) if mine else ()
    return OpportunityRecord(
        Ref("hubspot", "deal", str(number)), people, company, closed, closed and won, changed_at=at
    )


def facts_of(
    records: tuple[PersonRecord, ...],
    companies: tuple[CompanyRecord, ...],
    deals: tuple[OpportunityRecord, ...],
    **more: Any,
) -> Facts:
    """As the ledger gathers them: who belongs to whom by what stands now, all the rest among what did once."""
    refs = {record.ref for record in records}
    own = tuple(deal for deal in deals if refs & set(deal.people))
    named = {
        company.ref: company for company in companies if company.ref in {each.company for each in records}
    }
    account = account_then(Account(around=AROUND, told=frozenset({"hubspot"})), records, companies, deals)
    return Facts(records, named, own, account=account, once=Surroundings(companies, deals), **more)


@settings(max_examples=60, deadline=None)
@given(
    early=st.lists(KNOWN, max_size=4), late=st.lists(KNOWN, max_size=4), erased=st.lists(ONE, max_size=2),
    was=PERSON, later=PERSON, companies=st.tuples(COMPANY, COMPANY), became=st.tuples(COMPANY, COMPANY),
    new=COMPANY, deal=DEAL, turned=DEAL, opened=DEAL, born=st.booleans(),
)  # fmt: skip
def test_no_fact_known_after_a_date_changes_the_answer_for_that_date(
    early: list[tuple[tuple[str, float, str | None, int], float]],
    late: list[tuple[tuple[str, float, str | None, int], float]],
    erased: list[tuple[str, float, str | None, int]],
    was: tuple[dict[str, Value], Ref | None],
    later: tuple[dict[str, Value], Ref | None],
    companies: tuple[dict[str, Value], dict[str, Value]],
    became: tuple[dict[str, Value], dict[str, Value]],
    new: dict[str, Value],
    deal: tuple[Ref, bool, bool, bool],
    turned: tuple[Ref, bool, bool, bool],
    opened: tuple[Ref, bool, bool, bool],
    born: bool,
) -> None:
    """Not engagement, not what became of the person, of companies, of deals; nor who was not read by then."""

    def known(n: int, each: tuple[str, float, str | None, int], at: datetime) -> KnownEngagement:
        return KnownEngagement(event(n, *each), at)

    before, after = AT - 9 * DAY, AT + DAY
    first = [known(n, each, AT - abs(ago) * DAY) for n, (each, ago) in enumerate(early)]
    gone = [known(100 + n, each, after) for n, each in enumerate(erased)]
    stood = [KnownEngagement(each.engagement, each.engagement.occurred_at) for each in gone]
    there = tuple(CompanyRecord(ref, told) for ref, told in zip((ACME, OTHER), companies, strict=True))
    record, open_deal = somebody(was, before), a_deal(1, deal, before)
    then = facts_of((record,), there, (open_deal,), engagement=(*first, *stood))

    come = [known(50 + n, each, AT + (abs(days) + 0.01) * DAY) for n, (each, days) in enumerate(late)]
    lead = PersonRecord(LATE, {"seniority": "vp"}, ("a@x.example",), changed_at=AT - 99 * DAY)
    now = facts_of(
        (somebody(later, after), *([lead] if born else [])),
        (
            *(CompanyRecord(ref, told) for ref, told in zip((ACME, OTHER), became, strict=True)),
            CompanyRecord(NEWCO, new),
        ),
        (a_deal(1, turned, after), a_deal(2, opened, after)),
        engagement=(*first, *come),
        past=tuple(PastRecord(each, after) for each in (record, *there, open_deal)),
        since={LATE: after, NEWCO: after, Ref("hubspot", "deal", "2"): after, REF: before},
    )
    deleted = [KnownEngagement(replace(each.engagement, deleted=True), each.known_at) for each in gone]
    definition, state = Definition(TIERED, {}), StageState("lead", since=AT - 50 * DAY)

    kept = recompute(past_of(then, AT), definition, AT, state)
    again = recompute(past_of(now, AT, deleted), definition, AT, state)

    assert again.known == kept.known
    assert again.score == kept.score
    assert again.decision == kept.decision
    without = replace(then, engagement=tuple(first))  # a dwell knows nothing of what was deleted since
    assert known_then(now, definition, AT) == known_now(without, definition)
