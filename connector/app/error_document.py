"""An error of ours as JSON, as `--json` prints it and as one process hands it to another. No token is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from connector import errors
from connector.errors import ConnectorError, FixConfig, Problem
from connector.transport.redact import redact


def error_document(error: ConnectorError) -> dict[str, Any]:
    """An error as `--json` prints it; `error_of` is its inverse."""
    document: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": redact(error.message),
        "next_step": redact(error.next_step),
        "where": redact(error.where),
    }
    if isinstance(error, FixConfig):
        document["problems"] = [
            asdict(replace(each, what=redact(each.what), nearest=each.nearest and redact(each.nearest)))
            for each in error.problems
        ]
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
