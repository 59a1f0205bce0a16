"""`connector token`: who may ask the sidecar; and letting go of a refresh token that the ledger keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from connector.app.access import Role, of_environment, variable
from connector.app.asking import ask_ledger, choice
from connector.app.exits import OK
from connector.app.output import err, out, print_json, when
from connector.app.settings import load_settings
from connector.app.token_text import hash_of, new_token
from connector.app.who import SCHEDULE, actor
from connector.app.wiring import SystemClock, chosen
from connector.core.approval import same_name
from connector.core.durations import parse_duration
from connector.core.override_file import moment_of
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import Token, TokenState

A_YEAR = timedelta(days=366)
LONGEST_NAME = 100
ROLES = tuple(role.word for role in Role)
TAKEN = (SCHEDULE, "connector", "bootstrap", "this host")  # stand for nobody in plans and in the audit trail


def token_create(
    name: str, *, role: str, expires: str, service: bool, beyond_a_year: bool, given: str | None, json: bool
) -> int:
    """Make one and show it, this once: on stdout nothing else, so that it can go where it is kept."""
    at = SystemClock().now()
    name = whole_name(name)
    choice(role, ROLES, "--role")
    until = ends(expires, at, beyond_a_year=beyond_a_year)
    token = new_token()
    made = ask_ledger(
        lambda ledger: ledger.make_token(
            name, role, hash_of(token), actor(given), at, expires_at=until, service=service
        )
    )
    if json:
        print_json({**token_document(made, at), "token": token})
        return OK
    err.print(
        f"Token {made.id}: {made.name} may ask as {made.role} until {when(made.expires_at)} UTC. It is shown this "
        f"once; `connector token revoke {made.id}` ends it.",
        markup=False,
    )
    out.print(token, markup=False)
    return OK


def whole_name(name: str) -> str:
    """A name without what surrounds it. FixConfig for one that does not name one person or program."""
    name = " ".join(name.split())
    wrong = ""
    if not name:
        wrong = "A token belongs to a person or a program that has a name."
    elif len(name) > LONGEST_NAME or not name.isprintable() or ":" in name:
        wrong = f"A name has at most {LONGEST_NAME} characters that can be printed, and no colon."
    elif name.isdecimal():
        wrong = "A name that is a number would be taken for a token's number."
    elif any(same_name(name, each) or name.casefold().startswith(f"{each} ") for each in TAKEN):
        wrong = f"`{name}` stands for nobody in person already."
    if wrong:
        raise FixConfig(
            wrong, next_step="Name whom it is for, as others know them: `Grace`, `grace@example.com`, `web-shop`.",
            where="NAME",
        )  # fmt: skip
    return name


def ends(expires: str, at: datetime, *, beyond_a_year: bool) -> datetime:
    """When a token made at `at` expires, of a duration or a day. FixConfig for neither, and for more than a year."""
    try:
        until = at + parse_duration(expires)
    except ValueError:
        try:
            until = moment_of(expires, at)
        except ValueError as error:
            raise FixConfig(
                f"--expires: {error}.",
                next_step="Write `90d`, or a day to come as `2027-02-22`.",
                where="--expires",
            ) from error
    if until - at > A_YEAR and not beyond_a_year:
        raise FixConfig(
            "A token lives for a year at most, so that one which nobody thinks of any more ends by itself.",
            next_step="Give it less time, or say `--beyond-a-year`.",
            where="--expires",
        )
    return until


def token_list(*, json: bool) -> int:
    """Those of the ledger, the newest first, and those of the environment."""
    at = SystemClock().now()
    bootstrap = {role: variable(role) for role in of_environment(load_settings())}
    tokens = ask_ledger(lambda ledger: ledger.tokens())
    if json:
        print_json(
            {
                "tokens": [token_document(each, at) for each in tokens],
                "bootstrap": [{"variable": name, "role": role.word} for role, name in bootstrap.items()],
            }
        )
        return OK
    from rich.table import Table
    from rich.text import Text

    table = Table("number", "name", "of a", "role", "state", "made (UTC)", "by", "expires (UTC)", "last used")
    for each in tokens:
        revoked = f" by {each.revoked_by}, {when(each.revoked_at)}" if each.revoked_at else ""
        cells = (
            str(each.id), each.name, "program" if each.service else "person", each.role, each.state(at) + revoked,
            when(each.made_at), each.made_by, when(each.expires_at), str(each.last_used or "never"),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    out.print(
        table if tokens else "No token was made yet: `connector token create NAME --role ROLE` makes one."
    )
    for role, name in bootstrap.items():
        out.print(
            f"{name}: a token of the environment, {role.word}. Nobody's own: it is never the second person."
        )
    return OK


def token_revoke(whose: str, *, given: str | None, json: bool) -> int:
    """End the live token of this name or number."""
    at = SystemClock().now()

    async def question(ledger: SqlLedger) -> Token:
        return await ledger.revoke_token(_number(await ledger.tokens(), whose, at), actor(given), at)

    gone = ask_ledger(question)
    if json:
        print_json(token_document(gone, at))
    else:
        out.print(f"Token {gone.id} of {gone.name} ({gone.role}) opens nothing any more.", markup=False)
    return OK


def _number(known: Sequence[Token], whose: str, at: datetime) -> int:
    """Of the token of this number, or of the live one of this name. FixConfig where there is none."""
    for each in known:
        if whose == str(each.id) or (same_name(each.name, whose) and each.state(at) is TokenState.LIVE):
            return each.id
    ended = any(same_name(each.name, whose) for each in known)
    raise FixConfig(
        f"{whose} has no live token{', only ones that have ended' if ended else ''}.",
        next_step="`connector token list` shows them.",
        where="NAME|ID",
    )


def token_document(token: Token, at: datetime) -> dict[str, Any]:
    """A token's entry as JSON, without anything that opens anything."""
    return {
        "id": token.id, "name": token.name, "role": token.role, "service": token.service, "state": token.state(at),
        "made_at": token.made_at, "made_by": token.made_by, "expires_at": token.expires_at,
        "revoked_at": token.revoked_at, "revoked_by": token.revoked_by or None, "last_used": token.last_used,
    }  # fmt: skip


def token_forget(crm: str, *, json: bool) -> int:
    """From now on the refresh token of the settings is used. Harmless where none was kept."""
    plugin = chosen([crm])[0]

    async def question(ledger: SqlLedger) -> bool:
        kept = bool(await ledger.load_sealed(plugin.crm))
        if kept:
            await ledger.save_sealed(plugin.crm, "", SystemClock().now())
        return kept

    kept = ask_ledger(question)
    if json:
        print_json({"crm": plugin.crm, "forgotten": kept})
    else:
        what = "is forgotten; the one in the settings is used next" if kept else "was not kept"
        out.print(f"The refresh token of {plugin.title} {what}.")
    return OK
