"""The account around a person as fields, and the guards that read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.account import Account, account_fields, account_fields_read, parent_of
from connector.core.criteria_file import parse_criteria
from connector.core.definition import Definition
from connector.core.mapping_file import parse_mapping
from connector.core.model import (
    CompanyRecord,
    MqlStatus,
    OpportunityRecord,
    RecordState,
    Ref,
    Score,
    StageState,
    VendorRecord,
)
from connector.core.normalize import normalize_company
from connector.core.stage import decide_stage
from connector.core.stage_rules import Measured
from connector.errors import FixConfig

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = timedelta(days=1)
ACME, ABOVE = Ref("salesforce", "Account", "001A"), Ref("salesforce", "Account", "001P")
GUARDS = [
    {"id": "customer", "when": {"field": "account.is_customer", "is": True}, "reason": "a customer"},
    {"id": "lost", "since": "account.lost_at", "within": "90d", "reason": "lost lately"},
]
MQL = {
    "mql": {"enter": {"any": [{"score": {"gte": 60}}, {"hand_raised": True}]}, "leave": {"score": {"lt": 40}}}
}
CRITERIA = parse_criteria({"guards": GUARDS, "stages": MQL})


def company(ref=ACME, state=RecordState.LIVE, **fields):
    return CompanyRecord(ref, {f"account.{name}": value for name, value in fields.items()}, state)


def deal(id_="1", **values):
    values = {"is_closed": False, "is_won": False, **values}
    return OpportunityRecord(Ref("salesforce", "Opportunity", id_), (), ACME, **values)


LOST = deal("lost", is_closed=True, closed_at=AT - 10 * DAY)


@pytest.mark.parametrize(
    ("account", "own", "told"),
    [
        (Account(), (), {}),
        (Account((company(),)), (), {"is_customer": False, "is_partner": False, "open_opportunity": None}),
        (Account((company(),), deals_known=True), (), {"is_customer": False, "open_opportunity": False}),
        (Account((company(open_opportunity=False),)), (), {"open_opportunity": False}),
        (Account((company(), company(ABOVE, is_customer=True))), (), {"is_customer": True}),
        (Account((company(tier="A"), company(ABOVE, tier="B", owner="O"))), (), {"tier": "A", "owner": "O"}),
        (
            Account((company(), company(ABOVE, RecordState.ARCHIVED, is_customer=True))),
            (),
            {"is_customer": False},
        ),
        (Account((company(),), (deal(is_closed=True, is_won=True),)), (), {"is_customer": True}),
        (Account((company(),), (deal(),)), (), {"open_opportunity": True, "is_customer": False}),
        (Account((company(),), (deal(state=RecordState.ARCHIVED),)), (), {"open_opportunity": None}),
        (
            Account((company(),), (deal(state=RecordState.ARCHIVED),), deals_known=True),
            (),
            {"open_opportunity": False},
        ),
        (Account(), (deal(),), {"open_opportunity": True}),
        (Account((company(lost_at=AT - 99 * DAY),), (LOST,)), (), {"lost_at": AT - 10 * DAY}),
        (Account((company(),), (replace(LOST, changed_at=AT),)), (), {"lost_at": AT - 10 * DAY}),
        (
            Account((company(),), (replace(LOST, closed_at=AT + 60 * DAY, changed_at=AT - DAY),)),
            (),
            {"lost_at": AT - DAY},
        ),
        (Account((company(),), engaged=3, mqls=0), (), {"people_engaged_30d": 3, "mqls": 0}),
    ],
)
def test_companies_and_deals_come_to_fields_of_the_person(account, own, told):
    found = account_fields(account, own)
    assert {name: found.get(f"account.{name}") for name in told} == told
    if not told:
        assert found == {}


def test_a_company_is_not_its_own_parent():
    assert parent_of(company(parent="001P")) == ABOVE
    assert parent_of(company(parent="001A")) is None
    assert parent_of(company()) is None
    merged = replace(company(parent="001X", state=RecordState.MERGED), moved_to=ABOVE)
    assert parent_of(merged) == ABOVE
    assert account_fields(Account((merged, company(ABOVE, is_customer=True))))["account.is_customer"] is True


def stand(fields, state=None, *, raised=None, score=80.0, at=AT):
    now = Measured(Score(score, score, score, 5, "A1", hand_raised=raised), fields)
    return decide_stage(state, at=at, now=now, then=lambda _: now, criteria=CRITERIA)


def test_a_guard_keeps_from_entering_and_says_why_and_who_raised_a_hand_passes():
    kept = stand({"account.is_customer": True})
    assert (kept.state.stage, kept.state.status, kept.guarded) == ("lead", MqlStatus.NONE, "a customer")
    assert kept.because == "Lead: not MQL yet, a customer"
    assert stand({"account.is_customer": True}, raised="demo").state.stage == "mql"
    assert stand({"account.is_customer": False}).state.stage == "mql"
    assert stand({"account.is_customer": True}, score=10.0).guarded == ""  # nothing to keep from


def test_a_guard_takes_nobody_out():
    state = StageState("mql", MqlStatus.QUALIFIED, since=AT - DAY, mql_since=AT - DAY, dwell_from=AT - DAY)
    assert stand({"account.is_customer": True}, state).state.stage == "mql"


def test_a_deal_lost_long_enough_ago_lets_go_by_time_alone():
    fields = {"account.lost_at": AT - 89 * DAY}
    kept = stand(fields)
    assert (kept.guarded, kept.look_again_at) == ("lost lately", AT + DAY)
    assert stand(fields, kept.state, at=AT + DAY - timedelta(seconds=1)).state.stage == "lead"
    assert stand(fields, kept.state, at=AT + DAY).state.stage == "mql"


@pytest.mark.parametrize(
    ("guard", "wrong"),
    [
        ({"id": "a"}, "A guard needs `when`"),
        ({"id": "a", "since": "account.lost_at"}, "both or none"),
        ({"id": "a", "since": "account.tier", "within": "1d"}, "holds no date"),
        ({"id": "a", "whem": {"field": "x", "is": 1}}, "no key here"),
    ],
)
def test_a_guard_that_says_too_little_is_refused(guard, wrong):
    with pytest.raises(FixConfig) as told:
        parse_criteria({"guards": [guard]})
    assert any(wrong in problem.what for problem in told.value.problems)


def test_only_what_the_definition_reads_of_the_account_is_gathered():
    assert account_fields_read(Definition(parse_criteria({}), {})) == frozenset()
    assert account_fields_read(Definition(CRITERIA, {})) == {"account.is_customer", "account.lost_at"}


def test_a_company_may_say_it_of_the_account_and_a_person_may_not():
    fields = {"account.is_customer": {"from": "Type", "values": {"Customer": True}, "otherwise": "no"}}
    lead = {"kind": "person", "fields": {}}
    account = {"kind": "company", "fields": fields}
    mapping = parse_mapping({"crm": "x", "version": 1, "objects": {"Lead": lead, "Account": account}})
    for type_, is_customer in (("Customer", True), ("Prospect", False)):
        told = VendorRecord(Ref("x", "Account", "1"), "company", {"Type": type_}, AT)
        assert normalize_company(told, mapping).fields["account.is_customer"] is is_customer
    with pytest.raises(FixConfig):
        parse_mapping({"crm": "x", "objects": {"Lead": {"kind": "person", "fields": fields}}})
