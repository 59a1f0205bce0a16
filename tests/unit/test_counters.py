"""Aggregates become engagement as they grow."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connector.core.mapping_file import parse_mapping
from connector.core.model import Ref, VendorRecord
from connector.core.normalize import growth

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ADA = Ref("crm", "contact", "1")


def mapping(**more):
    counter = {"counter": "views", "type": "page_view", "at": "last_view", **more}
    return parse_mapping({"crm": "crm", "objects": {"contact": {"counters": [counter]}}})


def seen(views, at="2026-11-21T08:00:00Z", **more):
    return VendorRecord(ADA, "person", {"views": views, "last_view": at, "url": "/pricing"}, NOW, **more)


def grown(record, readings, shape=None):
    return growth(record, shape or mapping(), readings, NOW)


def test_the_first_reading_gives_one():
    events, readings = grown(seen("40"), {})
    assert [(each.type, each.occurred_at) for each in events] == [
        ("page_view", datetime(2026, 11, 21, 8, tzinfo=UTC))
    ]
    assert readings[ADA, "views"] == 40


@pytest.mark.parametrize(("views", "many"), [("40", 40), ("1000", 100), ("0", 0), (None, 0)])
def test_a_first_reading_of_all_gives_at_most_a_hundred(views, many):
    events, readings = grown(seen(views), {}, mapping(first="all"))
    assert len(events) == many == len({each.key for each in events})
    assert readings[ADA, "views"] == float(views or 0)


def test_growth_gives_the_difference_and_a_repeat_the_same_keys():
    first, _ = grown(seen("7"), {(ADA, "views"): 4.0})
    again, _ = grown(seen("7"), {(ADA, "views"): 4.0})
    assert len(first) == 3
    assert [each.key for each in first] == [each.key for each in again]
    assert grown(seen("7"), {(ADA, "views"): 7.0})[0] == ()


def test_a_falling_counter_is_only_read_anew_and_new_growth_has_new_keys():
    before, _ = grown(seen("7"), {(ADA, "views"): 4.0})
    events, readings = grown(seen("2"), {(ADA, "views"): 7.0})
    later, _ = grown(seen("6", at="2026-11-22T09:00:00Z"), readings)
    assert events == ()
    assert readings[ADA, "views"] == 2
    assert len(later) == 4
    assert not {each.key for each in before} & {each.key for each in later}


def test_a_merge_resets_the_counter():
    _, readings = grown(seen("5"), {})
    merged = replace(seen("300"), absorbed=(Ref("crm", "contact", "2"),))
    events, after = grown(merged, readings)
    assert events == ()
    assert after[ADA, "views"] == 300
    assert len(grown(replace(merged, values={**merged.values, "views": "302"}), after)[0]) == 2


def test_without_a_time_the_moment_of_reading_stands_and_no_time_lies_ahead():
    assert grown(seen("1", at=None), {})[0][0].occurred_at == NOW
    assert grown(seen("1", at="2030-01-01T00:00:00Z"), {})[0][0].occurred_at == NOW


def test_a_counter_that_was_not_fetched_or_cannot_be_read_says_nothing():
    record = seen("many")
    assert (ADA, "views") not in grown(record, {})[1]
    assert (ADA, "views") not in grown(replace(record, values={}), {})[1]


def test_only_the_newest_event_knows_the_last_page():
    events, _ = grown(seen("6"), {(ADA, "views"): 4.0}, mapping(url="url"))
    assert [each.url for each in events] == [None, "/pricing"]


def test_a_stream_that_is_source_of_record_sets_counters_aside():
    doc = {
        "crm": "crm",
        "objects": {"contact": {"counters": [{"counter": "views", "type": "page_view"}]}},
        "engagement": {"web_events": {"source_of": ["page_view"]}},
    }
    (event,), _ = grown(seen("1"), {}, parse_mapping(doc))
    assert not event.counted
    assert "web_events" in event.why_not
