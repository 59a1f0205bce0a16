"""What Salesforce's answers mean for the run: one table for requests, one for rows, one for logins.

Waits for nothing and retries nothing; the transport does. Codes:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from adapters.salesforce.bulk_errors import JobGone, is_hidden_field, refusal
from connector.errors import ConnectorError, FixConfig, RetryLater, SkipRecord, StopRun
from connector.transport import Answer, Fail, Ok, Refresh, Retry, Verdict, scrub

LONGEST_TEXT = 240  # of a vendor's message that we repeat

# The allowance is a rolling 24 hours shared by the whole org: an hour later some of it has come back.
DAY_IS_SPENT = timedelta(hours=1)
CONCURRENT_WAIT = timedelta(seconds=20)  # calls count as long-running from 20 s on
NOT_READY_WAIT = timedelta(seconds=30)


class FieldRefused(FixConfig):
    """A query names a field or relationship that this user does not see."""


class FieldLost(FixConfig):
    """A field that was read so far is not visible any more."""


class ObjectRefused(FixConfig):
    """A query names an object that this user does not see."""


class UrlTooLong(FixConfig):
    """A query does not fit into a URL; in a body it may."""


class ChangedSince(SkipRecord):
    """A record changed after the moment that a write depends on."""


class CursorLost(StopRun):
    """A page locator died; the query goes on behind the last row."""


class FeedRefused(StopRun):
    """The log of deletions does not reach back so far, or holds too many."""


class QueryTooSlow(RetryLater):
    """A query ran out of its time; a smaller one may not."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error body says, in whichever of its three shapes: requests, rows, logins."""

    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


def fault_of(body: Any) -> Fault:
    """The first error of a body. Empty where the body says nothing (HTML, nothing at all, another shape)."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, Mapping):
        return Fault()
    code = first.get("errorCode") or first.get("statusCode") or first.get("error") or ""
    message = first.get("message") or first.get("error_description") or ""
    return Fault(str(code), scrub(" ".join(str(message).split()))[:LONGEST_TEXT])


# ------------------------------------------------------------------------------------------ requests


def classify(answer: Answer) -> Verdict:
    """What to do about an answer to a data request."""
    if 200 <= answer.status < 300:
        return Ok()
    fault = fault_of(answer.json)
    where = f"{answer.asked} (request {answer.correlation_id})" if answer.correlation_id else answer.asked
    said = f"Salesforce answered {answer.status}" + (f" {fault}" if fault.code else f" ({_kind(answer)})")
    said = said if said.endswith(".") else said + "."

    if answer.status == 401:
        return _unauthorized(fault, said, where)
    if fault.code == "REQUEST_LIMIT_EXCEEDED":
        return _limited(fault, said, where)
    if "/jobs/" in answer.asked and (error := _of_job(answer, fault, said, where)) is not None:
        return Fail(error)
    if (row := _BY_CODE.get(fault.code)) is not None:
        return Fail(row.error(said, next_step=row.next_step, where=where))
    if answer.status in _AGAIN:
        after, refused = _AGAIN[answer.status]
        error = RetryLater(
            said, next_step="Salesforce is busy or in maintenance; the next run tries again.", where=where
        )
        return Retry(error, after=after, refused=refused)
    error_type, next_step = _BY_STATUS.get(answer.status, (StopRun, _QUOTE))
    return Fail(error_type(said, next_step=next_step, where=where))


def _of_job(answer: Answer, fault: Fault, said: str, where: str) -> ConnectorError | None:
    """What only Bulk API answers. A job's query is checked when the job is made, under a code that says nothing."""
    if answer.status in (404, 409):
        return JobGone(said, next_step="The next run makes another job.", where=where)
    if is_hidden_field(f"{fault}"):
        return FieldRefused(said, next_step=_BY_CODE["INVALID_FIELD"].next_step, where=where)
    return refusal(said, where=where) if answer.status in (400, 403) else None


def _kind(answer: Answer) -> str:
    if answer.size == 0:
        return "without a body"
    return f"with {answer.content_type or 'an unnamed body'} instead of an error in JSON"


