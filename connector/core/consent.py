"""Whether somebody may be mailed, as far as we may know it. Pure. Unknown is no yes.

A field that is blank says nothing, for so a CRM reads that hides it from us; only where a mapping says that a blank
means no (`blank: false`), it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from connector.core.mapping import CrmMapping
from connector.core.model import PersonRecord, RecordState, Value

MAIL = "email_opt_out"
CONSENT = (MAIL, "phone_opt_out")
"""The fields of consent."""


class Consent(StrEnum):
    """What is known of the consent to mail."""

    NOT_REFUSED = "not refused"
    REFUSED = "opted out"
    UNKNOWN = "unknown"


def mail_consent(
    fields: Mapping[str, Value], records: Iterable[PersonRecord], mappings: Mapping[str, CrmMapping]
) -> Consent:
    """Of somebody with these settled fields. An opt-out in any record holds. Unknown where a live record does not tell
    what its mapping asks for, as when the CRM hides the field from us, and where no mapping asks for it."""
    if fields.get(MAIL) is True:
        return Consent.REFUSED
    live = [record for record in records if record.state is RecordState.LIVE]
    asked = [record for record in live if _asks(record, mappings)]
    told = bool(asked) and all(record.fields.get(MAIL) is not None for record in asked)
    return Consent.NOT_REFUSED if told else Consent.UNKNOWN


def _asks(record: PersonRecord, mappings: Mapping[str, CrmMapping]) -> bool:
    mapping = mappings.get(record.ref.crm)
    shape = mapping.objects.get(record.ref.object) if mapping else None
    return shape is not None and any(line.field == MAIL for line in shape.fields)
