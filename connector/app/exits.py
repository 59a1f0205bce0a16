"""Exit codes and how an error reaches the person: text on stderr, or one JSON document on stdout.

0 all accounted for, 1 failed, 2 configuration or command line wrong, 3 finished but somebody should look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from connector.app.error_document import error_document
from connector.errors import ConnectorError, FixConfig

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