def _unauthorized(fault: Fault, said: str, where: str) -> Verdict:
    """A session that ended is renewed once. The other forms of 401 no new session helps."""
    error = FixConfig(
        said,
        next_step="Check that the integration user is active, that its app still allows it and that IP "
        "ranges do not lock it out; then `connector check salesforce`.",
        where=where,
    )
    ends = fault.message.lower()
    if "not valid for use with the rest api" in ends or "connected app is not attached" in ends:
        return Fail(error)
    # Tokens in JWT form have a fixed life and end with these two codes instead.
    if fault.code in ("INVALID_SESSION_ID", "INVALID_JWT_FORMAT", "INVALID_AUTH_HEADER", ""):
        return Refresh(error)
    return Fail(error)


def _limited(fault: Fault, said: str, where: str) -> Verdict:
    """One code for two causes; only the message tells the day's allowance from too many calls at once.

    https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/
    """
    if fault.message.lower().startswith("concurrent"):
        error = RetryLater(
            said, next_step="Other programs keep the org busy; the next run tries again.", where=where
        )
        return Retry(error, after=CONCURRENT_WAIT, refused=True, hold=True)
    return Fail(
        RetryLater(
            said,
            next_step="The org's allowance of the last 24 hours is spent, by all its programs. Later runs "
            "go on from here; see Setup > System Overview for who uses it.",
            where=where,
            after=DAY_IS_SPENT,
        )
    )


@dataclass(frozen=True, slots=True)
class _Row:
    error: type[ConnectorError]
    next_step: str


_GRANT = "Give the integration user access by a permission set, then `connector check salesforce`."
_QUOTE = "Search for the code; if it stays, quote the request number to Salesforce support."

_BY_CODE: Mapping[str, _Row] = {
    "INVALID_FIELD": _Row(FieldRefused, "Grant field-level security on it, or take it out of the mapping."),
    "INVALID_TYPE": _Row(ObjectRefused, "Grant the integration user read access, or unmap the object."),
    "INVALID_QUERY_LOCATOR": _Row(CursorLost, "The next run goes on behind the last row that was kept."),
    "INVALID_REPLICATION_DATE": _Row(FeedRefused, "The daily sweep finds what was deleted."),
    "EXCEEDED_ID_LIMIT": _Row(FeedRefused, "The daily sweep finds what was deleted."),
    "QUERY_TIMEOUT": _Row(QueryTooSlow, "The next run asks for less at once."),
    "MALFORMED_QUERY": _Row(StopRun, "Check the field names in the mapping of Salesforce."),
    "QUERY_TOO_COMPLICATED": _Row(FixConfig, "Map fewer fields of this object, formula fields first."),
    "API_DISABLED_FOR_ORG": _Row(FixConfig, "This edition has no API, or it is switched off for the user."),
    "API_CURRENTLY_DISABLED": _Row(FixConfig, 'Give the integration user the permission "API Enabled".'),
    "INVALID_LOGIN": _Row(FixConfig, "Check the credentials of the integration user."),
    "INSUFFICIENT_ACCESS": _Row(FixConfig, _GRANT),
    "INSUFFICIENT_ACCESS_OR_READONLY": _Row(FixConfig, _GRANT),
    "FUNCTIONALITY_NOT_ENABLED": _Row(FixConfig, _GRANT),
    "TXN_SECURITY_METERING_ERROR": _Row(
        FixConfig, "A transaction security policy stopped it: exempt the integration user."
    ),
    "TXN_SECURITY_NO_ACCESS": _Row(
        FixConfig, "A transaction security policy stopped it: exempt the integration user."
    ),
    "UNSUPPORTED_API_VERSION": _Row(FixConfig, "Set SALESFORCE_API_VERSION to a version that the org lists."),
}

# status: how long to wait (None: exponential), and whether it certainly was not acted on
_AGAIN: Mapping[int, tuple[timedelta | None, bool]] = {
    406: (None, False),  # seen in production as passing, with an empty body
    408: (None, False),
    420: (NOT_READY_WAIT, True),  # "We are setting things up"
    429: (CONCURRENT_WAIT, True),
    500: (None, False),
    502: (None, False),
    503: (None, False),
    504: (None, False),
}

