"""`connector person`: what is held about somebody, erasing it, and letting an erased person in again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.app.asking import ask_ledger
from connector.app.erasing import erase, erased_document, unknown
from connector.app.erasure_key import box_of
from connector.app.exits import LOOK, OK
from connector.app.output import out, print_json, to_json
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import Erased


def person_export(who: str, *, target: Path | None, json: bool) -> int:
    """All that is held about one person, as JSON on stdout or in a new file that only its owner may read."""

    async def question(ledger: SqlLedger) -> Mapping[str, Any]:
        found = await ledger.export_person(who, SystemClock().now())
        if found is None:
            raise unknown()
        return found

    found = ask_ledger(question)
    if target is None:
        print_json(found)
        return OK
    _write(target, to_json(found))
    rows = sum(len(table["rows"]) for table in found["held"].values())
    if json:
        print_json({"file": str(target), "tables": len(found["held"]), "rows": rows})
    else:
        out.print(f"{target}: {rows:,} rows of {len(found['held'])} tables.", markup=False)
    return OK


def _write(target: Path, text: str) -> None:
    try:
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise FixConfig(
            f"{target} cannot be made ({type(error).__name__}).",
            next_step="Name a new file in a folder that may be written to.",
            where="--out",
        ) from error
    with os.fdopen(number, "w", encoding="utf-8") as opened:
        opened.write(text + "\n")


def person_erase(who: str, *, reason: str, yes: bool, given: str | None, json: bool) -> int:
    """Erase one person here. Exit 3 while something of them is left for humans to delete: in the CRMs, in files."""
    if not reason.strip():
        raise FixConfig("An erasure needs a reason: it is kept.", next_step="Give --reason TEXT.")
    clock = SystemClock()

    async def question(ledger: SqlLedger) -> Erased | None:
        if not yes:
            found = await ledger.export_person(who, clock.now())
            if found is None:
                raise unknown()
            if not _agreed(found, json=json):
                return None
        done = await erase(ledger, clock, who, by=actor(given), reason=reason.strip())
        if done is None:
            raise unknown()
        return done

    done = ask_ledger(question)
    if done is None:
        if json:
            print_json({"erasure": None, "next_step": "Nothing was erased. Run it with --yes."})
        else:
            out.print("Nothing was erased.")
        return LOOK
    document = erased_document(done)
    if json:
        print_json(document)
    else:
        rows = sum(document["rows"].values())
        out.print(
            f"Erased ({done.number}): {rows:,} rows of {len(document['rows'])} tables. It cannot be undone."
        )
        out.print("What comes in of this person from now on is left out; `connector person allow` ends that.")
        for step in document["next_steps"]:
            out.print(f"  {step}", markup=False)
    return LOOK if document["next_steps"] else OK


def _agreed(found: Mapping[str, Any], *, json: bool) -> bool:
    if json or not sys.stdin.isatty():
        return False
    for table in found["held"].values():
        sys.stderr.write(f"  {len(table['rows']):>6,}  {table['what']}\n")
    sys.stderr.write("Erase all of it, for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def person_allow(who: str, *, reason: str, given: str | None, json: bool) -> int:
    """Let an erased person in again, by every address and record that was theirs."""
    if not reason.strip():
        raise FixConfig("A lawful return needs a reason: it is kept.", next_step="Give --reason TEXT.")

    async def question(ledger: SqlLedger) -> int:
        at = SystemClock().now()
        return await ledger.allow_person(who, by=actor(given), reason=reason.strip(), at=at)

    erasures = ask_ledger(question)
    if not erasures:
        raise FixConfig(
            "Nobody with this address or record is kept out.",
            next_step="Name an address or a record (crm:object:id) that they had when they were erased.",
        )
    if json:
        print_json({"allowed": erasures})
    else:
        out.print(
            "They come in again with their next change in a CRM, or with `connector backfill CRM`. "
            "What was erased does not come back."
        )
    return OK


def person_reseal(*, old_key: Path | None, lost: bool, given: str | None, json: bool) -> int:
    """Seal the key of the hashes under today's CONNECTOR_SECRET_KEY, or let go of them where the old one is lost."""
    if (old_key is None) != lost:
        raise FixConfig("Is the old key there, or lost?", next_step="Give one of --old-key FILE, --lost.")
    old = box_of(_secret(old_key)) if old_key is not None else None

    async def question(ledger: SqlLedger) -> int:
        at = SystemClock().now()
        if lost:
            return await ledger.forget_erasures(by=actor(given), at=at)
        if ledger.box is None:
            raise FixConfig("CONNECTOR_SECRET_KEY is not set.", next_step="Set the new key first.")
        return await ledger.reseal_erasures(ledger.box, old, by=actor(given), at=at)

    many = ask_ledger(question)
    if json:
        print_json({"forgotten" if lost else "resealed": many})
    elif lost:
        out.print(
            f"{many:,} hashes are gone: whoever was erased comes in again. Erase anew whom a CRM still has."
        )
    else:
        out.print(f"{many:,} keys are sealed under today's CONNECTOR_SECRET_KEY.")
    return OK


def _secret(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(
            f"{file} cannot be read ({type(error).__name__}).", next_step="Name the file.", where="--old-key"
        ) from error
