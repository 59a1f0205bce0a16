"""`connector criteria publish|approve|discard|rollback|history`: the agreement as a file with a life.

A version is the criteria, the mappings and their lists together: none of them means anything without the others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.app import exits
from connector.app.asking import ask_ledger
from connector.app.commands.definition import Parts, estimated, kept_version, opened, show
from connector.app.definition import load_definition
from connector.app.in_force import waits_for
from connector.app.log import configure
from connector.app.output import out, print_json, when
from connector.app.previewing import preview, to_be_read
from connector.app.publishing import agreed, leave_the_folder, put_in_force, standing
from connector.app.running import run
from connector.app.settings import Settings, load_settings
from connector.app.versions import Read, draft_document, edits_in_words, version_document
from connector.app.who import actor
from connector.app.wiring import SystemClock, holder, plugins, read_version
from connector.core.approval import Proof, missing, owners
from connector.core.definition import Definition
from connector.core.wording import changes_in_words
from connector.errors import StopRun
from connector.ledger import SqlLedger
from connector.ledger.store_draft import DISCARDED, OPEN
from connector.ports import Draft, VersionInfo

CLOCK = SystemClock()


def publish(*, mappings: Path | None, note: str, by: str | None, yes: bool, json: bool) -> int:
    """Put the folder's files in force, or leave them as a draft to whoever has to approve. Exit 3 while they wait."""
    settings = load_settings()
    configure(settings)
    author = actor(by)

    async def go() -> dict[str, Any]:
        async with opened(settings, mappings) as parts:
            told = await preview(
                parts.definition, parts.adapters, parts.ledger, settings.database_url, CLOCK, holder=holder()
            )
            document: dict[str, Any] = {
                "preview": told,
                "words": [],
                "published": None,
                "draft": None,
                "waits": "",
            }
            if not told["changed"]:
                return document
            version = await parts.ledger.version()
            if version is None:
                number = await _put_in_force(parts, author, note)
                return document | {"published": number}
            before = read_version(await parts.ledger.files(), settings)
            if before is not None:
                document["words"] = changes_in_words(before.criteria, parts.definition.criteria)
            draft = await parts.ledger.keep_draft(parts.definition.texts, version, author, note, CLOCK.now())
            asked = owners(before.criteria if before else None, parts.definition.criteria)
            document["draft"] = draft.id
            if not missing(asked, draft.author, draft.agreed) and await _wanted(document, yes=yes, json=json):
                number = await _put_in_force(parts, author, note, draft=draft)
                await _leave_the_folder(parts.ledger, settings, author)
                return document | {"published": number}
            return document | {"waits": waits_for(draft, asked, version)}

    document = run(go())
    if json:
        print_json(document)
    elif document["published"] is None and not document["waits"]:
        show(document["preview"])
    else:
        if document["draft"] is None:
            show(document["preview"])
        _say(document)
    return exits.LOOK if document["waits"] else exits.OK


