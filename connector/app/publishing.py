"""Puts a definition in force: drafts, who agrees to them, what then becomes a version. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.app.definition import refuse_red
from connector.app.versions import Read
from connector.core.approval import Agreed, Proof, missing, owners, refuse
from connector.core.definition import Definition
from connector.errors import FixConfig, StopRun
from connector.ledger import SqlLedger
from connector.ledger.store_draft import PUBLISHED
from connector.phases.adopt import Adopted, adopt
from connector.ports import Adapter, Draft


@dataclass(frozen=True, slots=True)
class Standing:
    """A draft as it stands beside the version in force. `asked`: who has to agree, by side."""

    draft: Draft
    definition: Definition
    before: Definition | None
    asked: Mapping[str, str]
    version: int

    @property
    def missing(self) -> list[str]:
        """The sides whose word is still missing."""
        return missing(self.asked, self.draft.author, self.draft.agreed)


async def standing(ledger: SqlLedger, number: int, read: Read) -> Standing:
    """A draft that can be put in force. StopRun where there is none, and for one that was made of an earlier version:
    it would take back what came since. FixConfig where its files are not right by today's rules or break their own
    examples."""
    found = await ledger.drafts(number=number)
    if not found:
        raise StopRun(f"There is no draft {number}.", next_step="`connector criteria history` lists them.")
    draft, version, files = found[0], await ledger.version() or 0, await ledger.files()
    if draft.base != version and dict(draft.files) != dict(files):
        raise StopRun(
            f"Draft {number} was made of version {draft.base}, and version {version} is in force.",
            next_step="Make the same edit to the version in force, so that nothing of it is lost.",
        )
    definition = await read(draft.files)
    if definition is None:
        raise FixConfig(
            f"The files of draft {number} are not right by today's rules.", next_step="Edit them anew."
        )
    refuse_red(definition.criteria)
    before = await read(files)
    asked = owners(before.criteria if before else None, definition.criteria)
    return Standing(draft, definition, before, asked, version)


async def agreed(
    ledger: SqlLedger, stands: Standing, side: str, *, by: str, proof: Proof, note: str, at: datetime
) -> Standing:
    """One owner's word is kept. StopRun where this person may not give it, and where the side has spoken."""
    draft = stands.draft
    refuse(stands.asked, draft.author, draft.agreed, side, by, proof)
    draft = await ledger.approve_draft(draft.id, Agreed(side, by, note, at, proof))
    return Standing(draft, stands.definition, stands.before, stands.asked, stands.version)


async def put_in_force(
    ledger: SqlLedger,
    definition: Definition,
    adapters: Mapping[str, Adapter],
    at: datetime,
    *,
    author: str,
    note: str,
    draft: Draft | None = None,
    back_to: int | None = None,
) -> Adopted:
    """A new version, signed; the draft that it was ends."""
    adopted = await adopt(ledger, definition, adapters, at)
    if draft is not None:
        back_to = draft.brings_back
    await ledger.sign(adopted.version, author, note, draft.agreed if draft else (), back_to)
    if draft is not None:
        await ledger.settle_draft(draft.id, PUBLISHED, author, at, version=adopted.version)
    return adopted


async def leave_the_folder(ledger: SqlLedger, load: Callable[[], Definition], by: str, at: datetime) -> None:
    """What stands in the folder, where it is something else than what was put in force, is no new edit."""
    try:
        ours = load()
    except FixConfig:
        return
    version = await ledger.version()
    if version is not None and dict(ours.texts) != dict(await ledger.files()):
        await ledger.overtake(ours.texts, version, by, at)
