"""Read again what the CRM itself says has changed. A hint is never believed: the record is read as it stands now."""

from __future__ import annotations

from datetime import datetime

from connector.core.model import Page, RecordState, Ref, VendorRecord
from connector.phases.intake import Intake
from connector.ports import Lease, Stream

MOST = 5_000  # records of an object in one run; the rest has its turn in the next
AT_ONCE = 500


async def heeded(intake: Intake, stream: Stream, cursor: Page, lease: Lease) -> Lease:
    """Records of this stream that hints have named, taken in like those of a page; the stream's watermark stays.

    One that is no longer there counts as deleted, if it is known at all: whether for good, the stream's own way tells.
    Raises LeaseBusy, and what the source raises; what was not read stays named.
    """
    ledger, source = intake.ledger, intake.source
    named = await ledger.hints(source.crm, stream.objects[0], MOST) if stream.objects else []
    for start in range(0, len(named), AT_ONCE):
        part = named[start : start + AT_ONCE]
        found = await source.read([ref for ref, _ in part], intake.fields)
        missing = [ref for ref, _ in part if ref not in found]
        known = await ledger.stamps(missing)
        at = intake.clock.now()
        records = [*found.values(), *(_deleted(ref, stream, at) for ref in missing if ref in known)]
        page = Page(stream.name, cursor.cursor, records=tuple(records), fetched=len(records))
        lease, _ = await intake.keep(page, stream, lease)
        await ledger.heed(part, lease)
    return lease


def _deleted(ref: Ref, stream: Stream, at: datetime) -> VendorRecord:
    return VendorRecord(ref, stream.kind, {}, at, state=RecordState.ARCHIVED)
