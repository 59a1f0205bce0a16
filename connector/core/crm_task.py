"""A task in the CRM for whoever a new MQL is handed to: what it says, and where one is due. Pure.

One a spell as MQL, by choice (`task` of the criteria's `handoff`). The mark at the end of its subject names the spell,
so that a task whose making was not answered is found again. Its beginning tells it apart from what people note down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connector.core.criteria import Criteria
from connector.core.model import PersonRecord, Ref

BEGINS = "MQL: "
"""With what its subject begins; the shipped mappings do not count such a task as engagement."""
LONGEST_SUBJECT = 255  # characters; Salesforce's Task.Subject


class TaskStatus(StrEnum):
    """What became of it."""

    SENDING = "sending"  # asked for; the answer is not known yet
    WRITTEN = "written"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # nobody can tell whether it arrived: looked for before anything else


@dataclass(frozen=True, slots=True)
class CrmTask:
    """One task. `owner`: the CRM's id of the user; `due_at`: aware UTC, None: today."""

    spell: int
    record: Ref
    owner: str
    subject: str
    body: str
    due_at: datetime | None

    @property
    def mark(self) -> str:
        """How its subject ends."""
        return mark_of(self.spell)


def mark_of(spell: int) -> str:
    """How the subject of this spell's task ends."""
    return f"[MQL {spell}]"


def task_of(
    spell: int, because: str, owner: str, due_at: datetime | None, crm: str, records: Sequence[PersonRecord]
) -> CrmTask | None:
    """The task of a spell on the record of this CRM that its owner holds, else on any of it; None: there is none."""
    mine = [record for record in records if record.ref.crm == crm]
    record = next((each for each in mine if each.fields.get("owner") == owner), mine[0] if mine else None)
    if record is None:
        return None
    said = because if because.startswith(BEGINS) else BEGINS + because
    mark = mark_of(spell)
    room = LONGEST_SUBJECT - len(mark) - 1
    subject = said if len(said) <= room else said[: room - 3].rstrip() + "..."
    return CrmTask(spell, record.ref, owner, f"{subject} {mark}", because, due_at)


def audiences_with_tasks(criteria: Criteria) -> frozenset[str]:
    """The audiences whose new MQLs get one; empty: that of everybody else."""
    every = [("", criteria), *((each.id, each.criteria) for each in criteria.audiences)]
    return frozenset(name for name, one in every if one.handoff is not None and one.handoff.task)
