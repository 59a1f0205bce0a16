"""The definition over HTTP: an edit checked, kept as a draft, agreed to, put in force, or an earlier one brought back.

A version is the criteria, the mappings and their lists together, so a draft of one file is of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints
from starlette.exceptions import HTTPException

from connector.app.access import Caller
from connector.app.api.guard import Admin, Viewer
from connector.app.api.v1.answers_rules import DraftTold
from connector.app.api.v1.inputs import Body, InPath, Note, Noted, Word, as_things_stand
from connector.app.api.v1.words import Name
from connector.app.definition import CRITERIA, refuse_red
from connector.app.drafting import checked, differs, read_edit
from connector.app.in_force import waits_for
from connector.app.publishing import Standing, agreed, leave_the_folder, put_in_force, standing
from connector.app.sidecar import Sidecar
from connector.app.versions import draft_document
from connector.app.wiring import plugins, read_in
from connector.core.approval import missing, owners
from connector.core.definition import Definition
from connector.errors import StopRun
from connector.ledger.store_draft import DISCARDED, OPEN
from connector.ports import Draft

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
_LIST = r"^[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*\.csv$"
Beside = Annotated[str, StringConstraints(pattern=_LIST, max_length=200)]


class Edit(Body):
    """The whole text of the file, and of the lists beside it that are new or changed; others stay as they are."""

    text: Text
    lists: dict[Beside, Text] = Field(default_factory=dict, max_length=100)


class NewDraft(Edit):
    """The same, and why."""

    note: Note = ""


class Agreeing(Noted):
    """For which side of the agreement (`agreed_by`), and a note."""

    side: Word


class BringBack(Noted):
    """Which version, and why."""

    version: int = Field(ge=1, le=2**31 - 1)


class Mistake(BaseModel):
    """One thing wrong, or worth a look. `nearest`: the right name that is closest to a wrong one."""

    file: str | None
    line: int | None
    column: int | None
    key: str | None
    what: str
    nearest: str | None


class ExampleRun(BaseModel):
    """One example of the written agreement, and where it does not hold."""

    name: str
    ok: bool
    differences: list[str]


class Untouched(BaseModel):
    """A rule that no example touches."""

    kind: str
    rule: str


class Change(BaseModel):
    """One difference from the version in force. `needs`: nothing, to decide people anew, or to read again."""

    what: str
    needs: Literal["nothing", "decide", "read"]
    crm: str | None


class Changes(BaseModel):
    """What differs from the version in force: of the criteria in words, and everything with what it needs."""

    words: list[str]
    changes: list[Change]


class Checked(Changes):
    """`ok`: nothing is wrong and every example holds; it could be published."""

    ok: bool
    problems: list[Mistake]
    warnings: list[Mistake]
    examples: list[ExampleRun]
    untouched: list[Untouched]


class WholeDraft(DraftTold, Changes):
    """A draft, what it changes, and why it is not in force. `status`: open, published, discarded, overtaken."""

    status: str
    waits: str | None


class Reread(BaseModel):
    """What the next sync reads from the beginning; no stream: all of the CRM."""

    crm: str
    stream: str | None


class Published(BaseModel):
    """`version`: in force now; none: `waits` says for whom the draft waits."""

    draft: int | None
    version: int | None
    waits: str | None
    reread: list[Reread]


def router(side: Sidecar) -> APIRouter:
    """`check` and `drafts` of `/criteria` and `/mappings/{crm}`, `/drafts/{draft}`, `/criteria/rollback`."""
    app = APIRouter(tags=["definition"])
    parts, ledger, clock = side.parts, side.parts.ledger, side.parts.clock

    async def read(texts: Mapping[str, str]) -> Definition | None:
        return await asyncio.to_thread(read_in, texts, parts.zone)

    def file_of(crm: str) -> str:
        if crm not in plugins():
            raise HTTPException(404, f"There is no CRM of that name; known: {', '.join(plugins())}.")
        return f"{crm}.yaml"

    async def check(file: str, edit: Edit) -> Checked:
        texts = await ledger.files() or side.current.definition.texts
        told = await asyncio.to_thread(checked, texts, {**edit.lists, file: edit.text}, parts.zone)
        return Checked.model_validate(told)

    async def keep(file: str, edit: NewDraft, by: str, response: Response) -> WholeDraft:
        version, texts = await ledger.version(), await ledger.files()
        if version is None:
            raise StopRun(
                "No definition is in force yet.", next_step="The first sync takes the files of the folder."
            )
        edited = await asyncio.to_thread(read_edit, texts, {**edit.lists, file: edit.text}, parts.zone)
        refuse_red(edited.criteria)
        if dict(edited.texts) == dict(texts):
            raise StopRun(f"Version {version} in force is these files.", next_step="Nothing was kept.")
        draft = await ledger.keep_draft(edited.texts, version, by, edit.note, clock.now())
        response.headers["location"] = f"/api/v1/drafts/{draft.id}"
        return await told(draft)

    async def known(number: int) -> Draft:
        found = await ledger.drafts(number=number)
        if not found:
            raise HTTPException(404, f"There is no draft {number}.")
        return found[0]

    async def told(draft: Draft) -> WholeDraft:
        texts = await ledger.files()
        before, edited = await read(texts), await read(draft.files)
        waits = None
        if draft.status == OPEN and edited is not None:
            asked = owners(before.criteria if before else None, edited.criteria)
            waits = waits_for(draft, asked, await ledger.version() or 0)
        changes = differs(texts, edited) if edited is not None else {"words": [], "changes": []}
        return WholeDraft.model_validate(
            {**draft_document(draft), **changes, "status": draft.status, "waits": waits}
        )

    async def stands_now(number: int) -> Standing:
        """An open draft of what is in force now."""
        draft = await known(number)
        if draft.status != OPEN:
            raise StopRun(f"Draft {number} is {draft.status}.", next_step="Nothing was changed.")
        with as_things_stand():
            return await standing(ledger, number, read)

    async def publish(stands: Standing, caller: Caller) -> Published:
        draft = stands.draft
        adopted = await put_in_force(
            ledger, stands.definition, parts.adapters, clock.now(), author=draft.author, note=draft.note,
            draft=draft,
        )  # fmt: skip
        return await done(draft.id, adopted.version, adopted.document({})["reread"], caller)

    async def done(draft: int | None, version: int, reread: object, caller: Caller) -> Published:
        if parts.load is not None:
            await leave_the_folder(ledger, parts.load, caller.name, clock.now())
        await side.current.of(())
        return Published.model_validate({"draft": draft, "version": version, "waits": None, "reread": reread})

    @app.post("/criteria/check")
    async def check_criteria(asked: Edit, caller: Viewer) -> Checked:
        """What is wrong with an edit of the criteria, its examples, and what differs. Nothing is kept."""
        return await check(CRITERIA, asked)

    @app.post("/mappings/{crm}/check")
    async def check_mapping(crm: Name, asked: Edit, caller: Viewer) -> Checked:
        """The same for the mapping of a CRM."""
        return await check(file_of(crm), asked)

    @app.post("/criteria/drafts", status_code=201)
    async def draft_criteria(asked: NewDraft, caller: Admin, response: Response) -> WholeDraft:
        """Keeps an edit of the criteria as a draft of the caller. One with problems or red examples is refused."""
        return await keep(CRITERIA, asked, caller.name, response)

    @app.post("/mappings/{crm}/drafts", status_code=201)
    async def draft_mapping(crm: Name, asked: NewDraft, caller: Admin, response: Response) -> WholeDraft:
        """The same for the mapping of a CRM."""
        return await keep(file_of(crm), asked, caller.name, response)

    @app.get("/drafts/{draft}")
    async def one_draft(draft: InPath, caller: Viewer) -> WholeDraft:
        """A draft, what it changes, and for whom it waits."""
        return await told(await known(draft))

    @app.post("/drafts/{draft}/approve")
    async def approve(draft: InPath, asked: Agreeing, caller: Admin) -> Published:
        """One owner agrees; with the last word that was missing it is in force. Nobody approves their own."""
        stands = await agreed(
            ledger, await stands_now(draft), asked.side, by=caller.name, proof=caller.proof, note=asked.note,
            at=clock.now(),
        )  # fmt: skip
        if stands.missing:
            return Published(
                draft=draft,
                version=None,
                waits=waits_for(stands.draft, stands.asked, stands.version),
                reread=[],
            )
        return await publish(stands, caller)

    @app.post("/drafts/{draft}/publish")
    async def put(draft: InPath, asked: Body, caller: Admin) -> Published:
        """Puts a draft in force that nobody has to agree to any more."""
        stands = await stands_now(draft)
        if stands.missing:
            raise StopRun(waits_for(stands.draft, stands.asked, stands.version))
        return await publish(stands, caller)

    @app.post("/drafts/{draft}/discard")
    async def discard(draft: InPath, asked: Body, caller: Admin) -> WholeDraft:
        """Drops an open draft."""
        await known(draft)
        await ledger.settle_draft(draft, DISCARDED, caller.name, clock.now())
        return await told(await known(draft))

    @app.post("/criteria/rollback")
    async def rollback(asked: BringBack, caller: Admin) -> Published:
        """Brings the files of an earlier version back, lists and mappings included, as a new version; where owners have
        to agree, as a draft."""
        if await ledger.version_numbered(asked.version) is None:
            raise HTTPException(404, f"There is no version {asked.version}.")
        version, now = await ledger.version() or 0, await ledger.files()
        definition = await read(await ledger.files(asked.version))
        if definition is None:
            raise StopRun(
                f"Version {asked.version} cannot be read by today's rules.", next_step="Edit it anew."
            )
        if dict(definition.texts) == dict(now):
            raise StopRun(f"Version {version} in force is these files.", next_step="Nothing was changed.")
        with as_things_stand():
            refuse_red(definition.criteria)
        before, note = await read(now), asked.note or f"back to version {asked.version}"
        wanted = owners(before.criteria if before else None, definition.criteria)
        if missing(wanted, caller.name, ()):
            draft = await ledger.keep_draft(
                definition.texts, version, caller.name, note, clock.now(), brings_back=asked.version
            )
            waits = waits_for(draft, wanted, version)
            return Published(draft=draft.id, version=None, waits=waits, reread=[])
        adopted = await put_in_force(
            ledger, definition, parts.adapters, clock.now(), author=caller.name, note=note,
            back_to=asked.version,
        )  # fmt: skip
        return await done(None, adopted.version, adopted.document({})["reread"], caller)

    return app
