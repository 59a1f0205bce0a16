"""All links of a mail clicked within seconds are a scanner's clicks; a human's stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.core.mapping import ScannerRule
from connector.core.mapping_file import parse_mapping
from connector.core.model import Engagement, Ref
from connector.core.normalize import count_once, scanner_rules, set_aside_scanners
from connector.errors import FixConfig

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULE = ScannerRule("email_click", 3, timedelta(seconds=10))


def click(seconds, link, *, crm="hubspot", stream="email_events", key=None, **more):
    return Engagement(
        crm=crm,
        stream=stream,
        key=key or f"{seconds}:{link}",
        type=more.pop("type", "email_click"),
        occurred_at=NOON + timedelta(seconds=seconds),
        email=more.pop("email", "ada@example.com"),
        url=link,
        attributes={"message": more.pop("message", "m1")},
        **more,
    )


def judged(*clicks, rules=None):
    return set_aside_scanners(clicks, rules or dict.fromkeys({(c.crm, c.stream) for c in clicks}, RULE))


def counted(*clicks):
    return [each.counted for each in judged(*clicks)]


@pytest.mark.parametrize(("crm", "stream"), [("hubspot", "email_events"), ("salesforce", "Task")])
def test_three_links_of_one_message_within_seconds_are_a_machines_in_either_crm(crm, stream):
    clicks = [click(n, f"/{n}", crm=crm, stream=stream) for n in range(3)]

    found = judged(*clicks)

    assert count_once(found) == ()
    assert {each.why_not for each in found} == {
        "3 or more links of one message clicked within 10s: a scanner"
    }


def test_a_single_click_later_still_counts():
    assert counted(click(0, "/a"), click(1, "/b"), click(2, "/c"), click(3_600, "/a")) == [False] * 3 + [True]


def test_the_same_link_thrice_and_two_links_are_a_humans_impatience():
    assert counted(click(0, "/a"), click(1, "/a"), click(2, "/a")) == [True] * 3
    assert counted(click(0, "/a"), click(1, "/b")) == [True] * 2


def test_links_read_one_after_the_other_are_a_readers():
    assert counted(click(0, "/a"), click(40, "/b"), click(80, "/c")) == [True] * 3


def test_ten_seconds_exactly_are_within_and_a_moment_more_is_not():
    assert counted(click(0, "/a"), click(5, "/b"), click(10, "/c")) == [False] * 3
    assert counted(click(0, "/a"), click(5, "/b"), click(10.001, "/c")) == [True] * 3


def test_every_click_of_a_long_burst_goes_also_the_repeated_ones():
    burst = [click(n * 4, f"/{n % 4}", key=str(n)) for n in range(8)]
    assert counted(*burst) == [False] * 8


def test_three_messages_or_three_recipients_are_no_burst():
    assert counted(*(click(n, f"/{n}", message=f"m{n}") for n in range(3))) == [True] * 3
    assert counted(*(click(n, f"/{n}", email=f"{n}@example.com") for n in range(3))) == [True] * 3
    about = [Ref("hubspot", "contact", str(n)) for n in range(3)]
    assert counted(*(click(n, f"/{n}", about=about[n]) for n in range(3))) == [True] * 3


def test_the_order_in_which_events_come_makes_no_difference():
    assert counted(click(2, "/c"), click(3_600, "/a"), click(0, "/a"), click(1, "/b")) == [
        False,
        True,
        False,
        False,
    ]


def test_only_the_type_that_the_rule_names_is_judged():
    assert counted(*(click(n, f"/{n}", type="page_view") for n in range(3))) == [True] * 3
    assert set_aside_scanners([click(0, "/a")], {}) == (click(0, "/a"),)


def test_the_shipped_mapping_has_the_rule_for_the_clicks_it_reads():
    assert scanner_rules([load_mapping(shipped() / "hubspot.yaml")]) == {("hubspot", "email_events"): RULE}


def test_a_rule_that_makes_no_sense_is_refused_line_by_line():
    doc = {
        "crm": "hubspot",
        "objects": {"contact": {"kind": "person"}},
        "engagement": {"email_events": {"scanner": {"type": "clicks", "links": 1, "within": "soon", "x": 1}}},
    }
    with pytest.raises(FixConfig) as refused:
        parse_mapping(doc)
    assert len(refused.value.problems) == 4
