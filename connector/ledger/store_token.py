"""Tokens of people and programs: made, found by their hash, revoked. Sees no token, only its SHA-256."""

from __future__ import annotations

import hmac
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, text, update

from connector.core.approval import same_name
from connector.errors import FixConfig, StopRun
from connector.ledger.store_admin import audit
from connector.ledger.tables_access import TOKEN
from connector.ports import Token, TokenState


def make(
    db: Connection,
    name: str,
    role: str,
    hash: str,
    by: str,
    at: datetime,
    expires_at: datetime,
    service: bool,
) -> Token:
    """See `connector.ports.Ledger.make_token`."""
    if db.dialect.name == "postgresql":  # two of one name, made at the same moment, would not see each other
        db.execute(text("LOCK TABLE token IN SHARE ROW EXCLUSIVE MODE"))
    for each in tokens(db):
        if same_name(each.name, name) and each.state(at) is TokenState.LIVE:
            raise FixConfig(
                f"{each.name} has a live token already (number {each.id}, {each.role}).",
                next_step=f"Revoke it first (`connector token revoke {each.id}`), or name the other person or program "
                "apart.",
            )
    values = {
        "name": name, "role": role, "service": service, "hash": hash, "made_at": at, "made_by": by,
        "expires_at": expires_at, "revoked_by": "",
    }  # fmt: skip
    row = db.execute(insert(TOKEN).values(**values).returning(*TOKEN.c)).one()
    detail = {"name": name, "role": role, "service": service, "expires_at": expires_at.isoformat()}
    audit(db, at, by, "create token", f"token:{row.id}", detail)
    return _token(row)


def tokens(db: Connection) -> list[Token]:
    """All that were ever made, the newest first."""
    return [_token(row) for row in db.execute(select(TOKEN).order_by(TOKEN.c.id.desc()))]


def of(db: Connection, hash: str) -> Token | None:
    """See `connector.ports.Ledger.token_of`."""
    row = db.execute(select(TOKEN).where(TOKEN.c.hash == hash)).first()
    # The index has compared already; this says that nothing but the whole hash counts, however a database collates.
    return _token(row) if row is not None and hmac.compare_digest(row.hash, hash) else None


def revoke(db: Connection, number: int, by: str, at: datetime) -> Token:
    """See `connector.ports.Ledger.revoke_token`."""
    done = db.execute(
        update(TOKEN)
        .where(TOKEN.c.id == number, TOKEN.c.revoked_at.is_(None))
        .values(revoked_at=at, revoked_by=by)
        .returning(*TOKEN.c)
    ).first()
    if done is None:
        known = db.execute(select(TOKEN.c.id).where(TOKEN.c.id == number)).first()
        raise StopRun(
            f"Token {number} is revoked already." if known else f"There is no token {number}.",
            next_step="`connector token list` shows them.",
        )
    audit(db, at, by, "revoke token", f"token:{number}", {"name": done.name, "role": done.role})
    return _token(done)


def used(db: Connection, number: int, day: date) -> None:
    """See `connector.ports.Ledger.used_token`."""
    earlier = or_(TOKEN.c.last_used.is_(None), TOKEN.c.last_used < day)
    db.execute(update(TOKEN).where(TOKEN.c.id == number, earlier).values(last_used=day))


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id, row.name, row.role, row.service, row.made_at, row.made_by, row.expires_at, row.revoked_at,
        row.revoked_by, row.last_used,
    )  # fmt: skip
