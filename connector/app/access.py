"""Who asks over HTTP, and from where. Decides; the answers are made in `api.guard`.

Without an admin token there is nobody to tell apart, so only this host may ask, and it may do everything: bound to
loopback, from loopback, under a loopback name (a page that rebinds its own name to 127.0.0.1 shows that name in
`Host`), not passed on by a proxy (whoever is behind it is somebody else), and not from a page of another origin (a
browser on this host sends what any page tells it to).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from urllib.parse import urlsplit

from connector.app.settings import Settings
from connector.app.token_lookup import NamedTokens, RefusedError
from connector.core.approval import Proof
from connector.errors import FixConfig
from connector.transport import is_loopback

FORWARDED = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
    }
)
FORWARDED_PREFIXES = ("x-forwarded", "x-original-", "x-envoy-external-")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing


class Role(IntEnum):
    """What a caller may do; each may do what the ones before it may."""

    VIEWER = 1  # reads
    OPERATOR = 2  # runs, plans, backfills, undo, the brake, human decisions
    ADMIN = 3  # the definition, privacy

    @property
    def word(self) -> str:
        """As it is written: `viewer`, `operator`, `admin`."""
        return self.name.lower()


SERVICE = "service:"  # before the name of a program: no person's name has a colon


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name`: as plans and the audit trail keep it, a program's behind `service:`. `bootstrap`: a shared
    token of the environment, or this host where there is none; nobody in person, so never the second person of an
    approval. `expires_at`: of their token, where it does."""

    name: str
    role: Role
    bootstrap: bool
    service: bool = False
    expires_at: datetime | None = None

    @property
    def proof(self) -> Proof:
        """How their name is known."""
        if self.bootstrap:
            return Proof.BOOTSTRAP
        return Proof.SERVICE if self.service else Proof.PROVEN


LOCAL = Caller("this host", Role.ADMIN, bootstrap=True)  # without an admin token


class Access:
    """The tokens that open the port, and the rules of a port without any."""

    def __init__(self, bind: str = "127.0.0.1:8080", bootstrap: Mapping[Role, str] | None = None) -> None:
        self.bound_to_loopback = is_loopback(_host(bind))
        self.named: NamedTokens | None = None  # once there is a ledger
        self._bootstrap = dict(bootstrap or {})

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """By the environment. FixConfig where two roles have one token: nobody could tell them apart."""
        tokens = of_environment(settings)
        _different(tokens)
        return cls(settings.bind, tokens)

    def renew(self, settings: Settings) -> list[Role]:
        """Tokens of the environment that are others by now take the place of those known; the roles of these. One that
        is gone stays until a restart: that a port asks for tokens no more must not come of a file that is missing."""
        now = {**self._bootstrap, **of_environment(settings)}
        _different(now)
        changed = [role for role, token in now.items() if self._bootstrap.get(role) != token]
        self._bootstrap = now
        return changed

    async def has_admin(self) -> bool:
        """Whether there is a token of an admin, or ever was one in the ledger: then every caller but those of health
        and metrics needs one."""
        if Role.ADMIN in self._bootstrap:
            return True
        return self.named is not None and await self.named.ever_had(Role.ADMIN.word)

    async def caller(self, token: str) -> Caller:
        """Whose token this is. Raises RefusedError."""
        found = None
        for role, known in self._bootstrap.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(known.encode(), token.encode()):
                found = Caller(f"bootstrap {role.word}", role, bootstrap=True)
        if found is not None:
            return found
        if self.named is None:
            raise RefusedError("This token is not known here.")
        kept = await self.named.token(token)
        name = f"{SERVICE}{kept.name}" if kept.service else kept.name
        return Caller(name, Role[kept.role.upper()], False, service=kept.service, expires_at=kept.expires_at)

    def refused_from(
        self,
        *,
        peer: str | None,
        hosts: Sequence[str],
        headers: Iterable[str],
        origin: str | None,
        fetch_site: str | None,
        method: str,
    ) -> str | None:
        """Why a request to a port without an admin token is refused; None: it comes from this host."""
        if not self.bound_to_loopback:
            return "the port is open to other hosts"
        if peer is None or not is_loopback(peer):
            return "it comes from another host"
        if len(hosts) != 1 or not is_loopback(_host(hosts[0])):
            return "its Host is not this host's own name"
        if told := next((each for each in headers if _forwards(each)), None):
            return f"it was passed on by a proxy ({told})"
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].strip().lower():
            return "it comes from a page of another origin"
        if method not in SAFE and fetch_site not in (None, "same-origin", "none"):
            return "it comes from a page of another origin"
        return None


def of_environment(settings: Settings) -> dict[Role, str]:
    """The bootstrap tokens that are set, by role."""
    named = {
        Role.ADMIN: settings.admin_token,
        Role.OPERATOR: settings.operator_token,
        Role.VIEWER: settings.viewer_token,
    }
    return {role: token.get_secret_value() for role, token in named.items() if token is not None}


def _different(tokens: Mapping[Role, str]) -> None:
    if len(set(tokens.values())) < len(tokens):
        names = ", ".join(map(variable, tokens))
        raise FixConfig(
            "Two roles have the same token.", next_step=f"Give each of {names} its own.", where=names
        )


def variable(role: Role) -> str:
    """In which the bootstrap token of a role stands."""
    return f"CONNECTOR_{role.name}_TOKEN"


def _forwards(header: str) -> bool:
    return header in FORWARDED or header.startswith(FORWARDED_PREFIXES)


def _host(told: str) -> str:
    """Of `host`, `host:port`, `[address]` or `[address]:port`."""
    told = told.strip()
    if told.startswith("["):
        return told[1:].partition("]")[0]
    name, colon, port = told.rpartition(":")
    return name if colon and port.isdigit() else told
