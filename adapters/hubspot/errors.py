"""The one table from HubSpot's statuses and bodies to what the run does next. Sends nothing and waits for
nothing.

Sources: developers.hubspot.com "Error handling" and "API usage guidelines"; HubSpot says of its error body
that every field is optional, so each is looked for and none is relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from connector.errors import FixConfig, RetryLater, StopRun
from connector.transport import Answer, Fail, Ok, Refresh, Retry, Verdict, scrub

LONGEST_MESSAGE = 300
TEN_SECONDS = timedelta(seconds=10)  # what HubSpot's own SDK waits for TEN_SECONDLY_ROLLING
BUSY = frozenset({500, 502, 503, 504, 520, 521, 522, 523, 524})  # 52x come from the edge, as HTML pages


class BadRequest(StopRun):
    """HubSpot refused a request as it stands. Carries the answer, so that a push can find the record at
    fault.
    """

    def __init__(self, answer: Answer, message: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step, where=place(answer))
        self.answer = answer


class Forbidden(FixConfig):
    """HubSpot knows us and does not let us: a scope, or something that the account's plan does not have."""


class MissingScopes(Forbidden):
    """HubSpot refused a call because the app lacks one of these scopes."""

    def __init__(self, scopes: tuple[str, ...], *, where: str) -> None:
        super().__init__(
            f"The HubSpot app lacks the scope {' or '.join(scopes)}.",
            next_step="Add the scope to the app (or service key) in HubSpot, then `connector check hubspot`.",
            where=where,
        )
        self.scopes = scopes


def classifier(until_midnight: Callable[[], timedelta]) -> Callable[[Answer], Verdict]:
    """The table. `until_midnight` is the time left until the account's day ends, when daily limits start
    anew.
    """

    def classify(answer: Answer) -> Verdict:
        status = answer.status
        if 200 <= status < 300:
            return Ok()
        if status == 429:
            return _limited(answer, until_midnight)
        if status == 401:
            return _unauthorized(answer)
        if status == 403:
            return Fail(_forbidden(answer))
        if status == 423:
            return Retry(
                RetryLater("HubSpot has locked these records for a large write.", where=place(answer)),
                after=timedelta(seconds=2),
                refused=True,
            )
        if status == 477:
            after = _retry_after(answer) or timedelta(hours=1)
            error = RetryLater(
                "HubSpot is moving this account to another data centre.",
                next_step="The next run tries again; this can take up to a day.",
                where=place(answer),
                after=after,
            )
            return Retry(error, after=after, refused=True)
        if status == 530:
            return Fail(
                FixConfig(
                    "HubSpot's edge refused the token; it seems to be cut short or mistyped.",
                    next_step="Set HUBSPOT_ACCESS_TOKEN (or the OAuth variables) again, whole.",
                    where=place(answer),
                )
            )
        if status in BUSY:
            return Retry(
                RetryLater(
                    f"HubSpot answered {status}.",
                    next_step="status.hubspot.com says whether it is known; the next run tries again.",
                    where=place(answer),
                ),
                after=_retry_after(answer),
            )
        return Fail(_refused(answer))

    return classify


def _limited(answer: Answer, until_midnight: Callable[[], timedelta]) -> Verdict:
    policy = str(_field(answer, "policyName") or "").upper()
    message = vendor_message(answer).lower()
    if "DAILY" in policy or "daily limit" in message:
        after = until_midnight()
        error = RetryLater(
            "This HubSpot account has spent its calls for today.",
            next_step="Reading and writing go on after midnight in the account's time zone.",
            where=place(answer),
            after=after,
        )
        return Retry(error, after=max(after, timedelta(minutes=5)), refused=True)
    secondly = policy == "SECONDLY" or ("secondly limit" in message and "ten_secondly" not in message)
    after = _retry_after(answer) or (timedelta(seconds=1) if secondly else TEN_SECONDS)
    error = RetryLater(
        "HubSpot's rate limit stays full; other apps seem to use it too.",
        next_step="Lower HUBSPOT_RATE_SHARE, or find who else calls this account.",
        where=place(answer),
        after=after,
    )
    return Retry(error, after=after, refused=True, hold=True)


