"""Decides whether a record that changed in its CRM tells us anything new, or only repeats what we wrote. Pure.

An echo is judged field by field: our value coming back is no news, a human's edit beside it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from connector.core.model import JsonValue, PersonRecord
from connector.core.values import same_value


class LastWritten(Protocol):
    """What we last wrote to a field (`connector.ports.Held`); `stage` is our word for it, where known."""

    @property
    def value(self) -> JsonValue: ...

    @property
    def stage(self) -> str | None: ...


def is_news(old: PersonRecord | None, new: PersonRecord, written: Mapping[str, LastWritten]) -> bool:
    """Whether `new` makes its person due, given the stored form `old` and what we last wrote, by vendor field.

    No news: nothing differs but `changed_at`, `held` fields that now hold what we last wrote there (spelling
    aside, see `same_value`), and a `stage` that our own write to the stage's field explains. A field that we
    wrote and that now holds something else is news: somebody edited it.
    """
    if old is None or _facts(old) != _facts(new):
        return True
    if any(
        not (name in written and same_value(new.held.get(name), written[name].value))
        for name in _changed(old, new)
    ):
        return True
    return old.stage != new.stage and not _stage_is_ours(old, new, written)


def supersedes(old: PersonRecord, new: PersonRecord) -> bool:
    """Whether the earlier form is worth keeping, to score the past by what was known then."""
    return (
        old.fields != new.fields
        or old.emails != new.emails
        or old.company != new.company
        or old.stage != new.stage
        or old.stage_at != new.stage_at
        or old.changed_at != new.changed_at
        or old.answer != new.answer
        or old.state != new.state
    )


def _facts(record: PersonRecord) -> tuple[object, ...]:
    """All that is news whenever it differs."""
    return (
        dict(record.fields),
        record.emails,
        frozenset(record.same_as),
        record.company,
        record.answer,
        record.says,
        record.state,
        record.moved_to,
        record.in_scope,
    )


def _changed(old: PersonRecord, new: PersonRecord) -> list[str]:
    """The write targets that no longer hold what they held."""
    names = old.held.keys() | new.held.keys()
    return [name for name in names if not same_value(old.held.get(name), new.held.get(name))]


def _stage_is_ours(old: PersonRecord, new: PersonRecord, written: Mapping[str, LastWritten]) -> bool:
    """Whether the new stage is the one we wrote, and the field we wrote it to still holds it.

    Where the words of the write are not known, a field that has just come to hold our value must explain it.
    """
    for name, held in written.items():
        if not same_value(new.held.get(name), held.value):
            continue
        if held.stage is not None:
            if held.stage == new.stage:
                return True
        elif isinstance(held.value, str) and not same_value(old.held.get(name), held.value):
            return True
    return False
