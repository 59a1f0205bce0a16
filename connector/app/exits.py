"""Exit codes and how an error reaches the person: text on stderr, or one JSON document on stdout.

0 all accounted for, 1 failed, 2 configuration or command line wrong, 3 finished but somebody should look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

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
        sys.stderr.write("Interrupted. What was saved stays saved; the next run goes on from there.\n")
        code = LOOK
    raise typer.Exit(code)


def _tell(json: bool, error: ConnectorError, code: int) -> None:
    from connector.transport.redact import redact

    if json:
        from connector.app.output import print_json

        print_json({"error": _document(error), "exit": code})
    sys.stderr.write(redact(f"{error}") + "\n")


def _document(error: ConnectorError) -> dict[str, Any]:
    from connector.transport.redact import redact

    document: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": redact(error.message),
        "next_step": error.next_step,
        "where": error.where,
    }
    if isinstance(error, FixConfig):
        document["problems"] = [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "path": list(problem.path),
                "what": problem.what,
                "nearest": problem.nearest,
            }
            for problem in error.problems
        ]
    return document