async def _wanted(document: Mapping[str, Any], *, yes: bool, json: bool) -> bool:
    """Show what it would mean, and ask at a terminal."""
    if not json:
        _words(document["words"])
        show(document["preview"])
    if yes or json or not sys.stdin.isatty():
        return yes
    sys.stderr.write("Publish it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def approve(number: int, *, side: str, by: str | None, note: str, json: bool) -> int:
    """One owner agrees to a draft; with the last word that was missing it is in force. StopRun where they may not."""
    settings = load_settings()
    configure(settings)

    async def go() -> dict[str, Any]:
        async with opened(settings, None, files_may_be_wrong=True) as parts:
            ledger, who = parts.ledger, actor(by)
            stands = await standing(ledger, number, _reader(settings))
            stands = await agreed(
                ledger, stands, side, by=who, proof=Proof.CLAIMED, note=note, at=CLOCK.now()
            )
            document = {"draft": number, "approved": side, "by": who, "published": None, "waits": ""}
            draft, definition = stands.draft, stands.definition
            if stands.missing:
                return document | {"waits": waits_for(draft, stands.asked, stands.version)}
            parts = Parts(definition, parts.adapters, ledger)
            reread = await to_be_read(definition, parts.adapters, ledger)
            published = await _put_in_force(parts, draft.author, draft.note, draft=draft)
            await _leave_the_folder(ledger, settings, who)
            return document | {"published": published, "reread": reread}

    document = run(go())
    if json:
        print_json(document)
    else:
        out.print(f"{document['by']} approved of draft {number} for {side}.", markup=False)
        _say(document)
    return exits.LOOK if document["waits"] else exits.OK


def discard(number: int, *, by: str | None, json: bool) -> int:
    """Drop an open draft; the same edit does not come back by itself."""

    ask_ledger(lambda ledger: ledger.settle_draft(number, DISCARDED, actor(by), CLOCK.now()))
    if json:
        print_json({"draft": number, "discarded": True})
    else:
        out.print(f"Draft {number} is dropped. Another edit makes another draft.")
    return exits.OK


def rollback(number: int, *, by: str | None, note: str, yes: bool, json: bool) -> int:
    """Put the files of an earlier version in force again, lists included, as a new version."""
    settings = load_settings()
    configure(settings)
    author = actor(by)

    async def go() -> dict[str, Any]:
        async with opened(settings, None, files_may_be_wrong=True) as parts:
            ledger, version = parts.ledger, await parts.ledger.version() or 0
            definition, now = await kept_version(ledger, number, settings), await ledger.files()
            if dict(definition.texts) == dict(now):
                raise StopRun(f"Version {version} in force is these files.", next_step="Nothing was changed.")
            before = read_version(now, settings)
            words = changes_in_words(before.criteria, definition.criteria) if before else []
            parts_then = Parts(definition, parts.adapters, ledger)
            told = await preview(
                definition, parts.adapters, ledger, settings.database_url, CLOCK, holder=holder()
            )
            document: dict[str, Any] = {
                "preview": told, "words": words, "draft": None, "published": None, "waits": "", "brings_back": number,
            }  # fmt: skip
            asked = owners(before.criteria if before else None, definition.criteria)
            if missing(asked, author, ()):
                why = note or f"back to version {number}"
                draft = await ledger.keep_draft(
                    definition.texts, version, author, why, CLOCK.now(), brings_back=number
                )
                return document | {"draft": draft.id, "waits": waits_for(draft, asked, version)}
            if not await _wanted(document, yes=yes, json=json):
                return document | {"waits": "Nothing was changed; `--yes` does it."}
            published = await _put_in_force(
                parts_then, author, note or f"back to version {number}", back_to=number
            )
            await _leave_the_folder(ledger, settings, author)
            return document | {"published": published}

    document = run(go())
    if json:
        print_json(document)
    else:
        _say(document)
        if document["published"] is not None:
            out.print(
                "The folder's files stay as they are, and stay out of force until they are edited again."
            )
    return exits.LOOK if document["waits"] else exits.OK


def history(*, limit: int, words: bool, json: bool) -> int:
    """The versions, newest first, with who, when and why; and the drafts that wait."""
    settings = load_settings()

    async def question(ledger: SqlLedger) -> tuple[list[VersionInfo], list[Draft], dict[int, list[str]]]:
        versions = await ledger.history(limit)
        told = await edits_in_words(ledger, versions if words else (), _reader(settings))
        return versions, await ledger.drafts(status=OPEN), told

    versions, drafts, told = ask_ledger(question)
    if json:
        print_json(
            {
                "versions": [version_document(each) | {"words": told.get(each.version)} for each in versions],
                "drafts": [draft_document(each) for each in drafts],
            }
        )
        return exits.OK
    for draft in drafts:
        said = ", ".join(f"{each.by} ({each.side}, {each.proof})" for each in draft.agreed) or "nobody yet"
        note = draft.note or "no note"
        back = _back(draft.brings_back)
        line = f"draft {draft.id}  {when(draft.made_at)}  by {draft.author}{back}: {note}; approved by {said}"
        out.print(line, markup=False)
    for each in versions:
        who = each.author or "the files of the folder"
        back = _back(each.brings_back)
        said = "".join(f"; {word.by} agreed for {word.side} ({word.proof})" for word in each.agreed)
        note = f": {each.note}" if each.note else ""
        out.print(
            f"version {each.version}  {when(each.adopted_at)}  by {who}{back}{note}{said}", markup=False
        )
        for sentence in told.get(each.version, ()):
            out.print(f"    {sentence}", markup=False)
    if not versions:
        out.print("No definition is in force yet: the first `connector sync` takes the files of the folder.")
    return exits.OK


def _back(version: int | None) -> str:
    return f", back to version {version}" if version else ""


def _reader(settings: Settings) -> Read:
    async def read(texts: Mapping[str, str]) -> Definition | None:
        return read_version(texts, settings)

    return read


async def _put_in_force(
    parts: Parts, author: str, note: str, *, draft: Draft | None = None, back_to: int | None = None
) -> int:
    adopted = await put_in_force(
        parts.ledger, parts.definition, parts.adapters, CLOCK.now(),
        author=author, note=note, draft=draft, back_to=back_to,
    )  # fmt: skip
    return adopted.version


async def _leave_the_folder(ledger: SqlLedger, settings: Settings, by: str) -> None:
    await leave_the_folder(ledger, lambda: load_definition(settings.mappings_dir, plugins()), by, CLOCK.now())


def _say(document: Mapping[str, Any]) -> None:
    if document["published"] is not None:
        out.print(
            f"Version {document['published']} is in force. The next sync decides everybody by it; "
            "`connector sync --plan-only` shows its plan, and a plan beyond the limits waits.",
            markup=False,
        )
        for each in document.get("reread") or (document.get("preview") or {}).get("reread", ()):
            out.print(
                f"It reads again what the ledger does not hold; before it: {each['command']}", markup=False
            )
            out.print(f"  {estimated(each)}", markup=False)
    if document["waits"]:
        _words(document.get("words", ()))
        out.print(document["waits"], markup=False)


def _words(sentences: Any) -> None:
    for sentence in sentences:
        out.print(f"  {sentence}", markup=False)
