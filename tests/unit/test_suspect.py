"""What a machine did is not counted, by rules of the criteria; what is not known clears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.criteria_file import parse_criteria
from connector.core.model import Engagement
from connector.core.normalize import set_aside_suspects
from connector.errors import FixConfig

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SENT = int(NOON.timestamp() * 1000)
LINKS = {"id": "links", "event": "email_click", "links": 2, "after_sent": "30s"}
BURST = {"id": "burst", "event": "email_click", "links": 3, "within": "10s"}
HONEYPOT = {
    "id": "honeypot",
    "name": "A hidden link",
    "event": ["email_click", "form_submission"],
    "where": {"field": "url", "contains": "/trap"},
}
TRAP_FIELD = {"id": "trap", "event": "form_submission", "where": {"field": "attributes.fax", "is_set": True}}
UNOPENED = {"id": "unopened", "event": "email_click", "unopened": True}
SIGN = {"event": ["page_view", "form_submission"], "within": "30m", "another_day": True}
AGAIN = {"id": "again", "event": "form_submission", "again_within": "5m"}
PREFETCH = {"id": "prefetch", "event": "email_open", "after_sent": "5s"}
PROXY = {"id": "proxy", "event": "email_open", "where": {"field": "attributes.agent", "is": "Mozilla/5.0"}}


def did(type, seconds=0, url=None, *, message="m1", sent=SENT, email="ada@example.com", **more):
    told = {"message": message, "sent": sent, **more.pop("attributes", {})}
    return Engagement(
        crm="hubspot",
        stream="email_events",
        key=f"{type}:{seconds}:{url}:{message}",
        type=type,
        occurred_at=NOON + timedelta(seconds=seconds),
        email=email,
        url=url,
        attributes={key: value for key, value in told.items() if value is not None},
        **more,
    )


def click(seconds, url="/a", **more):
    return did("email_click", seconds, url, **more)


def rules(*docs):
    return parse_criteria({"suspect": list(docs)}).suspect


def counted(docs, *events):
    return [each.counted for each in set_aside_suspects(events, rules(*docs))]


def form(seconds, name="Contact us"):
    return did("form_submission", seconds, name=name)


DAY = 86_400
T, F = True, False


@pytest.mark.parametrize(
    ("docs", "events", "wanted"),
    [
        # several links of one mail within seconds of sending
        ([LINKS], [click(3), click(4, "/b")], [F, F]),
        ([LINKS], [click(3), click(30, "/b")], [F, F]),
        ([LINKS], [click(3), click(31, "/b")], [T, T]),
        ([LINKS], [click(3), click(4)], [T, T]),
        ([LINKS], [click(3), click(4, "/b", message="m2")], [T, T]),
        ([LINKS], [click(3), click(4, "/b", email="bo@example.com")], [T, T]),
        ([LINKS], [click(3, sent=None), click(4, "/b", sent=None)], [T, T]),
        ([LINKS], [click(3, message=None), click(4, "/b", message=None)], [T, T]),
        ([LINKS], [click(3), click(4, "/b"), click(DAY)], [F, F, T]),
        # in a stretch of time
        ([BURST], [click(900, "/a"), click(905, "/b"), click(910, "/c")], [F, F, F]),
        ([BURST], [click(900, "/a"), click(905, "/b"), click(911, "/c")], [T, T, T]),
        ([BURST], [click(0, "/x"), click(900, "/a"), click(901, "/b"), click(902, "/c")], [T, F, F, F]),
        # honeypots, by address and by attribute
        ([HONEYPOT], [click(900, "https://x.example/trap"), click(901)], [F, T]),
        ([HONEYPOT], [did("form_submission", 0, "/trap"), did("page_view", 0, "/trap")], [F, T]),
        ([TRAP_FIELD], [did("form_submission", attributes={"fax": "1"}), did("form_submission")], [F, T]),
        # a click without an open, and the second sign
        ([UNOPENED], [click(900), click(901, message="m2"), did("email_open", 950)], [T, F, T]),
        ([UNOPENED], [click(900, message=None)], [T]),
        ([UNOPENED], [click(900), did("email_open", 950, counted=False, why_not="x")], [F, F]),
        ([UNOPENED], [click(900), did("email_open", 950, deleted=True)], [F, T]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), did("page_view", 1800)], [T, T]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), did("page_view", 1801)], [F, T]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), did("form_submission", -60)], [T, T]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), click(DAY)], [T, T]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), click(600, "/b")], [F, F]),
        ([{**UNOPENED, "unless": SIGN}], [click(0), click(DAY, message="m2")], [F, F]),
        # a form sent again by a page that was loaded again
        ([AGAIN], [form(0), form(60), form(360), form(661)], [T, F, F, T]),
        ([AGAIN], [form(0), form(60, name="Another")], [T, T]),
        ([AGAIN], [form(60), form(0)], [F, T]),
        # privacy: opens at sending, and by the proxy's name
        ([PREFETCH], [did("email_open", 4), did("email_open", 900), click(4)], [F, T, T]),
        ([PROXY], [did("email_open", 900, attributes={"agent": "Mozilla/5.0"})], [F]),
        ([PROXY], [did("email_open", 900, attributes={"agent": "Mozilla/5.0 (Macintosh)"})], [T]),
        # in the order of the file, each on what the earlier ones left
        ([UNOPENED, PREFETCH], [did("email_open", 2), click(900)], [F, T]),
        ([PREFETCH, UNOPENED], [did("email_open", 2), click(900)], [F, F]),
        ([], [click(3), click(4, "/b")], [T, T]),
    ],
)
def test_what_looks_like_a_machine_is_not_counted(docs, events, wanted):
    assert counted(docs, *events) == wanted


def test_the_reason_names_the_first_rule_and_what_was_set_aside_before_keeps_its_own():
    before = click(1, "/trap", counted=False, why_not="a scanner")
    found = set_aside_suspects([click(0, "/trap"), before], rules(HONEYPOT, LINKS))
    assert [each.why_not for each in found] == ["suspect by `honeypot`: A hidden link", "a scanner"]


@pytest.mark.parametrize(
    ("doc", "what"),
    [
        ({"id": "x", "event": "email_click"}, "names a sign"),
        ({"id": "x", "event": "email_click", "links": 1}, "at least 2"),
        ({"id": "x", "event": "email_click", "unopened": True, "within": "3s"}, "name both"),
        ({"id": "x", "event": "email_click", "unopened": "yes"}, "true or false"),
        ({"id": "x", "event": "email_click", "unopened": True, "unless": {}}, "second sign"),
        ({"id": "x", "event": "email_click", "unopend": True}, "no key here"),
        ({"id": "x", "event": "email_click", "where": {"field": "colour", "is": "red"}}, "colour"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(doc, what):
    with pytest.raises(FixConfig) as refused:
        rules(doc)
    assert what in " ".join(problem.what for problem in refused.value.problems)
