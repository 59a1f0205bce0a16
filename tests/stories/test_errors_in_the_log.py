"""An error that nobody foresaw is told by its class and its place: what it says may quote somebody."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog

from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.log import configure
from connector.app.settings import Settings
from connector.app.sidecar import Sidecar
from connector.app.sidecar.jobs import Job, Jobs
from connector.app.wiring import Wired, plugins
from connector.errors import StopRun
from connector.ledger import open_ledger
from connector.testing.clock import HandClock
from tests.stories.world import START

SAID = "Ada Lovelace, ada@example.com, +44 20 7946 0000, pat-eu1-0123456789abcdef"
PARTS = ("Lovelace", "ada@", "7946", "0123456789abcdef")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Tests of others log as they did."""
    kept, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = kept
    logging.getLogger().setLevel(level)


def raised() -> None:
    try:
        raise KeyError(SAID)
    except KeyError as error:
        raise ValueError(SAID) from error


def logged(capsys: pytest.CaptureFixture[str], level: str = "info") -> list[dict[str, object]]:
    """What a log, a library's log and asyncio say of it."""
    configure(Settings(log_level=level, log_format="json"))  # type: ignore[arg-type]
    try:
        raised()
    except ValueError as error:
        structlog.get_logger().exception("it failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("asyncio").error(
            "Task exception was never retrieved\nfuture: %r", error, exc_info=error
        )
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_the_class_and_the_place_of_an_error_and_of_what_led_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = logged(capsys)

    assert [line["event"] for line in lines] == [
        "it failed", "Exception in ASGI application", "Task exception was never retrieved",
    ]  # fmt: skip
    for line in lines:
        told = line["raised"]
        assert [each["error"] for each in told] == ["ValueError", "KeyError"]  # type: ignore[attr-defined]
        assert all("raised (" in each["frames"][-1] for each in told)  # type: ignore[attr-defined]
        assert not [part for part in PARTS if part in json.dumps(line)]


def test_what_it_says_is_told_where_somebody_looks_for_it_without_secrets_and_addresses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [line, *_] = logged(capsys, "debug")
    says = line["raised"][0]["says"]  # type: ignore[index]

    assert "Ada Lovelace, [email]" in says
    assert not [part for part in PARTS[1:4:2] if part in says]


def test_errors_of_our_own_say_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_format="json"))
    try:
        raise StopRun("The answers do not add up.", next_step="Run again.")
    except StopRun:
        structlog.get_logger().exception("it failed")

    assert "The answers do not add up." in capsys.readouterr().err


async def test_a_job_that_meets_one_goes_on_and_tells_nobody_s_data(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Settings(log_format="json"))

    async def body(side: Sidecar) -> None:
        raised()

    ledger = open_ledger(sqlite_url)
    try:
        clock = HandClock(START)
        definition = load_definition(shipped(), plugins())
        side = Sidecar(Wired({}, definition, ledger, clock, "one"))  # type: ignore[arg-type]
        await asyncio.gather(*await Jobs(side, [Job("post", timedelta(hours=1), body)]).look())
        kept = (await ledger.jobs())["post"].failed
    finally:
        await ledger.close()
    said = capsys.readouterr().err

    assert "ValueError" in kept
    assert "raised (" in said
    assert not [part for part in PARTS if part in said + kept]


def test_the_last_words_of_a_process_quote_nobody() -> None:
    code = (
        "import sys; sys.argv = ['connector', 'runs', 'list']\n"
        "from connector.app import cli\n"
        "from connector.app.commands import runs\n"
        f"def bad(*a, **k): raise ValueError({SAID!r})\n"
        "runs.runs_list = bad\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "ValueError" in done.stderr
    assert "bad (" in done.stderr
    assert not [part for part in PARTS if part in done.stderr]
