"""For how long what grows is kept: as the criteria say it, and what goes at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.criteria_file import parse_criteria
from connector.core.retention import Cuts, Retention
from connector.errors import FixConfig
from connector.ledger import codec

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (None, Retention(400 * DAY, 14 * DAY, 90 * DAY)),
        ({}, Retention(400 * DAY, 14 * DAY, 90 * DAY)),
        ({"raw_payloads": "36h"}, Retention(400 * DAY, 1.5 * DAY, 90 * DAY)),
        ({"run_details": "30d"}, Retention(30 * DAY, 14 * DAY, 30 * DAY)),  # they stand in the details
        ({"run_details": "keep", "before_images": "keep"}, Retention(None, 14 * DAY, None)),
        ({"before_images": "400d"}, Retention(400 * DAY, 14 * DAY, 400 * DAY)),
        ({"unknown_visitors": "30d"}, Retention(400 * DAY, 14 * DAY, 90 * DAY, 30 * DAY)),
    ],
)
def test_what_the_file_leaves_out_is_kept_as_shipped(said: object, means: Retention) -> None:
    doc = {} if said is None else {"retention": said}

    assert parse_criteria(doc).retention == means


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"before_image": "90d"}, "`before_image` is no key here"),
        ({"before_images": "1d"}, "`before_images` is at least 2d"),
        ({"raw_payloads": "1h"}, "`raw_payloads` is at least 1d"),
        ({"run_details": "6d"}, "`run_details` is at least 7d"),
        ({"run_details": "soon"}, "is no duration"),
        ({"before_images": "401d"}, "cannot be kept longer than these"),
        ({"before_images": "keep"}, "cannot be kept longer than these"),
        (["90d"], "A map of keys and values is needed here"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: object, wrong: str) -> None:
    with pytest.raises(FixConfig) as refused:
        parse_criteria({"retention": said})

    assert wrong in str([each.what for each in refused.value.problems])


def test_what_is_kept_for_good_has_no_moment_before_which_it_goes() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)

    kept = Retention(None, DAY, 2 * DAY, 3 * DAY)
    assert Cuts.of(kept, at) == Cuts(None, at - DAY, at - 2 * DAY, at - 3 * DAY)


@pytest.mark.parametrize("values", [{"a": "x", "b": 1.5}, {"a": "\ud800"}, {"b": 2**70, "a": None}])
def test_values_that_were_let_go_are_known_again_and_no_others(values: dict[str, object]) -> None:
    text = codec.told(values)
    left = codec.let_go(text, ["a", "gone"])

    assert left.startswith(codec.LET_GO)
    assert codec.same_told(left, text)
    assert not codec.same_told(left, codec.told({**values, "b": 3}))
    assert not codec.same_told(text, text)
    assert "b" not in codec.loads(left)
