"""Which addresses we may send credentials to: https, or plain http on the loopback interface only."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from connector.errors import FixConfig


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine. Names are not looked up."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def checked_url(name: str, value: str) -> str:
    """The base URL in the variable `name`, without a trailing slash. Raises FixConfig where it is not
    usable.
    """
    text = value.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused(name, "is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(name, "is not a URL that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise _refused(name, "carries a user name or password")
    if parts.query or parts.fragment:
        raise _refused(name, "carries a query or a fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise _refused(name, f"would send credentials to {host} without encryption")
    return text.rstrip("/")


def _refused(name: str, why: str) -> FixConfig:
    return FixConfig(
        f"{name} {why}.",
        next_step=f"Set {name} to an https:// address (http:// is accepted on loopback only).",
    )
