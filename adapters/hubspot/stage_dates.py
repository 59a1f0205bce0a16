"""When a contact entered its lifecycle stage, where no date property says so, and when sales set its lead status.

Accounts differ in which dates they have: `hs_v2_date_entered_<stage>` first, then `hs_lifecyclestage_<stage>_date`,
then the older `hs_date_entered_<stage>` (`payload.STAGE_DATES`). What has none of them for its stage, say because the
stage is newer than the date, is looked up, and so is the lead status, which has no date property at all
(developers.hubspot.com, "CRM objects", `propertiesWithHistory`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.batches import STAGE
from adapters.hubspot.byid import batch_history, type_of
from adapters.hubspot.payload import lenient_moment
from connector.core.model import RecordState, VendorRecord

STATUS = "hs_lead_status"
MOST_KNOWN = 100_000  # contacts whose date stays known; the longest known goes first


@dataclass(slots=True)
class Answers:
    """The dates of lead statuses that this process has asked for, by contact: its status, and since when.

    A status that stands as it was last met is not asked about again, or every write of ours would cost a call more for
    50 contacts. One that has gone and come back between two reads keeps the older date.
    """

    known: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def of(self, one: VendorRecord) -> datetime | None:
        """Since when it has its status, if that is known."""
        status, since = self.known.get(one.ref.id, ("", None))
        return since if status == one.values.get(STATUS) else None

    def keep(self, one: VendorRecord) -> None:
        """What has been found out of a contact."""
        self.known.pop(one.ref.id, None)
        if one.status_at is not None:
            self.known[one.ref.id] = (str(one.values[STATUS]), one.status_at)
            if len(self.known) > MOST_KNOWN:
                del self.known[next(iter(self.known))]


async def dated(api: Api, records: Sequence[VendorRecord], answers: Answers) -> list[VendorRecord]:
    """The same contacts, each with the times of its stage and of its lead status where those can be known.

    No call where both are known of each, else a call for 50 of the others.
    """
    found = [replace(one, status_at=answers.of(one)) for one in records]
    ids = [one.ref.id for one in found if one.state is RecordState.LIVE and _lacks(one)]
    if not ids:
        return found
    asked = frozenset(ids)
    histories = await batch_history(api, type_of("contact"), ids, [STAGE, STATUS])
    found = [_dated(one, histories.get(one.ref.id, {})) if one.ref.id in asked else one for one in found]
    for one in found:
        if one.ref.id in asked:
            answers.keep(one)
    return found


def _lacks(one: VendorRecord) -> bool:
    undated = one.stage_at is None and one.values.get(STAGE)
    unanswered = one.status_at is None and one.values.get(STATUS)
    return bool(undated or unanswered)


def _dated(one: VendorRecord, versions: Mapping[str, Sequence[Mapping[str, Any]]]) -> VendorRecord:
    """By the newest version, if it is what stands there: a record may have moved on since it was read."""
    return replace(
        one,
        stage_at=one.stage_at or _set_at(one, STAGE, versions),
        status_at=_set_at(one, STATUS, versions),
    )


def _set_at(
    one: VendorRecord, name: str, versions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> datetime | None:
    newest = next(iter(versions.get(name, ())), None)
    stands = one.values.get(name)
    if newest is None or not stands or newest.get("value") != stands:
        return None
    return lenient_moment(newest.get("timestamp"))
