"""When a contact entered its lifecycle stage, where no date property says so: by the history of the stage.

Accounts differ in which dates they have: `hs_v2_date_entered_<stage>` first, then `hs_lifecyclestage_<stage>_date`,
then the older `hs_date_entered_<stage>` (`payload.STAGE_DATES`). What has none of them for its stage, say because the
stage is newer than the date, is looked up (developers.hubspot.com, "CRM objects", `propertiesWithHistory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.hubspot.api import Api
from adapters.hubspot.batches import STAGE
from adapters.hubspot.byid import batch_history, type_of
from adapters.hubspot.payload import lenient_moment
from connector.core.model import RecordState, VendorRecord


async def dated(api: Api, records: Sequence[VendorRecord]) -> list[VendorRecord]:
    """The same contacts, each with the time of its stage where that can be known. No call where all have one, else a
    call for 50 of those that do not."""
    undated = [one for one in records if one.stage_at is None and one.values.get(STAGE)]
    ids = [one.ref.id for one in undated if one.state is RecordState.LIVE]
    if not ids:
        return list(records)
    histories = await batch_history(api, type_of("contact"), ids, [STAGE])
    return [_dated(one, histories.get(one.ref.id, {}).get(STAGE, ())) for one in records]


def _dated(one: VendorRecord, versions: Sequence[object]) -> VendorRecord:
    """By the newest version, if it is the stage that stands there: a record may have moved on since it was read."""
    newest = versions[0] if versions else None
    if (
        one.stage_at is not None
        or not isinstance(newest, dict)
        or newest.get("value") != one.values.get(STAGE)
    ):
        return one
    return replace(one, stage_at=lenient_moment(newest.get("timestamp")))
