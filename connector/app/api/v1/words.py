"""What is given in the path and the query, as it is typed and bounded. Moments are not in the future."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from fastapi.exceptions import RequestValidationError

from connector.app.api.v1.inputs import Number, Word

EARLIEST = 1970

Given = Annotated[Word | None, Query()]
"""A text that may be given."""

AskedFor = Annotated[Number | None, Query()]
"""The number of something, that may be given."""

Name = Annotated[Word, Path()]
"""A name in the path."""

Moment = Annotated[datetime | None, Query(description="ISO 8601; without a zone it is UTC")]

ShowEmail = Annotated[bool, Query(alias="email", description="Show e-mail addresses, too")]


def moment(told: datetime | None, name: str, now: datetime) -> datetime | None:
    """A moment of a parameter of this name, as aware UTC. A 422 where it is in the future, or long before us."""
    if told is None:
        return None
    if EARLIEST <= told.year <= now.year + 1:
        found = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        if found <= now:
            return found
    raise unusable(name, f"A moment from {EARLIEST} until now is needed")


def unusable(name: str, why: str) -> RequestValidationError:
    """A 422 about one parameter of the query."""
    return RequestValidationError([{"loc": ("query", name), "msg": why, "type": "value"}])
