"""What sales and people wrote down in the made-up HubSpot: meetings, calls, e-mails, tasks, notes, messages.

Invents nobody: each follows from what the shared population did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from adapters.hubspot.sandbox.store import Store
from adapters.hubspot.sandbox.table import Row
from adapters.hubspot.sandbox.wire import iso, to_ms
from connector.sandbox import words
from connector.sandbox.cast import SandboxEngagement, hubspot_id

SPOKEN_IDS = 40_000_000
WRITTEN_IDS = 45_000_000
HOUR = 3_600_000
SELLER = f"robin.seller@{words.OWN_DOMAIN}"


def fill_activities(store: Store, done: Iterable[SandboxEngagement], now: int) -> None:
    """Meetings and calls as they are; around them what a diligent salesperson leaves behind until now."""
    rows: dict[str, list[Row]] = {}
    links: list[tuple[str, int, int]] = []
    spoken, written = _ids(SPOKEN_IDS), _ids(WRITTEN_IDS)
    for deed in done:
        if deed.record is None or not deed.channel.startswith("hubspot_"):
            continue
        at, contact = to_ms(deed.occurred_at), int(deed.record)
        made: list[tuple[str, Row]] = []
        if deed.channel == "hubspot_call":
            made.append(("calls", _call(next(spoken), deed, at)))
            made.append(("tasks", _task(next(written), deed, at)))
            if deed.n % 3 == 0:
                made.append(("communications", _message(next(written), at + HOUR)))
        elif deed.channel == "hubspot_meeting":
            made.append(("meetings", _meeting(next(spoken), deed, at)))
            made.append(("notes", _row(next(written), {"hs_note_body": "Notes of the meeting"}, at + HOUR)))
        elif deed.type == "email_reply":
            made.append(("emails", _mail(next(written), deed, at - HOUR, incoming=False)))
            made.append(("emails", _mail(next(written), deed, at, incoming=True)))
        for kind, row in made:
            if row.updated > now and kind not in ("calls", "meetings"):
                continue
            rows.setdefault(kind, []).append(row)
            links.append((kind, row.id, contact))
            if kind in ("calls", "meetings"):
                _touched(store, contact, kind, at)
    for kind, found in rows.items():
        store.tables[kind].load(found)
    for kind, id, contact in links:
        store.link(kind, id, "contacts", contact)


def _ids(first: int) -> Iterator[int]:
    number = first
    while True:
        yield int(hubspot_id(number))
        number += 1


def _row(id: int, values: dict[str, str], at: int) -> Row:
    # HubSpot's activities are stamped when they are noted down, a little after they happened.
    return Row(id, {"hs_timestamp": iso(at), **values}, at + 60_000, at + 60_000)


def _call(id: int, deed: SandboxEngagement, at: int) -> Row:
    values = {
        "hs_call_title": deed.name or "",
        "hs_call_status": deed.status or "",
        "hs_call_direction": "OUTBOUND",
        "hs_call_duration": str(int((deed.value or 0) * 1000)),
    }
    return _row(id, values, at)


def _meeting(id: int, deed: SandboxEngagement, at: int) -> Row:
    values = {
        "hs_meeting_title": deed.name or "",
        "hs_meeting_outcome": deed.status or "",
        "hs_meeting_start_time": iso(at),
        "hs_meeting_end_time": iso(at + 1_800_000),
    }
    return _row(id, values, at)


def _mail(id: int, deed: SandboxEngagement, at: int, *, incoming: bool) -> Row:
    sender, reader = (deed.email or "", SELLER) if incoming else (SELLER, deed.email or "")
    subject = deed.name or "Our talk"
    values = {
        "hs_email_subject": f"Re: {subject}" if incoming else subject,
        "hs_email_direction": "INCOMING_EMAIL" if incoming else "EMAIL",
        "hs_email_status": "SENT",
        "hs_email_from_email": sender,
        "hs_email_to_email": reader,
    }
    return _row(id, values, at)


def _task(id: int, deed: SandboxEngagement, at: int) -> Row:
    """Due a week after the call it follows, which may be yet to come; every second one is done."""
    values = {"hs_task_subject": f"Follow up: {deed.name or 'call'}", "hs_task_type": "TODO"}
    if deed.n % 2:
        values |= {"hs_task_status": "COMPLETED", "hs_task_completion_date": iso(at + HOUR)}
    else:
        values["hs_task_status"] = "NOT_STARTED"
    return Row(id, {"hs_timestamp": iso(at + 168 * HOUR), **values}, at + 60_000, at + 60_000)


def _message(id: int, at: int) -> Row:
    values = {"hs_communication_channel_type": "LINKEDIN_MESSAGE", "hs_communication_logged_from": "CRM"}
    return _row(id, values, at)


def _touched(store: Store, contact_id: int, kind: str, at: int) -> None:
    contacts = store.tables["contacts"]
    contact = contacts.survivor(contacts.rows[contact_id])
    changes = {"num_contacted_notes": str(int(contact.values.get("num_contacted_notes") or 0) + 1)}
    name = "engagements_last_meeting_booked" if kind == "meetings" else "notes_last_contacted"
    if contact.values.get(name, "") < iso(at):
        changes[name] = iso(at)
    contacts.set_quietly(contact, changes)
