"""The only room that speaks HTTP to a CRM: rate limits, retries, refreshed credentials, redaction.

Decides when to wait and when to give up; does not know any vendor (an adapter hands in its own table).
"""

from connector.transport.client import (
    Answer,
    Auth,
    Fail,
    NoAuth,
    Ok,
    Refresh,
    Retry,
    Transport,
    Verdict,
    leaving,
)
from connector.transport.limiter import Limiter
from connector.transport.redact import redact, redact_processor, remember_secrets, scrub
from connector.transport.urls import checked_url, is_loopback
from connector.transport.watch import Told, watch_calls

__all__ = [
    "Answer",
    "Auth",
    "Fail",
    "Limiter",
    "NoAuth",
    "Ok",
    "Refresh",
    "Retry",
    "Told",
    "Transport",
    "Verdict",
    "checked_url",
    "is_loopback",
    "leaving",
    "redact",
    "redact_processor",
    "remember_secrets",
    "scrub",
    "watch_calls",
]
