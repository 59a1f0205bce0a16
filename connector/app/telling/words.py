"""The words of a message: title, body, and the name of whom it is about. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping

from connector.core.handoff import Users
from connector.core.model import Value
from connector.core.notify import PERSONAL, TITLES, Notify
from connector.insight.sla import name_of_owner
from connector.ports import Notice

LONGEST = 80  # characters of a name
_MARKS = str.maketrans(dict.fromkeys("<>@`*_~|[]{}\\", " "))
"""What chat programs read as a mention, a link or a format: a name that somebody typed into a form must do nothing."""


def plain(text: object) -> str:
    """What somebody else typed, in one harmless line."""
    line = "".join(char if char.isprintable() else " " for char in str(text)).translate(_MARKS)
    return " ".join(line.replace("://", " ").split())[:LONGEST]


def name_of(fields: Mapping[str, Value]) -> str:
    """How a person is called, with the company; no address."""
    name = " ".join(plain(fields[part]) for part in ("first_name", "last_name") if fields.get(part)).strip()
    company = plain(fields["company_name"]) if fields.get("company_name") else ""
    if name and company:
        return f"{name} ({company})"
    return name or company or "Somebody without a name"


def message(
    number: int,
    notice: Notice,
    fields: Mapping[str, Value] | None,
    notify: Notify,
    users: Users,
    owner: str,
    address: str = "",
) -> tuple[str, str]:
    """Title and body. `fields`: of whom it is about; `owner`: to whom that person was handed; `address`: of the
    connector, for a link. The number at its end lets a receiver tell a message that came twice."""
    title = TITLES.get(notice.kind, "Connector")
    lines = [notice.text]
    if notice.person is not None and fields is not None:
        name = name_of(fields)
        title = f"{title}: {name}"
        if notify.email and fields.get("email"):
            name = f"{name}, {fields['email']}"
        lines = [name, notice.text]
        if notice.kind in PERSONAL and owner:
            lines.append(f"Handed to: {name_of_owner(owner, users)}")
    if address:
        lines.append(f"{address}/people/{notice.person}" if notice.person is not None else f"{address}/")
    return title, "\n".join([*lines, f"#{number}"])
