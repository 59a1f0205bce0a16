"""What routes take: kinds of text and numbers that the ledger can keep, and errors by what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from connector.errors import FixConfig, StopRun

_LARGEST = 2**63 - 1  # of a number that both databases know
_KEPT = r"^[^\x00]*$"  # PostgreSQL keeps no NUL in a text

Word = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=_KEPT)]
Note = Annotated[str, StringConstraints(max_length=2000, pattern=_KEPT)]


def _utc(at: datetime) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


Moment = Annotated[datetime, AfterValidator(_utc)]  # without a zone: UTC
Number = Annotated[int, Field(ge=1, le=_LARGEST)]
InPath = Annotated[int, Path(ge=1, le=_LARGEST)]


class Body(BaseModel):
    """What is sent. A name that is not known is refused: it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid")


class Noted(Body):
    """A word for whoever looks at it later."""

    note: Note = ""


@contextmanager
def as_things_stand() -> Iterator[None]:
    """Inside, what a command line would be told to be wrong about is told as not possible now (409)."""
    try:
        yield
    except FixConfig as error:
        raise StopRun(error.message, next_step=error.next_step, where=error.where) from error
