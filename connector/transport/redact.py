"""What must never be read in a log line or an error: secrets and addresses of people. Changes text, sends
nothing.

Two nets: values that were named secret at start (`remember_secrets`), and shapes that give tokens away by
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SHORTEST_SECRET = 6  # anything shorter would blank out ordinary words

MOST_PASSING = 500  # spellings of secrets that are handed out anew every while: a day of them, and more

_known: set[str] = set()
_passing: dict[str, None] = {}  # the oldest first
_in_order: list[str] = []  # all of them, the longest first: one may be a part of another

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        (r"\bpat-[a-z]{2,3}\d*-[0-9A-Za-z-]{8,}", HIDDEN),
        (r"\b00D[0-9A-Za-z]{9,15}(?:!|%21)[0-9A-Za-z._/%=+-]+", HIDDEN),  # Salesforce session id
        (r"mqlc_[0-9A-Za-z_-]{20,}", HIDDEN),  # our own (`connector token create`)
        (r"\b5Aep[0-9A-Za-z._-]{12,}", HIDDEN),  # Salesforce refresh token
        (r"\beyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*)?", HIDDEN),  # JSON Web Token
        (r"(?i)\b(Bearer|Basic|OAuth)\s+[0-9A-Za-z._~+/!=-]{6,}", rf"\1 {HIDDEN}"),
        (
            r"(?i)([\"']?\b(?:access_token|refresh_token|client_secret|id_token|assertion|password|hapikey|api_?key"
            r"|authorization|private_key)[\"']?\s*[=:]\s*[\"']?)(?!\[hidden\])(?!(?:Bearer|Basic|OAuth)\s)[^\s&\"',;}]+",
            rf"\1{HIDDEN}",
        ),
        (r"(?i)(://[^/\s:@]+:)[^/\s@]+@", rf"\1{HIDDEN}@"),  # user:password@host
    )
)
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")


def remember_secrets(values: Iterable[str | None], *, passing: bool = False) -> None:
    """Hide these values wherever they turn up from now on, also URL-encoded. `passing`: they are good for a while, as
    a session is; of those the newest are remembered, so that a process of many months does not know ever more."""
    secrets = {value.strip() for value in values if value}
    spelt = {
        spelling
        for secret in secrets
        if len(secret) >= SHORTEST_SECRET
        for spelling in (secret, quote(secret, safe=""), quote_plus(secret))
    }
    if passing:
        for spelling in spelt - _known:
            _passing.pop(spelling, None)
            _passing[spelling] = None
        for oldest in list(_passing)[:-MOST_PASSING]:
            del _passing[oldest]
    else:
        _known.update(spelt)
    _in_order[:] = sorted({*_known, *_passing}, key=len, reverse=True)


def redact(text: str) -> str:
    """The text without secrets."""
    for secret in _in_order:
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return text


def scrub(text: str) -> str:
    """The text without secrets and without e-mail addresses."""
    return _ADDRESS.sub("[email]", redact(text))


def redact_processor(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: every text of the event, however deep, without secrets and addresses."""
    for key, value in list(event.items()):
        event[key] = _clean(key, value)
    return event


_SECRET_NAMES = re.compile(r"(?i)token$|secret|password|authorization|private_key|api_?key|assertion")


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return HIDDEN if value and _SECRET_NAMES.search(name) else scrub(value)
    if isinstance(value, bytes):
        return _clean(name, value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {key: _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(name, inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, BaseException):
        return scrub(f"{type(value).__name__}: {value}")
    return value
