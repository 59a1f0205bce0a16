"""The definition in force, as typed values: criteria and one mapping per CRM. Loaded elsewhere, handed in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.criteria import Criteria
from connector.core.mapping import CrmMapping


@dataclass(frozen=True, slots=True)
class Definition:
    """What all phases decide by. `texts` are the files as they are, for the versions kept in the ledger."""

    criteria: Criteria
    mappings: Mapping[str, CrmMapping]
    texts: Mapping[str, str] = field(default_factory=dict)
