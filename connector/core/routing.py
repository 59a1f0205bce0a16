"""To which targets a notice goes, by its route, the tags of the targets and the addresses that CRMs have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.handoff import Users
from connector.core.notify import ADDRESSED, FOLDED, OWNERS, REVOPS, Notify

TO_TARGET = "target:"
"""How a notice is addressed that is for one target alone: `target:NAME`, or `target:NAME ADDRESS`."""


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One target, and the address where it takes one."""

    target: str
    address: str = ""


def ways(kind: str, to: str, notify: Notify, tags: Mapping[str, frozenset[str]], users: Users) -> list[Way]:
    """All ways of a notice, in order. `tags`: of each target by its name; one without tags takes every tag.

    Whom it concerns is reached at the address that the CRM has, through the targets tagged `owners`. Where the route
    leads nowhere, `revops` is told; a route that is empty tells nobody.
    """
    if kind == FOLDED or to.startswith(TO_TARGET):
        name, _, address = to.removeprefix(TO_TARGET).partition(" ")
        return [Way(name, address)] if name in tags else []
    route = notify.of(kind)
    if not route:
        return []
    found: set[Way] = set()
    for word in route:
        if word in ADDRESSED:
            address = address_of(to, users)
            found |= {Way(name, address) for name in tags if OWNERS in tags[name] and address}
        else:
            found |= _tagged(word, tags)
    return sorted(found or _tagged(REVOPS, tags))


def address_of(to: str, users: Users) -> str:
    """Where whom a notice is for can be reached; empty: nowhere (nobody, a role, somebody who has left)."""
    if "@" in to:
        return to
    user = users.get(to)
    return user.email if user is not None and user.active else ""


def _tagged(tag: str, tags: Mapping[str, frozenset[str]]) -> set[Way]:
    return {Way(name) for name, has in tags.items() if tag in has or not has}
