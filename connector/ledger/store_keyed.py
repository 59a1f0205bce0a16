"""Keys of writes over the API: begun, marked by the first thing that is kept, answered, forgotten."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from connector.errors import LeaseBusy
from connector.ledger import codec
from connector.ledger.tables import LEASE
from connector.ledger.tables_keyed import IDEMPOTENCY_KEY as K
from connector.ports import KEY_LIFE, KeptAnswer, KeptKey, key_lease


def begin(
    db: Connection, caller: str, key: str, fingerprint: str, attempt: str, at: datetime
) -> KeptKey | None:
    """See `Keyed.begin_key`."""
    mine = (K.c.caller == caller, K.c.key == key)
    row = db.execute(select(K).where(*mine).with_for_update()).first()
    if row is not None and row.begun_at > at - KEY_LIFE:
        found = KeptKey(row.fingerprint, row.begun_at, row.acted, None)
        if row.status is not None:
            answer = KeptAnswer(row.status, codec.loads(row.headers), row.body)
            return KeptKey(row.fingerprint, row.begun_at, row.acted, answer)
        if row.acted or row.fingerprint != fingerprint:
            return found
    if row is not None:
        db.execute(delete(K).where(*mine))
    values = {"fingerprint": fingerprint, "begun_at": at, "attempt": attempt, "acted": False}
    db.execute(insert(K).values(caller=caller, key=key, **values, status=None, headers="{}", body=""))
    return None


def act(db: Connection, caller: str, key: str, attempt: str) -> None:
    """Before each thing that this attempt keeps, in its transaction. LeaseBusy where another has taken it over: then
    nothing of this one counts any more."""
    mine = (K.c.caller == caller, K.c.key == key, K.c.attempt == attempt, K.c.status.is_(None))
    if not db.execute(update(K).where(*mine).values(acted=True)).rowcount:
        raise LeaseBusy(
            "Another request under this Idempotency-Key has taken this over.",
            next_step="Nothing more comes of this one; ask again under the same key for its answer.",
            where="Idempotency-Key",
        )


def answer(db: Connection, caller: str, key: str, attempt: str, answer: KeptAnswer) -> None:
    """See `Keyed.answer_key`."""
    values = {"status": answer.status, "headers": codec.dumps(dict(answer.headers)), "body": answer.body}
    mine = (K.c.caller == caller, K.c.key == key, K.c.attempt == attempt)
    db.execute(update(K).where(*mine).values(**values))


def drop(db: Connection, caller: str, key: str, attempt: str) -> bool:
    """See `Keyed.drop_key`."""
    mine = (K.c.caller == caller, K.c.key == key, K.c.attempt == attempt, K.c.acted.is_(False))
    return bool(db.execute(delete(K).where(*mine)).rowcount)


def prune(db: Connection, before: datetime) -> int:
    """See `Keyed.prune_keys`."""
    old = LEASE.c.name.startswith(key_lease(""), autoescape=True)
    db.execute(delete(LEASE).where(old, LEASE.c.expires_at < before))
    return db.execute(delete(K).where(K.c.begun_at < before)).rowcount
