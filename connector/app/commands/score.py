"""`connector score`: the arithmetic over Parquet."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from connector.app.exits import OK
from connector.app.files import load_criteria
from connector.app.output import out as console
from connector.app.output import print_json
from connector.errors import FixConfig

ENGINES = ("polars", "spark")


def score(
    *, criteria: Path, people: Path, engagement: Path, as_of: str, out: Path, engine: str, json: bool
) -> int:
    """Score everyone in `people` at `as_of` and write `out`."""
    # Polars refuses a zone such as `+02:00`, which other programs write; instants do not depend on the zone's name.
    os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")
    from connector.core.score import score_parquet

    if engine not in ENGINES:
        raise FixConfig(f"There is no engine `{engine}`.", next_step="Choose polars or spark.")
    moment = instant(as_of)
    for path in (people, engagement):
        if not path.exists():
            raise FixConfig("There is no such file.", where=str(path), next_step="Check the path.")
    count = score_parquet(load_criteria(criteria), people, engagement, moment, out, engine)
    if json:
        print_json({"people": count, "out": str(out), "as_of": moment, "engine": engine})
    else:
        console.print(f"{count:,} people scored as of {moment.isoformat()} into {out}.")
    return OK


def instant(text: str, option: str = "--as-of") -> datetime:
    """An ISO 8601 moment as aware UTC; naive means UTC. FixConfig otherwise."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise FixConfig(
            f"{option} is not a moment: {text}.", next_step="Write it as 2026-11-01T00:00:00Z."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
