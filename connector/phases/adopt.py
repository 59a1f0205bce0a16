"""Adopt: puts a definition in force, and has read again what its change needs from a CRM. Decides nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.changed import NOTHING, Difference, differences, to_read
from connector.core.definition import Definition
from connector.core.model import JsonValue
from connector.ports import Adapter, Ledger, Reread, Stream

SHOWN = 50  # differences that a plan tells; more help nobody who approves


@dataclass(frozen=True, slots=True)
class Adopted:
    """The version in force from now on. `was`: the one before where it is new now, else None. `found` is None where the
    old files cannot be read any more; `reread`: streams by CRM that are read from the beginning again, None: all."""

    version: int
    was: int | None = None
    found: tuple[Difference, ...] | None = ()
    reread: Mapping[str, Sequence[str] | None] | None = None

    def document(self, concerned: Mapping[str, int]) -> dict[str, JsonValue]:
        """As `sync --json` tells it. `concerned`: by CRM, to how many records the run's plan says something."""
        return {
            "from": self.was,
            "to": self.version,
            "concerned": dict(concerned),
            "reread": [
                {"crm": crm, "stream": stream}
                for crm, streams in sorted((self.reread or {}).items())
                for stream in (streams if streams is not None else [None])
            ],
            "changes": [{"what": each.what, "needs": each.needs} for each in self.found or ()],
        }

    def lines(self) -> list[JsonValue]:
        """For whoever approves of a plan."""
        if self.found is None:
            said = ["The files of the old version cannot be read any more, so it is not told what differs."]
        else:
            said = [each.what for each in self.found if each.needs != NOTHING]
        more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        return [f"Version {self.was} was followed by version {self.version}.", *said[:SHOWN], *more]


async def adopt(
    ledger: Ledger, definition: Definition, adapters: Mapping[str, Adapter], at: datetime
) -> Adopted:
    """Put the definition in force. A new version makes all people due; what has to be read again for it is read from
    the beginning: of a CRM that is not asked now, or where it is not known what differs, all that its file maps."""
    was = await ledger.version()
    before = await ledger.files() if was is not None else {}
    if was is None or dict(before) == dict(definition.texts):
        return Adopted(await ledger.adopt_files(definition.texts, at))
    found = compared(before, definition)
    reread = None
    if found is not None:
        reread = Reread(
            was,
            {
                crm: sorted(stream.name for stream in streams_from(adapters[crm].streams(), sources))
                if crm in adapters and sources is not None
                else None
                for crm, sources in to_read(found).items()
            },
        )
    version = await ledger.adopt_files(definition.texts, at, reread=reread)
    if version == was:  # two at once: it is in force already
        return Adopted(version)
    return Adopted(version, was, found, reread.streams if reread else None)


def compared(before: Mapping[str, str], definition: Definition) -> tuple[Difference, ...] | None:
    """What differs from the files of an earlier version; None where these cannot be read any more."""
    old = definition.read(before) if definition.read is not None else None
    if old is None:
        return None
    return differences(old.criteria, definition.criteria, old.mappings, definition.mappings)


def streams_from(streams: Iterable[Stream], sources: Iterable[str]) -> list[Stream]:
    """The streams that bring these objects and streams of a mapping."""
    asked = {*sources}
    return [stream for stream in streams if asked & {stream.name, *stream.objects}]
