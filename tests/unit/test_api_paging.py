"""Cursors of lists: where to go on, and nothing that somebody made up."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs

import orjson
import pytest
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from connector.app.api.paging import Paged


@pytest.mark.parametrize(
    "key",
    [
        [],
        ["people by fit", 1.0, 2, 3],
        ["people by score", "1", 2, 3],
        ["people by score", 1.0, -2, 3],
        ["people by score", 1.0, True, 3],
        ["people by score", 1.0, 2**64 - 1, 3],
        ["people by score", None, 2, 3],
        {"people by score": 1},
    ],
)
def test_a_cursor_that_was_made_up_is_a_problem(key: object) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps(key)).decode()
    for told in (cursor, cursor[:-5], "!", "\xe4"):
        with pytest.raises(RequestValidationError) as wrong:
            piece(told).after("people by score", float, int, int)
        assert wrong.value.errors()[0]["loc"] == ("query", "cursor")


def test_a_cursor_leads_on_from_the_last_row_with_the_same_question() -> None:
    asked = piece(None, "stage=mql&limit=2")
    told, more = asked.cut("runs", [9, 8, 7], lambda row: row)
    assert (told, more) == ([9, 8], asked.response.headers["link"].partition(">")[0][1:])
    path, _, query = str(more).partition("?")
    again = parse_qs(query)
    assert (path, again["stage"], again["limit"]) == ("/api/v1/people", ["mql"], ["2"])
    assert piece(again["cursor"][0]).number("runs") == 8
    assert piece(None).cut("runs", [9, 8], lambda row: row) == ([9, 8], None)


def piece(cursor: str | None, query: str = "") -> Paged:
    scope = {
        "type": "http",
        "path": "/api/v1/people",
        "query_string": query.encode(),
        "headers": [],
        "server": ("x", 80),
    }
    return Paged(Request(scope), Response(), 2, cursor)
