"""The hand-off, table by table: whose it is, what a touch is, which deadline says what, how a spell ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.criteria_file import parse_criteria
from connector.core.handoff import (
    Around,
    CrmUser,
    Handoff,
    Pools,
    Reminder,
    Spell,
    Touch,
    follow,
    owner_of,
    route,
    take_back_at,
    touches,
)
from connector.core.model import Answer, CompanyRecord, Engagement, MqlStatus, PersonRecord, Ref, StageState
from connector.errors import FixConfig

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ADA, ACME = Ref("salesforce", "Lead", "00Q1"), Ref("salesforce", "Account", "0011")
USERS = {
    each.id: each
    for each in (
        CrmUser("salesforce", "005A", "Robin", "robin@example.com", manager="005M"),
        CrmUser("salesforce", "005M", "Kim", "kim@example.com"),
        CrmUser("salesforce", "005X", "Gone", "gone@example.com", active=False, manager="005X"),
        CrmUser("salesforce", "00GQ", "Unassigned", "queue@example.com", queue=True),
    )
}
SETTINGS = Handoff(sla=2 * HOUR, take_back=30 * DAY, pool=("a@x.io", "b@x.io"), bdr=("c@x.io", "d@x.io"))
NOBODY = ("nobody", "")
IS_MQL = StageState("mql", MqlStatus.QUALIFIED, since=MONDAY, mql_since=MONDAY, dwell_from=MONDAY)


def around(at=MONDAY, **more) -> Around:
    return Around(
        **({"handoff": SETTINGS, "owned": ("record", "005A"), "known": (), "users": USERS} | more), at=at
    )


def begun(**more) -> Spell:
    [spell] = follow(None, None, IS_MQL, around(**more), Pools()).keep
    return spell


@pytest.mark.parametrize(
    ("owner", "account", "found"),
    [
        ("005A", "005M", ("record", "005A")),
        ("", "005M", ("account", "005M")),
        ("005X", "005M", ("account", "005M")),  # left the company
        ("00GQ", "005M", ("account", "005M")),
        ("00GQ", "", ("queue", "00GQ")),
        ("005X", "005X", NOBODY),
        ("", "", NOBODY),
        ("80001", "", ("record", "80001")),  # of whom the CRM did not tell
    ],
)
def test_whose_a_person_is(owner, account, found):
    record = PersonRecord(ADA, {"owner": owner} if owner else {}, company=ACME)
    companies = {ACME: CompanyRecord(ACME, {"account.owner": account} if account else {})}
    assert owner_of([record], companies, "", USERS) == found


def test_who_belongs_to_nobody_is_handed_out_in_turn_and_stays_there():
    pools = Pools({"b@x.io": 7})
    first = route(SETTINGS, NOBODY, None, pools, bdr=False)
    assert first == ("pool", "a@x.io"), "b had the last"
    assert [route(SETTINGS, NOBODY, None, pools, bdr=False)[1] for _ in range(3)] == [
        "b@x.io",
        "a@x.io",
        "b@x.io",
    ]
    held = Spell(MONDAY, via="pool", owner="a@x.io")
    assert route(SETTINGS, NOBODY, held, pools, bdr=False) == ("pool", "a@x.io")
    assert route(SETTINGS, ("record", "005A"), held, pools, bdr=False) == ("record", "005A"), (
        "somebody took it"
    )
    left = replace(SETTINGS, pool=("b@x.io",))
    assert route(left, NOBODY, held, pools, bdr=False) == ("pool", "b@x.io"), "a is in the pool no more"
    assert route(replace(SETTINGS, pool=()), ("queue", "00GQ"), None, pools, bdr=False) == ("queue", "00GQ")
    assert route(Handoff(queue="q@x.io"), NOBODY, None, pools, bdr=False) == ("queue", "q@x.io")
    assert route(None, NOBODY, None, pools, bdr=False) == NOBODY


def test_who_was_not_ready_goes_to_a_bdr_first_and_stays_there():
    last = Spell(MONDAY - 40 * DAY, ended="not_ready", ended_at=MONDAY - 30 * DAY)
    pools = Pools()
    followed = follow(last, None, IS_MQL, around(), pools)
    [spell] = followed.keep
    assert (spell.via, spell.owner, followed.began) == ("bdr", "c@x.io", True)
    again = follow(spell, IS_MQL, IS_MQL, around(MONDAY + HOUR), pools)
    assert again.keep == (), "still the BDR's, whoever owns the record"
    after = follow(replace(last, ended="rejected"), None, IS_MQL, around(), Pools())
    assert after.keep[-1].via == "record"


@pytest.mark.parametrize(
    ("events", "answers", "first"),
    [
        ([], [], None),
        ([("call", 1, True)], [], "call"),
        ([("call", 1, False)], [], None),
        ([("call", -1, True), ("other", 2, True)], [], "calls"),  # the first was before the spell
        ([("call", 9, True)], [("working", 2, True)], "lead status IN_PROGRESS"),
        ([], [("working", 2, False)], None),
        ([], [("rejected", 3, False)], "lead status IN_PROGRESS"),
        ([("call", 200, True)], [], None),  # is to come
    ],
)
def test_what_a_touch_is(events, answers, first):
    told = [
        Engagement(
            "hubspot",
            "calls",
            str(n),
            kind,
            MONDAY + hours * HOUR,
            attributes={"touch": True} if counts else {},
        )
        for n, (kind, hours, counts) in enumerate(events)
    ]
    said = [(Answer(kind, "IN_PROGRESS", MONDAY + hours * HOUR), counts) for kind, hours, counts in answers]
    known = touches(told, said, MONDAY + 24 * HOUR)
    followed = follow(begun(), IS_MQL, IS_MQL, around(MONDAY + 24 * HOUR, known=known), Pools())
    assert (followed.keep[-1].touch or None) == first


def test_the_owner_is_reminded_once_then_the_manager_once_and_nobody_after_a_touch():
    spell, told = begun(), []
    assert (spell.due_at, spell.remind_at) == (MONDAY + 2 * HOUR, MONDAY + 2 * HOUR)
    for hours in (1, 2, 3, 4, 5, 100):
        followed = follow(spell, IS_MQL, IS_MQL, around(MONDAY + hours * HOUR), Pools())
        spell = followed.keep[-1] if followed.keep else spell
        told += [(hours, each) for each in followed.reminders]
    assert told == [(2, Reminder("owner", "005A")), (4, Reminder("manager", "005M"))]
    touched = follow(
        begun(), IS_MQL, IS_MQL, around(MONDAY + 9 * HOUR, known=[Touch(MONDAY, "call")]), Pools()
    )
    assert touched.reminders == ()
    assert touched.look_again_at is None


@pytest.mark.parametrize(
    "more",
    [{"quiet": "first load"}, {"whole": False}, {"handoff": None}, {"handoff": Handoff(take_back=DAY)}],
)
def test_nobody_is_reminded_of_what_was_found_in_bulk_or_while_facts_are_missing(more):
    spell = begun(**more)
    assert follow(spell, IS_MQL, IS_MQL, around(MONDAY + 50 * HOUR, **more), Pools()).reminders == ()


def test_deadlines_ask_for_another_look_and_another_definition_moves_none():
    spell = begun()
    ask = follow(spell, IS_MQL, IS_MQL, around(MONDAY + HOUR), Pools()).look_again_at
    assert ask == MONDAY + 2 * HOUR
    shorter = replace(SETTINGS, sla=timedelta(minutes=10), take_back=DAY)
    followed = follow(spell, IS_MQL, IS_MQL, around(MONDAY + HOUR, handoff=shorter), Pools())
    assert followed.keep == ()
    assert followed.look_again_at == ask
    missing = follow(spell, IS_MQL, IS_MQL, around(MONDAY + 3 * HOUR, whole=False), Pools())
    assert missing.look_again_at == MONDAY + 3 * HOUR, "what was held up by missing facts is for the next run"


def test_a_take_back_that_comes_into_force_gives_all_of_its_time():
    old = begun(handoff=None)
    assert (old.take_back_at, old.due_at) == (None, None)
    later = MONDAY + 90 * DAY
    [now] = follow(old, IS_MQL, IS_MQL, around(later), Pools()).keep
    assert (now.take_back_at, now.remind_at) == (later + 30 * DAY, None)
    assert take_back_at(now, IS_MQL, SETTINGS, []) == later + 30 * DAY
    assert take_back_at(now, IS_MQL, SETTINGS, [Touch(later, "call")]) is None
    assert take_back_at(now, IS_MQL, Handoff(), []) is None
    assert take_back_at(now, replace(IS_MQL, mql_since=later), SETTINGS, []) is None


def test_an_mql_from_before_spells_were_kept_is_known_quietly():
    followed = follow(None, IS_MQL, IS_MQL, around(MONDAY + 90 * DAY), Pools())
    assert (followed.keep[-1].quiet, followed.reminders) == ("known before", ())


GONE = {
    "left": StageState("lead", since=MONDAY + DAY),
    "disqualified": StageState("lead", MqlStatus.DISQUALIFIED, since=MONDAY + DAY),
    "accepted": StageState("sql", MqlStatus.ACCEPTED, since=MONDAY + DAY, answered_at=MONDAY + DAY),
    "rejected": StageState("lead", MqlStatus.REJECTED, since=MONDAY + DAY, answered_at=MONDAY + DAY),
    "not_ready": StageState("lead", MqlStatus.RECYCLED, since=MONDAY + DAY, answered_at=MONDAY + DAY),
    "taken_back": StageState(
        "lead", MqlStatus.RECYCLED, since=MONDAY + DAY, rejected_at=MONDAY + DAY, taken_back_at=MONDAY + DAY
    ),
}


@pytest.mark.parametrize("how", GONE)
def test_how_a_spell_ends(how):
    followed = follow(
        begun(), IS_MQL, GONE[how], around(MONDAY + 2 * DAY), Pools(), not_ready=lambda at: how == "not_ready"
    )
    [ended] = followed.keep
    assert (ended.ended, ended.ended_at, followed.reminders) == (how, MONDAY + DAY, ())
    by_sales = how in ("accepted", "rejected", "not_ready")
    assert ended.touched_at == (MONDAY + DAY if by_sales else None), "an answer is a touch"
    assert follow(ended, GONE[how], GONE[how], around(MONDAY + 3 * DAY), Pools()).keep == ()


@pytest.mark.parametrize(
    ("handoff", "where", "what"),
    [
        ({"slaa": "24h"}, ("handoff", "slaa"), "no key"),
        ({"remind": "4h"}, ("handoff", "remind"), "name both"),
        ({"sla": "4h", "remind": "9h", "escalate": "8h"}, ("handoff", "escalate"), "after the owner"),
        ({"hours": "17:00-09:00"}, ("handoff", "hours"), "09:00-17:00"),
        ({"hours": "9-17"}, ("handoff", "hours"), "09:00-17:00"),
        ({"days": ["mon", "mond", 3]}, ("handoff", "days", 2), "no weekday"),
        ({"holidays": ["Christmas"]}, ("handoff", "holidays", 0), "2026-12-25"),
        ({"pool": ["Ada"]}, ("handoff", "pool", 0), "address"),
        ({"queue": 7}, ("handoff", "queue"), "address"),
    ],
)
def test_a_wrong_hand_off_is_refused_with_its_place(handoff, where, what):
    with pytest.raises(FixConfig) as refused:
        parse_criteria({"handoff": handoff})
    assert [(each.path, what in each.what) for each in refused.value.problems] == [(where, True)]


def test_an_audience_has_a_hand_off_of_its_own():
    found = parse_criteria(
        {
            "handoff": {"sla": "24h", "hours": "00:00-24:00", "days": ["Sat", "sunday"]},
            "audiences": [
                {"id": "big", "when": {"field": "company_size", "gte": 1000}, "handoff": {"sla": "4h"}},
                {"id": "de", "when": {"field": "country", "is": "DE"}},
            ],
        }
    )
    assert found.handoff is not None
    assert found.handoff.work.days == frozenset({5, 6})
    slas = [found.of(each).handoff.sla for each in ("big", "de", "")]
    assert slas == [4 * HOUR, 24 * HOUR, 24 * HOUR]
    assert parse_criteria({}).handoff is None
