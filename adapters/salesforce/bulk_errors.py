"""What refusals of Bulk API 2.0 mean: ask by REST instead, now or always; ask for less; make the job anew.

Most carry no code of their own, so that texts decide. Limits:
https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/
"""

from __future__ import annotations

from connector.errors import RetryLater, StopRun


class NoBulk(RetryLater):
    """Bulk API does not do this now; REST does. `lasting`: it never will for this object and user."""

    lasting = False


class NoBulkEver(NoBulk):
    """Bulk API does not serve this object, or not for this user."""

    lasting = True


class JobGone(StopRun):
    """A stored job can be used no more: deleted, older than a week, or of another API version. Make another."""


_NEVER = (
    "not supported by the bulk api",
    "invalidentity",
    "compound data not supported",
    "implementation restriction",
    "featurenotenabled",
    "async api not enabled",
)
_SPENT = ("limit_exceeded", "max bulk v2", "exceeded the limit", "limit exceeded")
_TOO_SLOW = ("query_timeout", "query processing time limit", "retried more than", "too many retries")
_NO_FIELD = ("invalid_field", "no such column", "didn't understand relationship")


def refusal(said: str, *, where: str = "") -> NoBulk | None:
    """The fall-back that a refusal's text asks for, whichever code it came under; None where it asks for none."""
    low = said.lower()
    if any(text in low for text in _NEVER):
        return NoBulkEver(said, next_step="The object is read by REST.", where=where)
    if any(text in low for text in _SPENT) and "request_limit_exceeded" not in low:
        return NoBulk(said, next_step="The org's bulk allowance is spent; REST is used.", where=where)
    return None


def is_too_slow(said: str) -> bool:
    """Whether a job failed because it asked for too much at once."""
    return any(text in said.lower() for text in _TOO_SLOW)


def is_hidden_field(said: str) -> bool:
    """Whether a job failed for a field that this user does not see."""
    return any(text in said.lower() for text in _NO_FIELD)
