"""Tell a property that went missing from one that is blank. Reads a page that has come; asks for the schema at most.

HubSpot drops names it does not know without a word, where a property without a value comes as null
(developers.hubspot.com, "CRM objects"). So a mapped property that is in no row of a page does not exist. What an
account never had is remembered in the cursor; what it had and has no longer must not be read as blank.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from connector.core.model import JsonValue, Page
from connector.errors import StopRun
from connector.ports import FieldInfo

Schema = Callable[[], Awaitable[Mapping[str, FieldInfo]]]


async def lacking(
    mapped: frozenset[str], page: Page, known: Iterable[JsonValue] | None, object_: str, schema: Schema
) -> list[str] | None:
    """The mapped properties that this account does not have, by this page; None where it holds no row to tell by.

    `known`: those it did not have before, None where nobody looked. Raises StopRun for one that was lost since.
    """
    told = [record.values.keys() for record in page.records if record.values]
    if not told:
        return None
    absent = mapped.difference(*told)
    before = frozenset(str(name) for name in known) if known is not None else None
    unsure = absent - (before or frozenset())
    missing = unsure - (await schema()).keys() if unsure else frozenset()
    if missing and before is not None:
        raise lost_properties(object_, sorted(missing))
    return sorted((absent & before if before is not None else frozenset()) | missing)


def lost_properties(object_: str, names: Iterable[str]) -> StopRun:
    told = ", ".join(f"{object_}.{name}" for name in names)
    return StopRun(
        f"HubSpot had {told} until now and has it no more: archived, deleted or renamed.",
        next_step="Nothing was overwritten by blanks and the watermark stays. Restore it in HubSpot's property"
        " settings, or change mappings/hubspot.yaml, which reads everything anew.",
    )
