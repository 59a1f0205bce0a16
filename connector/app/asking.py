"""One question to the ledger, for commands that only look. Opens it, asks, closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from connector.app.erasure_key import key_box
from connector.app.settings import load_settings
from connector.core.names import nearest
from connector.errors import FixConfig
from connector.ledger import SqlLedger, open_ledger
from connector.ports import PersonView

T = TypeVar("T")


def ask_ledger(question: Callable[[SqlLedger], Awaitable[T]]) -> T:
    """What the ledger answers. Raises FixConfig where there is none to open."""

    async def go() -> T:
        settings = load_settings()
        ledger = open_ledger(settings.database_url)
        ledger.box = key_box(settings)
        try:
            return await question(ledger)
        finally:
            await ledger.close()

    return asyncio.run(go())


async def one_person(ledger: SqlLedger, who: str) -> PersonView:
    """The one person of this address or record id. FixConfig where nobody, or more than one, has it."""
    found = await ledger.find(who)
    if not found:
        raise FixConfig(
            "Nobody in the ledger has this address or record id.",
            next_step="Run `connector sync` first, or check the spelling.",
        )
    if len(found) > 1:
        choices = ", ".join(f"person:{number}" for number in found)
        raise FixConfig(f"{len(found)} people match.", next_step=f"Ask for one of {choices}.")
    person = await ledger.person(found[0])
    if person is None:
        raise FixConfig("This person has not been decided yet.", next_step="Run `connector sync` first.")
    return person


NO_AUDIENCE = "none"  # how those who are in no audience are asked for


async def asked_audience(ledger: SqlLedger, name: str) -> str:
    """The audience as the ledger calls it. FixConfig where nobody is in one of this name."""
    known = await ledger.audience_sizes()
    if name in known:
        return name
    if name == NO_AUDIENCE:
        return ""
    named = sorted(filter(None, known))
    hint = nearest(name, named)
    raise FixConfig(
        f"Nobody is in an audience `{name}`.",
        next_step=f"Did you mean `{hint}`?" if hint else f"Known: {', '.join([*named, NO_AUDIENCE])}.",
        where="--audience",
    )


def choice(value: str, known: tuple[str, ...], option: str) -> None:
    """FixConfig for a value that an option does not know."""
    if value not in known:
        hint = nearest(value, known)
        raise FixConfig(
            f"`{value}` is nothing that {option} knows.",
            next_step=f"Did you mean `{hint}`?" if hint else f"Known: {', '.join(known)}.",
            where=option,
        )
