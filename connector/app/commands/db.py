"""`connector db`: the ledger's database as a whole: its schema, a file of it, and back from one."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path

from connector.app.erasure_key import key_box
from connector.app.exits import OK
from connector.app.output import out, print_json, when
from connector.app.settings import load_settings
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.errors import FixConfig


def db_upgrade(*, json: bool) -> int:
    """Bring the database to this version's schema, and say what it came to."""
    from connector.ledger import upgrade

    version = upgrade(load_settings().database_url)
    if json:
        print_json({"schema": version})
    else:
        out.print(f"The ledger's schema is at {version}.")
    return OK


def db_copy(to: str, *, json: bool) -> int:
    """Copy, telling how far it is, and say what was compared."""
    from connector.ledger.engine import parse_url
    from connector.ledger.whole.copying import copy

    def told(table: str, done: int, all_: int) -> None:
        sys.stderr.write(f"{table}: {done:,} of {all_:,} rows\n")
        sys.stderr.flush()

    done = copy(load_settings().database_url, to, SystemClock().now(), told)
    if json:
        print_json(
            {
                "rows": done.rows,
                "found": done.found,
                "tables": {
                    name: {"rows": seal.rows, "sha256": seal.sha256} for name, seal in done.seals.items()
                },
            }
        )
    else:
        where = parse_url(to).render_as_string(hide_password=True)
        out.print(f"{done.rows:,} rows are in {where}, the same as here.", markup=False)
        if done.found:
            out.print(f"{done.found:,} of them were brought by an earlier try.")
        out.print(
            "Set CONNECTOR_DATABASE_URL to it. Keep the old database as it is, and let nothing run on it any more."
        )
    return OK


def db_backup(file: Path, *, json: bool) -> int:
    """Write the backup, and say what is in it."""
    from connector.ledger.whole.backup import back_up

    manifest = back_up(load_settings().database_url, file, SystemClock().now(), _said)
    size = file.stat().st_size
    if json:
        print_json(
            {
                "file": str(file),
                "bytes": size,
                "made_at": manifest.made_at,
                "schema": manifest.schema,
                "accounts": dict(manifest.accounts),
                "rows": {each.shape.name: each.seal.rows for each in manifest.tables},
            }
        )
    else:
        out.print(f"{file}: {manifest.rows:,} rows, {size:,} bytes, schema {manifest.schema}.", markup=False)
        out.print("It holds personal data. Keep it where few can read it.")
    return OK


def db_restore(file: Path, *, replace: bool, yes: bool, given: str | None, json: bool) -> int:
    """Restore, after a question where a ledger is replaced, and say what to expect."""
    from connector.ledger.whole.backup import opened
    from connector.ledger.whole.restore import restore

    settings = load_settings()
    url = settings.database_url
    if replace and not yes:
        with opened(file) as (manifest, _):
            made, accounts = manifest.made_at, manifest.accounts
        of = ", ".join(f"{crm} {account}" for crm, account in accounts.items()) or "no account"
        _confirm(f"The ledger that stands there goes; that of {when(made)} UTC ({of}) takes its place.", json)
    at, by, box = SystemClock().now(), actor(given), key_box(settings)
    done = restore(url, file, at, by, replace=replace, box=box, said=_said)
    made_at = done.manifest.made_at.astimezone(UTC)
    if json:
        print_json(
            {
                "run": done.run,
                "made_at": made_at,
                "rows": done.manifest.rows,
                "replaced": done.replaced,
                "erased_again": done.erased,
                "accounts": dict(done.manifest.accounts),
            }
        )
    else:
        out.print(f"The ledger is that of {when(made_at)} UTC: {done.manifest.rows:,} rows.", markup=False)
        if done.erased:
            out.print(f"{done.erased:,} people of the backup had been erased since: they are erased again.")
        out.print(
            f"Run {done.run} marks the gap. The next sync reads what changed since; what was written before it cannot "
            "be undone. Plans that waited have ended and are made anew."
        )
    return OK


def db_mark_gap(*, given: str | None, json: bool) -> int:
    """Mark it, and say from when to when."""
    from connector.ledger.whole.restore import mark_gap

    settings = load_settings()
    gap = mark_gap(settings.database_url, SystemClock().now(), actor(given), box=key_box(settings))
    if json:
        print_json({"run": gap.run, "since": gap.since, "until": gap.until})
    else:
        out.print(f"Run {gap.run} marks the gap, from {when(gap.since)} to {when(gap.until)} UTC.")
    return OK


def _confirm(what: str, json: bool) -> None:
    """FixConfig where nobody can be asked, or they do not want it."""
    asked = sys.stdin.isatty() and not json
    if asked:
        sys.stderr.write(f"{what} Go on? [y/N] ")
        sys.stderr.flush()
    if not asked or sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise FixConfig(
            "Nobody has said yes to it; nothing was changed.", next_step="Say --yes.", where="--replace"
        )


def _said(table: str, rows: int) -> None:
    if rows:
        sys.stderr.write(f"{table}: {rows:,} rows\n")
        sys.stderr.flush()
