"""What a CRM's folder brings, and what it is given: the time, a place for tokens. Found by scanning, never named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from connector.core.hints import Hint
from connector.core.mapping import CrmMapping
from connector.core.model import (
    JsonValue,
)
from connector.core.targets import TargetField
from connector.ports.crm import Adapter


class Clock(Protocol):
    """The time, passed in so that tests and sandboxes can move it."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Wait this long by this clock."""
        ...


class TokenStore(Protocol):
    """Keeps the one secret that may rest in the ledger: a rotated refresh token, sealed."""

    async def load(self, crm: str) -> str | None: ...

    async def save(self, crm: str, token: str) -> None:
        """Durable once it returns: the old token may be dead already."""
        ...

    def alone(self, crm: str) -> AbstractAsyncContextManager[None]:
        """One refresher at a time among all processes that share this store; waits for its turn."""
        ...


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable an adapter reads. Each also works as NAME_FILE, a path to a mounted secret."""

    name: str
    what: str
    default: str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that set-up makes. `state`: there, missing (a dry run), made, differs (stop), by_hand.

    `detail` says what differs, or the exact clicks where only a human can do it.
    """

    what: str  # `contact property mql_score`, `read access of Sales to Lead.MQL_Score__c` ...
    state: str
    detail: str = ""


class CrmAdmin(Protocol):
    """Sets a CRM up, with a credential of its own where one is given. Never changes or deletes what it finds."""

    async def steps(self, targets: Sequence[TargetField], *, make: bool) -> Sequence[Step]:
        """Everything the targets need in order to be written to and seen: groups, fields, options, grants.

        `make=False` only looks. Twice is harmless; options are added to what is there, never replaced; a field of
        another type is `differs`, and then nothing at all is made. Raises FixConfig when the credential may not.
        """
        ...

    async def close(self) -> None:
        """Give connections back; forget the credential."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """What one feature needs, for whoever grants it: the vendor's rights, fields, and what stops without."""

    feature: str
    rights: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    without: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A behaviour that documents leave open. `default` is the safe one until a probe answers."""

    name: str
    what: str
    default: JsonValue


@dataclass(frozen=True, slots=True)
class HookCall:
    """A call of a CRM's webhook, as it came. `uri`: the whole address as the CRM called it; header names are small."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What a call says, by the account that it is about; `refused`: why it is not believed at all."""

    hints: tuple[tuple[str, Hint], ...] = ()
    unreadable: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a folder under `adapters/` exports as `PLUGIN`; found by scanning, never named by the core.

    `connected` tells from the resolved variables whether credentials are there; `connect` raises FixConfig where they
    do not make sense. `build_sandbox` imports its own server lazily (see connector/sandbox). `admin` connects set-up,
    by `admin_variables` where they are set (used once, never stored), else by `variables`. `as_source` gives the
    fields as files for orgs that forbid set-up by API: relative path -> text. `access` says what a mapping needs.
    `hook` reads a call of the CRM's webhook by the resolved variables; None: the CRM calls nobody.
    """

    crm: str
    title: str
    variables: tuple[Variable, ...]
    connected: Callable[[Mapping[str, str]], bool]
    connect: Callable[[Mapping[str, str], Clock, TokenStore | None], Adapter]
    build_sandbox: Callable[..., object]
    admin: Callable[[Mapping[str, str], Clock], CrmAdmin]
    admin_variables: tuple[Variable, ...]
    as_source: Callable[[Sequence[TargetField]], Mapping[str, str]]
    access: Callable[[CrmMapping], Sequence[Access]]
    switches: tuple[Switch, ...] = ()
    reject_reason: str = ""  # the field that set-up makes for sales' reasons, where the mapping names none
    hook: Callable[[Mapping[str, str], HookCall], Heard] | None = None