_BY_STATUS: Mapping[int, tuple[type[ConnectorError], str]] = {
    403: (FixConfig, _GRANT),
    404: (FixConfig, "Check SALESFORCE_API_VERSION, and that the integration user may see the object."),
    412: (ChangedSince, "The next run looks at it anew."),
    410: (FixConfig, "This API version is retired: set SALESFORCE_API_VERSION to a newer one."),
    414: (UrlTooLong, "The query is too long for a URL: map fewer fields of this object."),
    431: (UrlTooLong, "The query is too long for a URL: map fewer fields of this object."),
}


# ---------------------------------------------------------------------------------------------- rows


class Fate(StrEnum):
    """What the run does with a row that was not saved."""

    AGAIN = "again"  # somebody else holds it for a moment
    SMALLER = "smaller"  # the org's own code ran out of its time: fewer rows at once
    RESOLVE = "resolve"  # converted, merged or gone: look where it went
    STOP = "stop"  # no other row of this run will fare better
    REJECT = "reject"  # until the wanted value changes, or a day later


_ROW_AGAIN = frozenset(
    {"UNABLE_TO_LOCK_ROW", "TooManyLockFailure", "SERVER_UNAVAILABLE", "ALL_OR_NONE_OPERATION_ROLLED_BACK"}
)
_ROW_SMALLER = frozenset({"QUERY_TIMEOUT"})
_ROW_MOVED = frozenset(
    {
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
        "NOT_FOUND",
        "INVALID_ID_FIELD",
    }
)
_ROW_STOPS = frozenset(
    {
        "REQUEST_LIMIT_EXCEEDED",
        "STORAGE_LIMIT_EXCEEDED",
        "TXN_SECURITY_METERING_ERROR",
        "TXN_SECURITY_NO_ACCESS",
        "API_CURRENTLY_DISABLED",
    }
)
# An org's own automation reports what happened inside it under its own code.
_WRAPPERS = frozenset(
    {"CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "UNKNOWN_EXCEPTION"}
)
# What one transaction of the org's own code may use up; fewer rows use less. Triggers run on all rows of a call.
# https://developer.salesforce.com/docs/atlas.en-us.apexcode.meta/apexcode/apex_gov_limits.htm
_USED_UP = ("cpu time limit exceeded", "limitexception", "too many soql queries", "too many dml")
_LOCKED_INSIDE = ("unable_to_lock_row", "unable to obtain exclusive access")

_ROW_STEPS: Mapping[str, str] = {
    "INSUFFICIENT_ACCESS_OR_READONLY": "Give the integration user edit access to this record.",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "Give the integration user access to what it refers to.",
    "INVALID_FIELD": "Grant field-level security on the field, or take it out of the mapping.",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "Grant edit on the field, or take it out of the mapping.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refuses the record as it stands; "
    "correct it there or exempt the integration user.",
    "REQUIRED_FIELD_MISSING": "The record lacks a field that the org requires; fill it in there.",
    "STRING_TOO_LONG": "Make the field longer, or map to another.",
    "NUMBER_OUTSIDE_VALID_RANGE": "Give the number field more digits.",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "Add the value to the picklist and to the record type.",
    "INVALID_TYPE_ON_FIELD_IN_RECORD": "Map to a field of the right type.",
    "INACTIVE_OWNER_OR_USER": "Give the record to a user who is active.",
    "DUPLICATES_DETECTED": "A duplicate rule blocks it; exempt the integration user or merge the records.",
    "DUPLICATE_VALUE": "The field is unique in this org; map to another.",
    "STORAGE_LIMIT_EXCEEDED": "The org's storage is full.",
    "TXN_SECURITY_METERING_ERROR": "A transaction security policy stopped it: exempt the integration user.",
    "TXN_SECURITY_NO_ACCESS": "A transaction security policy stopped it: exempt the integration user.",
    "API_CURRENTLY_DISABLED": 'Give the integration user the permission "API Enabled".',
    "REQUEST_LIMIT_EXCEEDED": "The org's allowance of the last 24 hours is spent; later runs go on.",
    "DUPLICATE_EXTERNAL_ID": "Several records carry this key; correct them there.",
    "MALFORMED_ID": "This is a fault of the connector; please report it.",
    "JSON_PARSER_ERROR": "Map to a field of the right type.",
}


def fate_of(fault: Fault) -> Fate:
    """What to do about one row's error. A code that is not known is never sent again by itself."""
    if fault.code in _ROW_AGAIN:
        return Fate.AGAIN
    if fault.code in _ROW_SMALLER:
        return Fate.SMALLER
    if fault.code in _ROW_MOVED:
        return Fate.RESOLVE
    if fault.code in _ROW_STOPS:
        return Fate.STOP
    inside = fault.message.lower()
    if any(text in inside for text in _USED_UP):
        return Fate.SMALLER
    if fault.code in _WRAPPERS and any(text in inside for text in _LOCKED_INSIDE):
        return Fate.AGAIN
    return Fate.REJECT


def row_step(fault: Fault) -> str:
    """What a human can do about a row's error; empty where its message must do.

    Behind a wrapper's code the one inside counts: a validation rule of another object, say.
    """
    if fault.code in _WRAPPERS:
        inside = next((code for code in _ROW_STEPS if code in fault.message), "")
        told = f" Inside it: {_ROW_STEPS[inside]}" if inside else ""
        return f"The org's own flow or trigger refused it; its administrator can say why.{told}"
    return _ROW_STEPS.get(fault.code, "")


# -------------------------------------------------------------------------------------------- logins

_LOGIN_STEPS: tuple[tuple[str, str], ...] = (
    ("hasn't approved this consumer", "Pre-authorise the user for the app (permission set or profile)."),
    ("audience is invalid", "Set SALESFORCE_JWT_AUDIENCE: https://login.salesforce.com, or "
     "https://test.salesforce.com for a sandbox."),
    ("invalid assertion", "SALESFORCE_PRIVATE_KEY does not belong to the certificate of the app."),
    ("expired access/refresh token", "The refresh token was revoked, rotated by another program or idle too "
     "long: authorise again and set SALESFORCE_REFRESH_TOKEN."),
    ("expired authorization code", "The signed request was too old on arrival: check this machine's clock."),
    ("no client credentials user enabled", "Name a run-as user in the app's client credentials flow."),
    ("request not supported on this domain", "Set SALESFORCE_LOGIN_URL to the My Domain URL of the org."),
    ("client identifier invalid", "Check SALESFORCE_CLIENT_ID, and that SALESFORCE_LOGIN_URL is its org."),
    ("invalid client credentials", "Check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET."),
    ("authentication failure", "Check the credentials, the IP ranges, and that the user is not frozen."),
)  # fmt: skip
_LOGIN_STEP = (
    "Check the SALESFORCE_* credentials and SALESFORCE_LOGIN_URL; then `connector check salesforce`."
)


def classify_login(answer: Answer) -> Verdict:
    """What to do about an answer of the token endpoint. A refusal is final: trying again locks users out."""
    if 200 <= answer.status < 300:
        return Ok()
    if answer.status in _AGAIN and answer.status != 406:
        after, refused = _AGAIN[answer.status]
        error = RetryLater(
            f"The login of Salesforce answered {answer.status} ({_kind(answer)}).",
            next_step="The next run tries again.",
            where=answer.asked,
        )
        return Retry(error, after=after, refused=refused)
    fault = fault_of(answer.json)
    if not fault.code:
        said = f"The login of Salesforce answered {answer.status} ({_kind(answer)})."
        return Fail(FixConfig(said, next_step="Check SALESFORCE_LOGIN_URL.", where=answer.asked))
    low = fault.message.lower()
    step = next((step for text, step in _LOGIN_STEPS if text in low), _LOGIN_STEP)
    return Fail(FixConfig(f"Salesforce refused the login ({fault}).", next_step=step, where=answer.asked))
