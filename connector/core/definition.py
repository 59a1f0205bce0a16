"""The definition in force, as typed values: criteria and one mapping per CRM. Loaded elsewhere, handed in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connector.core.criteria import Criteria
from connector.core.mapping import CrmMapping


@dataclass(frozen=True, slots=True)
class Definition:
    """What all phases decide by. `texts` are the files as they are, for the versions kept in the ledger; `read` makes a
    definition of those of an earlier version, or None where that cannot be done any more."""

    criteria: Criteria
    mappings: Mapping[str, CrmMapping]
    texts: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Mapping[str, str]], Definition | None] | None = field(default=None, compare=False)
