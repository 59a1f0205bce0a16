"""Which definition a run goes by: the version in force in the ledger, or the folder's files where they put themselves
in force. All replicas of a ledger agree on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.core.approval import missing, owners
from connector.core.definition import Definition
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ledger.store_draft import DISCARDED, OVERTAKEN, digest_of
from connector.ports import Clock, Draft

FILES = "files"  # who wrote a draft that was found in the folder


@dataclass(frozen=True, slots=True)
class InForce:
    """The definition to go by, and what somebody should know where the folder says something else."""

    definition: Definition
    told: str = ""


async def in_force(
    load: Callable[[], Definition],
    read: Callable[[Mapping[str, str]], Definition | None],
    ledger: SqlLedger,
    clock: Clock,
    *,
    owner: str,
    strict: bool = True,
    looks_only: bool = False,
) -> InForce:
    """What a run goes by.

    An empty ledger takes the folder's files. A changed folder puts itself in force with the next run where
    `CONNECTOR_CONFIG_OWNER` is `files` and the definition asks for nobody's approval; else it is a draft, and the
    version in force stays. `strict`: FixConfig where the folder's files are wrong; else the version in force stays then
    too. `load` reads the folder, `read` the texts of a version (None where they are not right by today's rules).
    `looks_only`: keeps no draft.
    """
    version = await ledger.version()
    try:
        ours = load()
    except FixConfig as error:
        kept = None if strict or version is None else read(await ledger.files())
        if kept is None:
            raise
        return InForce(kept, f"The files are wrong: {error} Version {version} stays in force.")
    if version is None:
        return InForce(ours)
    texts = await ledger.files()
    if dict(texts) == dict(ours.texts):
        return InForce(ours)
    kept = read(texts)
    if kept is None:
        return InForce(ours)  # what is in force cannot be read any more: the files are all there is
    asked = owners(kept.criteria, ours.criteria)
    known = await _known(ledger, ours)
    if known is not None and known.status in (OVERTAKEN, DISCARDED):
        return InForce(
            kept,
            f"The files of the folder are an edit that was {known.status}; version {version} stays in force.",
        )
    if owner == FILES and not asked:
        return InForce(ours)
    if looks_only and known is None:
        return InForce(
            kept, "The next sync keeps them as a draft; `connector criteria publish` puts them in force."
        )
    draft = await ledger.keep_draft(
        ours.texts, version, FILES, "found in the folder of the mappings", clock.now()
    )
    return InForce(kept, waits_for(draft, asked, version))


def waits_for(draft: Draft, asked: Mapping[str, str], version: int) -> str:
    """Why a draft is not in force, and what puts it there."""
    sides = missing(asked, draft.author, draft.agreed)
    stays = f"version {version} stays in force"
    if not sides:
        return f"Draft {draft.id} differs from what is in force; {stays} until `connector criteria publish`."
    whom = " and ".join(f"{asked[side]} ({side})" for side in sides)
    return f"Draft {draft.id} waits for {whom}: `connector criteria approve {draft.id}`; {stays}."


async def _known(ledger: SqlLedger, ours: Definition) -> Draft | None:
    """The newest draft that is this very edit."""
    digest = digest_of(ours.texts)
    return next((each for each in await ledger.drafts() if each.digest == digest), None)
