"""What a CRM says by itself, as a hint only: which record to read again. Pure; its values are not believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from connector.core.model import JsonValue, Ref
from connector.core.values import same_value


@dataclass(frozen=True, slots=True)
class Hint:
    """This record has changed. `field`: only this one of theirs, now with this value, as far as is told; `needed`: it
    is read whatever the mapping says."""

    ref: Ref
    field: str = ""
    value: JsonValue = None
    needed: bool = False


class _Held(Protocol):
    @property
    def value(self) -> JsonValue: ...


def is_echo(hint: Hint, written: Mapping[str, _Held]) -> bool:
    """Whether it tells of nothing but what we last wrote there ourselves."""
    held = written.get(hint.field) if hint.field else None
    return held is not None and same_value(held.value, hint.value)
