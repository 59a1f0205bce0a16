"""The versions of the definition, and the drafts that wait, as they are told. Prints nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from connector.core.approval import Agreed
from connector.core.definition import Definition
from connector.core.wording import changes_in_words
from connector.ledger import SqlLedger
from connector.ports import Draft, VersionInfo

Read = Callable[[Mapping[str, str]], Awaitable[Definition | None]]
"""The definition in the files of a version; None where they are not right by today's rules."""


async def edits_in_words(
    ledger: SqlLedger, versions: Sequence[VersionInfo], read: Read
) -> dict[int, list[str]]:
    """What each version changed in the criteria, by version; one that cannot be read is left out."""
    told: dict[int, list[str]] = {}
    for each in versions:
        one = await read(await ledger.files(each.version - 1))
        other = await read(await ledger.files(each.version))
        if one and other:
            told[each.version] = changes_in_words(one.criteria, other.criteria)
    return told


def version_document(each: VersionInfo) -> dict[str, Any]:
    """A version as JSON."""
    return {
        "version": each.version,
        "at": each.adopted_at,
        "author": each.author,
        "note": each.note,
        "brings_back": each.brings_back,
        "agreed": _agreed(each.agreed),
    }


def draft_document(draft: Draft) -> dict[str, Any]:
    """A draft as JSON."""
    return {
        "draft": draft.id,
        "base": draft.base,
        "author": draft.author,
        "note": draft.note,
        "made_at": draft.made_at,
        "brings_back": draft.brings_back,
        "agreed": _agreed(draft.agreed),
    }


def _agreed(words: Iterable[Agreed]) -> list[dict[str, Any]]:
    return [
        {"side": word.side, "by": word.by, "note": word.note, "at": word.at, "proof": word.proof}
        for word in words
    ]
