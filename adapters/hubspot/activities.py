"""Activities of sales: meetings, calls, one-to-one e-mails, tasks, notes, messages. Whose they are is told by
associations, read in batches; when they happened, by a property that means something else for each kind.

Source: developers.hubspot.com, "Engagements" (a page per type) and "Associations v4".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from adapters.hubspot.payload import CRM, UnreadableError, lenient_moment, moment, row_id, values_of
from connector.core.model import JsonValue, Ref, VendorEvent
from connector.ports import Stream

STREAMS = tuple(
    Stream(name, "engagement", (name,))
    for name in ("meetings", "calls", "emails", "tasks", "notes", "communications")
)
INCOMING = "INCOMING_EMAIL"
WHEN = {"tasks": "hs_createdate"}  # the property by which a kind is searched for when it happened


def when(stream: str) -> str:
    """The property that says when activities of this kind happened, as near as a search can ask for it."""
    return WHEN.get(stream, "hs_timestamp")


def activity(row: Any, stream: str, contacts: Iterable[str], *, archived: bool = False) -> VendorEvent:
    """One activity. Raises UnreadableError.

    An e-mail that came in is what its sender did: where several contacts took part, it joins by the sender's address
    and not by all of them.
    """
    id_ = row_id(row)
    values = values_of(row)
    happened = _happened(stream, values, lenient_moment(row.get("createdAt")))
    if happened is None:
        raise UnreadableError("it does not say when it happened")
    about = tuple(Ref(CRM, "contact", contact) for contact in dict.fromkeys(contacts))
    sender = values.get("hs_email_from_email") if values.get("hs_email_direction") == INCOMING else None
    one_of_many = isinstance(sender, str) and len(about) > 1
    return VendorEvent(
        crm=CRM,
        stream=stream,
        key=id_,
        values=values,
        occurred_at=happened,
        about=() if one_of_many else about,
        email=sender if one_of_many else None,
        deleted=archived or row.get("archived") is True,
    )


def _happened(stream: str, values: Mapping[str, JsonValue], created: datetime | None) -> datetime | None:
    """When it happened. `hs_timestamp` says so for most.

    A meeting happens when it is booked or when it takes place, whichever is first: one that was logged afterwards was
    not booked by being logged, one booked for next week is a fact today. Of a task `hs_timestamp` is when it is due,
    which may be next year; it happens when it is noted down.
    """
    said = moment(values.get("hs_timestamp"))
    if stream == "tasks":
        return created or said
    if stream == "meetings":
        moments = [at for at in (moment(values.get("hs_meeting_start_time")) or said, created) if at]
        return min(moments) if moments else None
    return said or created
