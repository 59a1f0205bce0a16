"""The places where people are told something: read from CONNECTOR_NOTIFY_URLS, reached through Apprise.

A target's URL is a secret: it is known here alone. Everything else knows its name, such as `sales/slack`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from connector.core.notify import OWNERS
from connector.errors import FixConfig, Problem
from connector.transport import is_loopback, remember_secrets

VARIABLE = "CONNECTOR_NOTIFY_URLS"
SECONDS = 60.0  # for one message; Apprise's own time-outs are shorter
_ENTRY = re.compile(r"(?:(?P<tags>[a-z][a-z0-9_,-]*)=)?(?P<url>[A-Za-z][A-Za-z0-9+.-]*://\S+)")
_LONG_ENOUGH = 8  # characters of a part of a URL that may be a secret by itself


@dataclass(frozen=True, slots=True)
class Target:
    """One place. Without tags it is told whatever any tag is told. `url` is a secret and in no repr."""

    name: str
    tags: frozenset[str]
    url: str = field(repr=False)

    def takes(self, tag: str) -> bool:
        """Whether what goes to this tag goes here."""
        return tag in self.tags or (not self.tags and tag != OWNERS)


def read_targets(text: str) -> tuple[Target, ...]:
    """The targets in the variable's value: `sales=slack://... ops,revops=mailto://...`, between them blanks or line
    ends. Raises FixConfig that names the place of each wrong one, never its URL."""
    found: list[Target] = []
    problems: list[Problem] = []
    entries = [
        each for line in text.splitlines() if not line.lstrip().startswith("#") for each in line.split()
    ]
    remember_secrets(_secrets_of(entries))
    for place, entry in enumerate(entries, 1):
        match = _ENTRY.fullmatch(entry)
        why = "is no URL with tags before it, as in `sales=slack://...`" if match is None else ""
        if match is not None:
            why = _why_not(match["url"])
            if OWNERS in (match["tags"] or "").split(",") and not _is_mail(match["url"]):
                why = "is tagged `owners`, and only e-mail reaches people under their own address"
        if match is None or why:
            problems.append(Problem((VARIABLE, place - 1), f"Target {place} {why}."))
            continue
        tags = frozenset(each for each in (match["tags"] or "").split(",") if each)
        schema = match["url"].partition(":")[0].lower()
        name = f"{','.join(sorted(tags)) or 'all'}/{schema}"
        same = sum(each.name == name or each.name.startswith(f"{name}#") for each in found)
        found.append(Target(f"{name}#{same + 1}" if same else name, tags, match["url"]))
    if problems:
        raise FixConfig(
            f"{len(problems)} of the targets of notifications cannot be used.",
            next_step="See docs/how-to/notifications.md; an address for each service: https://appriseit.com.",
            where=VARIABLE,
            problems=problems,
        )
    return tuple(found)


def _secrets_of(entries: Sequence[str]) -> list[str]:
    """The URLs, and each part of one that may be a token or a password by itself."""
    found: list[str] = []
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        url = match["url"] if match else entry
        found.append(url)
        parts = urlsplit(url)
        pieces = [
            parts.password or "",
            parts.username or "",
            *parts.path.split("/"),
            *re.split("[&=]", parts.query),
        ]
        pieces += [parts.netloc] if "." not in parts.netloc else []  # slack://TOKEN/...
        found += [each for piece in pieces for each in (piece, unquote(piece)) if len(each) >= _LONG_ENOUGH]
    return found


def _why_not(url: str) -> str:
    made = _instance(url)
    if made is None:
        return "is nothing that Apprise can reach: the service is unknown to it, or a part of its address is missing"
    plain = getattr(made, "protocol", None)
    schemas = {plain} if isinstance(plain, str) else set(plain or ())
    host = str(getattr(made, "host", "") or "")
    if (
        not made.secure
        and getattr(made, "secure_protocol", None)
        and url.partition(":")[0].lower() in schemas
        and not is_loopback(host)
    ):
        return "is not encrypted: use the address that ends in s (jsons://, mailtos://), or a loopback host"
    return ""


def _instance(url: str, to: str = "") -> Any:
    """Apprise's own object for a URL; `to`: for this address instead of the URL's. None where it has none."""
    import apprise  # a fifth of a second that only whoever tells something spends

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would tell of each try; we tell once
    asset = apprise.AppriseAsset(app_id="Connector", app_desc="Connector", app_url="", storage_mode="memory")
    made = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if made is None or not to:
        return made
    parts: dict[str, Any] = {**(type(made).parse_url(url) or {}), "targets": [to]}
    return apprise.Apprise.instantiate(parts, asset=asset, suppress_exceptions=True)


def _is_mail(url: str) -> bool:
    return url.partition(":")[0].lower() in ("mailto", "mailtos")


async def send(target: Target, title: str, body: str, *, to: str = "") -> bool:
    """Tell it there, as plain text. False where it was refused or out of reach; then nobody knows more."""
    import apprise

    def go() -> bool:
        made = _instance(target.url, to)
        return made is not None and bool(
            made.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT)
        )

    try:
        return await asyncio.wait_for(asyncio.to_thread(go), SECONDS)
    except TimeoutError:
        return False
    except Exception:  # whatever a service's plugin stumbles over is that service's failure
        return False


def by_name(targets: Sequence[Target]) -> Mapping[str, Target]:
    """The targets by their names."""
    return {each.name: each for each in targets}
