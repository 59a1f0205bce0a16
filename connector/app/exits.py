"""Exit codes and how an error reaches the person: text on stderr, or one JSON document on stdout.

0 all accounted for, 1 failed, 2 configuration or command line wrong, 3 finished but somebody should look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import typer

from connector import errors
from connector.errors import ConnectorError, FixConfig, Problem

OK, FAILED, WRONG_CONFIG, LOOK = 0, 1, 2, 3


def guarded(json: bool, body: Callable[[], int]) -> None:
    """Run a command's body and leave with its exit code. Never a traceback for an error of ours."""
    try:
        code = body()
    except ConnectorError as error:
        code = WRONG_CONFIG if isinstance(error, FixConfig) else FAILED
        _tell(json, error, code)
    except KeyboardInterrupt:
        code = LOOK
        stopped = ConnectorError(
            "Interrupted.", next_step="What was saved stays saved; the next run goes on from there."
        )
        _tell(json, stopped, code)
    raise typer.Exit(code)


def tell_usage(error: Any, *, json: bool) -> int:
    """A wrong command line: the usage on stderr, with --json the reason on stdout. Returns the exit code."""
    error.show()
    if json:
        from connector.app.output import print_json

        print_json(
            {
                "error": {
                    "kind": "FixConfig",
                    "message": error.format_message(),
                    "next_step": "`--help` shows how this command is written.",
                    "where": "command line",
                    "problems": [],
                },
                "exit": WRONG_CONFIG,
            }
        )
    return WRONG_CONFIG


def _tell(json: bool, error: ConnectorError, code: int) -> None:
    from connector.transport.redact import redact

    if json:
        from connector.app.output import print_json

        print_json({"error": error_document(error), "exit": code})
    sys.stderr.write(redact(f"{error}") + "\n")


def error_document(error: ConnectorError) -> dict[str, Any]:
    """An error as `--json` prints it; `error_of` is its inverse."""
    from connector.transport.redact import redact

    document: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": redact(error.message),
        "next_step": error.next_step,
        "where": error.where,
    }
    if isinstance(error, FixConfig):
        document["problems"] = [asdict(problem) for problem in error.problems]
    return document


def error_of(document: Mapping[str, Any]) -> ConnectorError:
    """The error that another process has met, to be raised here as if it were ours."""
    kind = getattr(errors, str(document.get("kind")), None)
    told = {"next_step": document.get("next_step", ""), "where": document.get("where", "")}
    message = str(document.get("message", ""))
    if kind is FixConfig:
        problems = [Problem(**{**each, "path": tuple(each["path"])}) for each in document.get("problems", ())]
        return FixConfig(message, **told, problems=problems)
    if isinstance(kind, type) and issubclass(kind, ConnectorError):
        return kind(message, **told)
    return ConnectorError(message, **told)