def _unauthorized(answer: Answer) -> Verdict:
    error = FixConfig(
        f"HubSpot refused the credentials: {vendor_message(answer)}",
        next_step="Check HUBSPOT_ACCESS_TOKEN (or the OAuth variables): is the app still installed?",
        where=place(answer),
    )
    return Refresh(error)


def _forbidden(answer: Answer) -> FixConfig:
    scopes = missing_scopes(answer)
    if scopes:
        return MissingScopes(scopes, where=place(answer))
    return Forbidden(
        f"HubSpot forbids this: {vendor_message(answer)}",
        next_step="Check the scopes of the app, and that the user who created it still is a super admin.",
        where=place(answer),
    )


def _refused(answer: Answer) -> StopRun | FixConfig:
    if 300 <= answer.status < 400:
        return FixConfig(
            f"HubSpot's address answers {answer.status} and sends us elsewhere.",
            next_step="Set HUBSPOT_BASE_URL to the address of the API itself.",
            where=place(answer),
        )
    if answer.status == 404 and not answer.readable:
        return BadRequest(
            answer,
            "HubSpot does not know this path.",
            next_step="Check HUBSPOT_BASE_URL and HUBSPOT_API_VERSION.",
        )
    return BadRequest(answer, f"HubSpot answered {answer.status}: {vendor_message(answer)}")


def missing_scopes(answer: Answer) -> tuple[str, ...]:
    """The scopes a 403 asks for; newer answers name them inside `errors`, older ones in a top-level
    `context`.
    """
    contexts = [_field(answer, "context"), *(error.get("context") for error in errors_of(answer.json))]
    found: list[str] = []
    for context in contexts:
        names = context.get("requiredGranularScopes") if isinstance(context, Mapping) else None
        if isinstance(names, list):
            found += [str(name) for name in names if str(name) not in found]
    return tuple(found)


def errors_of(document: Any) -> list[Mapping[str, Any]]:
    """The entries of `errors`, as far as there are any."""
    entries = document.get("errors") if isinstance(document, Mapping) else None
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def code_of(document: Any) -> str:
    """The most telling code of an error body or error entry: `INVALID_OPTION`, `VALIDATION_ERROR` ..."""
    for entry in errors_of(document):
        if entry.get("code"):
            return str(entry["code"])
    if isinstance(document, Mapping):
        for key in ("code", "subCategory", "category", "errorType"):
            if document.get(key):
                return str(document[key])
    return ""


def message_of(document: Any) -> str:
    """What HubSpot said in an error body or error entry, without addresses of people, at most 300
    characters.
    """
    said = [str(entry["message"]) for entry in errors_of(document) if entry.get("message")]
    if isinstance(document, Mapping) and not said:
        said = [str(document[key]) for key in ("message", "error_description") if document.get(key)][:1]
    return scrub("; ".join(said) or "no reason given")[:LONGEST_MESSAGE]


def vendor_message(answer: Answer) -> str:
    """What HubSpot said; for a body that is not JSON, what came instead."""
    if isinstance(answer.json, Mapping):
        return message_of(answer.json)
    return f"no JSON ({answer.content_type or 'no content type'})"


def context_ids(entry: Mapping[str, Any], key: str) -> list[str]:
    """The values under one key of an error entry's `context`, as text, whether a list or a single one."""
    context = entry.get("context")
    values = context.get(key) if isinstance(context, Mapping) else None
    if values is None:
        return []
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def place(answer: Answer) -> str:
    """Method and path, and the correlation id that HubSpot's support asks for."""
    return (
        f"{answer.asked} (correlation id {answer.correlation_id})" if answer.correlation_id else answer.asked
    )


def _field(answer: Answer, name: str) -> Any:
    return answer.json.get(name) if isinstance(answer.json, Mapping) else None


def _retry_after(answer: Answer) -> timedelta | None:
    """Seconds, where HubSpot sends the header at all."""
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None
    return timedelta(seconds=min(seconds, 86_400.0)) if seconds > 0 else None
