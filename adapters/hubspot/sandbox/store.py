"""The made-up account's truth: records, links between them, forms, e-mail events. Speaks no HTTP.

Here are HubSpot's own rules about records: stages move forward only, merges make a new record, aggregates are
calculated without moving the last-modified stamp.
"""

from __future__ import annotations

import uuid
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.hubspot.sandbox import attendance, deals
from adapters.hubspot.sandbox.attendance import MarketingEvent
from adapters.hubspot.sandbox.habits import RESTORE, Habits
from adapters.hubspot.sandbox.schema import (
    OBJECT_SOURCE,
    OWN_COUNTERS,
    STAGES,
    BadValue,
    activity_properties,
    clean,
    company_properties,
    contact_properties,
)
from adapters.hubspot.sandbox.sources import source_of
from adapters.hubspot.sandbox.table import Row, Table, Version
from adapters.hubspot.sandbox.webhooks import Webhooks
from adapters.hubspot.sandbox.wire import from_ms, iso, made_uuid, to_ms
from adapters.hubspot.sandbox.workflows import Workflows
from connector.sandbox import words
from connector.sandbox.cast import hubspot_id
from connector.sandbox.clock import SandboxClock
from connector.sandbox.log import SandboxLog

ACTIVITIES = ("calls", "communications", "emails", "meetings", "notes", "tasks")
_SINGULAR = {
    "contacts": ("contact", "0-1"),
    "companies": ("company", "0-2"),
    "deals": ("deal", "0-3"),
    "communications": ("communication", "0-18"),
    "tasks": ("task", "0-27"),
    "notes": ("note", "0-46"),
    "meetings": ("meeting", "0-47"),
    "calls": ("call", "0-48"),
    "emails": ("email", "0-49"),
}
TYPE_IDS = {  # association type ids, developers.hubspot.com "Associations v4"
    ("communications", "contacts"): 81,
    ("notes", "contacts"): 202,
    ("emails", "contacts"): 198,
    ("tasks", "contacts"): 204,
    ("calls", "contacts"): 194,
    ("meetings", "contacts"): 200,
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
}
PRIMARY_COMPANY = 1
NEW_IDS = 60_000_000  # numbers of records made while the sandbox runs
_ORDER = {stage: place for place, (stage, _) in enumerate(STAGES)}


@dataclass(slots=True)
class Form:
    """A form and what was sent through it, oldest first: (submitted at, conversion id, values, page)."""

    guid: str
    name: str
    kind: str
    created: int
    updated: int
    submissions: list[tuple[int, str, tuple[tuple[str, str], ...], str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class EmailEvent:
    """One marketing e-mail event. Ordered by time."""

    created: int
    id: str
    type: str = ""
    recipient: str = ""
    campaign: int = 0
    filtered: bool = False
    url: str | None = None
    subscriptions: tuple[tuple[int, str], ...] = ()
    sent: int | None = None  # when the mail left; an hour before, where nobody says
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A page that a contact looked at; the n-th visit of all."""

    n: int
    at: int
    url: str


class Store:
    """One account. `by` is `api` for calls of a client and `user` for the control surface."""

    def __init__(
        self,
        clock: SandboxClock,
        log: SandboxLog,
        *,
        with_mql_fields: bool = True,
        index_lag_seconds: float = 2.0,
        merge_keeps_primary: bool = False,
        habits: Habits | None = None,
        merged_read: str = "told",
        links_touch: bool = False,
    ) -> None:
        self.clock = clock
        self.log = log
        self.merge_keeps_primary = merge_keeps_primary
        self.habits = habits or Habits()
        self.merged_read = merged_read  # told | silent
        self.links_touch = links_touch
        self.revoked: set[str] = set()  # access tokens that open nothing any more
        self.on_list: dict[str, dict[int, bool]] = {}  # whom somebody put on a manual list, or took off it
        lag = int(index_lag_seconds * 1000)
        self.tables: dict[str, Table] = {
            "contacts": Table(
                "contacts",
                "contact",
                contact_properties(with_mql_fields, self.habits.stage_dates),
                "createdate",
                "lastmodifieddate",
                lag,
            ),
            "companies": Table(
                "companies", "company", company_properties(), "createdate", "hs_lastmodifieddate", lag
            ),
            "deals": Table(
                "deals", "deal", deals.deal_properties(), "createdate", "hs_lastmodifieddate", lag
            ),
        }
        for kind in ACTIVITIES:
            self.tables[kind] = Table(
                kind,
                _SINGULAR[kind][0],
                activity_properties(kind),
                "hs_createdate",
                "hs_lastmodifieddate",
                lag,
            )
        self._names = {alias: name for name, aliases in _SINGULAR.items() for alias in (name, *aliases)}
        self.groups: dict[str, dict[str, str]] = {
            name: {"contactinformation": "Contact information", **({"mql": "MQL"} if with_mql_fields else {})}
            for name in self.tables
        }
        self.links: dict[tuple[str, str], dict[int, list[int]]] = {}
        self.forms: dict[str, Form] = {}
        self.email_events: list[EmailEvent] = []
        self.email_campaigns: dict[int, str] = {}
        self.visits: dict[int, list[Visit]] = {}  # by contact
        self._visited = 0
        self.marketing_events: dict[int, MarketingEvent] = {}
        self.workflows = Workflows(self)
        self.webhooks = Webhooks(self.now)
        self.owners: list[dict[str, Any]] = []
        self.blocked: set[str] = set()  # addresses erased for good
        self._made = 0
        self._sent = 0  # form submissions

    def table(self, name: str) -> Table | None:
        """By name, singular or type id."""
        return self.tables.get(self._names.get(name, ""))

    def now(self) -> int:
        """Epoch milliseconds."""
        return to_ms(self.clock.now())

    def new_id(self) -> int:
        """The next free record id."""
        self._made += 1
        return int(hubspot_id(NEW_IDS + self._made))

    # ------------------------------------------------------------------------------------------ writing

    def update(
        self, table: Table, row: Row, changes: Mapping[str, str], by: str, at: int | None = None
    ) -> None:
        """Write cleaned values by HubSpot's rules, and log the write even where nothing moved. `by` as `sources` has
        it; `at` in epoch milliseconds, now if None."""
        now = self.now() if at is None else at
        wanted = {name: _appended(row.values.get(name, ""), value) for name, value in changes.items()}
        before = {name: row.values.get(name) for name in wanted}
        company = row.values.get("associatedcompanyid", "")
        if "lifecyclestage" in wanted:
            wanted |= self._stage_change(table, row, wanted.pop("lifecyclestage"), now)
        if table.name == deals.DEALS:
            wanted |= deals.follows(row.values, wanted, now)
        if "email" in wanted:
            wanted["hs_email_domain"] = wanted["email"].partition("@")[2]
        known = {name: value for name, value in wanted.items() if name in table.properties}
        if (
            not table.write(row, known, now, source_of(by))
            and by == "api"
            and self.habits.identical_write_moves
        ):
            table.touch(row, now)
        if table.name == "contacts" and row.values.get("associatedcompanyid", "") != company:
            self._move_company(row, company)
        fields = {name: (before[name] or None, row.values.get(name) or None) for name in changes}
        self.log.add_write(table.singular, str(row.id), fields, by=by.partition(" ")[0], at=from_ms(now))
        moved = [name for name in changes if before[name] != row.values.get(name)]
        self.workflows.changed(table, row, moved, by)
        told = {name: row.values.get(name) for name in moved}
        self.webhooks.changed(table.singular, row.id, told, by.partition(" ")[0])
        stage, workflow = before.get("lifecyclestage"), self.habits.stage_workflow
        if by == "api" and stage and workflow and not row.values.get("lifecyclestage"):
            self.update(
                table, row, {"lifecyclestage": stage if workflow == RESTORE else workflow}, "workflow"
            )

    def insert(self, table: Table, values: Mapping[str, str], by: str) -> Row:
        """A new record from cleaned values."""
        now = self.now()
        row = Row(self.new_id(), dict(values), now, now)
        stage = row.values.pop("lifecyclestage", "")
        if "email" in row.values:
            row.values["hs_email_domain"] = row.values["email"].partition("@")[2]
        if table.name in ("contacts", "companies"):
            row.values |= self._stage_change(table, row, stage or "lead", now)
        if table.name == deals.DEALS:
            row.values |= deals.follows({}, row.values, now)
        row.values = {name: value for name, value in row.values.items() if name in table.properties}
        row.history = {
            name: [Version(value, now, source_of(by))] for name, value in row.values.items() if value
        }
        table.add(row)
        if table.name == "contacts" and row.values.get("associatedcompanyid"):
            self._move_company(row, "")
        fields = {name: (None, value) for name, value in values.items()}
        self.log.add_write(table.singular, str(row.id), fields, by=by, at=self.clock.now())
        self.workflows.changed(table, row, list(values), by)
        self.webhooks.happened(table.singular, "creation", row.id)
        return row

    def merge(self, table: Table, primary: Row, other: Row, by: str) -> Row:
        """Two become one; the primary's values win.

        Returns the survivor: by default a record with a new id.
        """
        now = self.now()
        values = {**other.values, **{name: value for name, value in primary.values.items() if value}}
        absorbed = [row for row in (other, primary) if row is not primary or not self.merge_keeps_primary]
        older = [row.values.get("hs_merged_object_ids", "") for row in (primary, other)]
        ids = [
            *(part for text in older for part in text.split(";") if part),
            *(str(row.id) for row in absorbed),
        ]
        values["hs_merged_object_ids"] = ";".join(dict.fromkeys(ids))
        values["hs_calculated_merged_vids"] = ";".join(f"{row.id}:{now}" for row in absorbed)
        if table.name == "contacts":
            main = values.get("email", "")
            more = {
                address
                for row in (primary, other)
                for address in (
                    row.values.get("email", ""),
                    *row.values.get("hs_additional_emails", "").split(";"),
                )
            }
            values["hs_additional_emails"] = ";".join(sorted(more - {main, ""}))
            for name in (*_SUMMED, *OWN_COUNTERS):
                total = sum(int(row.values.get(name) or 0) for row in (primary, other))
                if total:
                    values[name] = str(total)
        if self.merge_keeps_primary:
            survivor = primary
            table.absorb(other, primary.id)
            table.set_quietly(primary, values)
            table.touch(primary, now)
        else:
            created = min(primary.created, other.created)
            survivor = Row(self.new_id(), values, created, now, history=dict(primary.history))
            table.absorb(other, survivor.id)
            table.absorb(primary, survivor.id)
            table.add(survivor)
        for row in reversed(absorbed):  # the primary's first: its company stays the primary one
            self._move_links(table.name, row.id, survivor.id)
        fields = {"hs_merged_object_ids": (None, values["hs_merged_object_ids"])}
        self.log.add_write(table.singular, str(survivor.id), fields, by=by, at=self.clock.now())
        self.webhooks.happened(
            table.singular, "merge", primary.id, primaryObjectId=primary.id, mergedObjectIds=[other.id],
            newObjectId=survivor.id,
        )  # fmt: skip
        return survivor

    def erase(self, table: Table, row: Row) -> None:
        """GDPR delete: no trace is left, not even among the archived."""
        self.blocked.update(address for address in (row.values.get("email", ""),) if address)
        table.purge(row)
        for links in self.links.values():
            links.pop(row.id, None)
            for targets in links.values():
                if row.id in targets:
                    targets.remove(row.id)

    def link(self, kind: str, id: int, to: str, to_id: int) -> None:
        """Associate two records, both ways."""
        for one, one_id, two, two_id in ((kind, id, to, to_id), (to, to_id, kind, id)):
            targets = self.links.setdefault((one, two), {}).setdefault(one_id, [])
            if two_id not in targets:
                targets.append(two_id)

    def relink(self, kind: str, id: int, to: str, to_ids: list[int]) -> None:
        """Associate with these and no others. Unless `links_touch`, no last-modified stamp moves."""
        for other in self.links.get((kind, to), {}).pop(id, []):
            self.links[to, kind][other].remove(id)
        for other in to_ids:
            self.link(kind, id, to, other)
        if self.links_touch:
            self.tables[kind].touch(self.tables[kind].rows[id], self.now())

    def linked(self, kind: str, id: int, to: str) -> list[int]:
        """Ids associated with this record."""
        return self.links.get((kind, to), {}).get(id, [])

    def submit(
        self, form: Form, at: int, values: Mapping[str, str], page: str, *, keep_id: bool = True
    ) -> None:
        """A form was sent. The contact's conversion counters follow, its last-modified stamp does not."""
        self._sent += 1
        conversion = made_uuid(self._sent, 1)
        insort(form.submissions, (at, conversion if keep_id else "", tuple(values.items()), page))
        form.updated = max(form.updated, at)
        contact = self.contact_of(values.get("email", ""))
        if contact is None:
            return
        title = f"{form.name}: {page}" if page else form.name
        changes = self._counted(contact, "num_conversion_events", at, "recent_conversion_date")
        if "recent_conversion_date" in changes:
            changes["recent_conversion_event_name"] = title
        first = contact.values.get("first_conversion_date", "")
        if not first or first > iso(at):
            changes["first_conversion_date"] = iso(at)
        self.tables["contacts"].set_quietly(contact, changes)

    def emailed(self, event: EmailEvent) -> None:
        """A marketing e-mail event. Aggregates follow, the last-modified stamp does not."""
        insort(self.email_events, event)
        contact = self.contact_of(event.recipient)
        if contact is None or event.filtered:
            return
        count, last = _EMAIL_COUNTERS.get(event.type, ("", ""))
        changes = self._counted(contact, count, event.created, last) if count else {}
        if event.type == "UNSUBSCRIBED":
            changes["hs_email_optout"] = "true"
        if changes:
            self.tables["contacts"].set_quietly(contact, changes)

    def viewed(self, contact: Row, at: int, url: str) -> None:
        """A tracked page view."""
        self._visited += 1
        self.visits.setdefault(contact.id, []).append(Visit(self._visited, at, url))
        changes = self._counted(contact, "hs_analytics_num_page_views", at, "hs_analytics_last_timestamp")
        if "hs_analytics_last_timestamp" in changes:
            changes |= {"hs_analytics_last_url": url, "hs_analytics_last_visit_timestamp": iso(at)}
        if "/pricing" in url:
            changes |= self._counted(contact, "pricing_page_views", at, "last_pricing_page_view")
        self.tables["contacts"].set_quietly(contact, changes)

    def counted(self, contact: Row, counter: str, at: int) -> None:
        """One more of what this account counts itself (schema.OWN_COUNTERS)."""
        changes = self._counted(contact, counter, at, OWN_COUNTERS[counter])
        self.tables["contacts"].set_quietly(contact, changes)

    def contact_of(self, address: str) -> Row | None:
        """The live contact with this address, secondary ones included."""
        contacts = self.tables["contacts"]
        found = contacts.emails.get(address.strip().lower())
        return contacts.rows[found] if found is not None else None

    def _counted(self, contact: Row, count: str, at: int, last: str) -> dict[str, str]:
        changes = {count: str(int(contact.values.get(count) or 0) + 1)}
        when = iso(at)
        if contact.values.get(last, "") < when:
            changes[last] = when
        return changes

    def goes_back(self, row: Row, stage: str) -> bool:
        """Whether this stage comes before the one that stands there."""
        present = row.values.get("lifecyclestage", "")
        return bool(stage and present) and _ORDER.get(stage, 0) < _ORDER.get(present, 0)

    def _stage_change(self, table: Table, row: Row, wanted: str, now: int) -> dict[str, str]:
        """What a written stage does.

        Backward is ignored without a word (HubSpot's guide: clear first, then set).
        """
        present = row.values.get("lifecyclestage", "")
        if wanted == present or (self.goes_back(row, wanted) and self.habits.lifecycle_backward == "ignore"):
            return {}
        changes = {"lifecyclestage": wanted}
        if table.name == "contacts":
            if present:
                changes[f"hs_v2_date_exited_{present}"] = iso(now)
            if wanted:
                changes[f"hs_v2_date_entered_{wanted}"] = iso(now)
                changes[f"hs_lifecyclestage_{wanted}_date"] = iso(now)
        return changes

    def _move_company(self, row: Row, before: str) -> None:
        if before.isdigit():
            for one, id, two, other in (
                ("contacts", row.id, "companies", int(before)),
                ("companies", int(before), "contacts", row.id),
            ):
                targets = self.links.get((one, two), {}).get(id, [])
                if other in targets:
                    targets.remove(other)
        company = row.values.get("associatedcompanyid", "")
        if company.isdigit():
            self.link("contacts", row.id, "companies", int(company))

    def _associate(self, row: Row, company: str) -> None:
        """Another primary company, set by association and not by the property: whether that moves the last-modified
        stamp is not documented."""
        before = row.values.get("associatedcompanyid", "")
        table = self.tables["contacts"]
        table.set_quietly(row, {"associatedcompanyid": company})
        self._move_company(row, before)
        if self.links_touch:
            table.touch(row, self.now())

    def _move_links(self, kind: str, old: int, new: int) -> None:
        if old == new:
            return
        for (one, two), links in list(self.links.items()):
            if one != kind:
                continue
            for target in links.pop(old, []):
                back = self.links.get((two, one), {}).get(target, [])
                if old in back:
                    back.remove(old)
                self.link(one, new, two, target)

    # ------------------------------------------------------------------------------------------ the control
    # surface

    def counts(self) -> Mapping[str, int]:
        """Rows per object."""
        counted = {name: len(table.rows) for name, table in self.tables.items()}
        counted["form_submissions"] = sum(len(form.submissions) for form in self.forms.values())
        counted["email_events"] = len(self.email_events)
        counted["marketing_events"] = sum(len(each.participations) for each in self.marketing_events.values())
        return counted

    def raw(self, object: str, id: str) -> Mapping[str, Any]:
        """The record as it truly stands."""
        if object == "workflows":
            return self.workflows.raw(id)
        self.workflows.settle()
        table, row = self._find(object, id)
        return {
            "id": str(row.id),
            "properties": dict(row.values),
            "updatedAt": iso(row.updated),
            "archived": row.archived_at is not None,
            "merged_into": str(table.survivor(row).id) if row.merged_into is not None else None,
        }

    def edit(self, object: str, id: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """As in HubSpot's own screens: a user may move a stage backward."""
        return self._edit(object, id, fields, "user")

    def _edit(self, object: str, id: str, fields: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        self.workflows.settle()
        table, row = self._find(object, id)
        values = self._cleaned(table, fields)
        if self.goes_back(row, values.get("lifecyclestage", "")):
            self.update(table, row, {"lifecyclestage": ""}, by)
        self.update(table, row, values, by)
        return self.raw(object, id)

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """A record; or `workflows` (as `workflows.Workflows.add` takes it), `form_submissions` {form, email, url?,
        at?}, `email_events` {type, email, campaign?, url?, at?, filtered?, sent?, agent?}; `contacts` in the fields of
        calls, meetings, e-mails, notes, tasks and deals links them, `companies` in those of a deal too, the first as
        its primary one; `imported` {id, file} of a contact is the import that brought it. Marketing events and
        participations: attendance.control.
        """
        if object == "workflows":
            return self.workflows.add(**fields)
        if object == "form_submissions":
            return self._control_submission(fields)
        if object == "email_events":
            return self._control_email(fields)
        if object in ("marketing_events", "participations"):
            return attendance.control(self, object, fields)
        table = self.table(object)
        if table is None:
            raise LookupError(f"There is no object {object}.")
        given = dict(fields)
        links = {kind: given.pop(kind, ()) for kind in ("companies", "contacts")}
        imported = given.pop("imported", None)
        values = self._cleaned(table, given)
        if table.name == "contacts":
            values |= self._source(imported)
        if table.name == "contacts" and values.get("email") in table.emails:
            raise ValueError("Another contact has this address.")
        row = self.insert(table, values, "user")
        for kind, others in links.items():
            for other in others:
                _, found = self._find(kind, str(other))
                self.link(table.name, row.id, kind, found.id)
        return str(row.id)

    @staticmethod
    def _source(imported: Mapping[str, Any] | None) -> dict[str, str]:
        """How a contact that somebody makes comes in: by hand, or with an import."""
        if imported is None:
            told = ("CRM_UI", "CRM UI", "userId:1", "")
        else:
            told = ("IMPORT", "Import", str(imported["id"]), str(imported["file"]))
        return {name: value for name, value in zip(OBJECT_SOURCE, told, strict=True) if value}

    def act(self, object: str, id: str, action: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """merge {other}, archive, restore, gdpr_delete, set {fields, by}: an edit by somebody else (`sources`);
        of workflows on, off; of tokens revoke, as "Rotate and expire now" of a private app does; of contacts also
        page_view {url?, times?}, count {counter, times?}, associate {company}; of activities associate {contacts}, of
        deals also {companies}: these, and no others any more.
        """
        if object == "workflows":
            return self.workflows.switch(id, action)
        if (object, action) == ("tokens", "revoke"):
            self.revoked.add(id)
            return {"id": id}
        if action == "set":
            return self._edit(object, id, arguments["fields"], str(arguments.get("by", "user")))
        self.workflows.settle()
        table, row = self._find(object, id)
        times = int(arguments.get("times", 1))
        if action == "merge":
            _, other = self._find(object, str(arguments.get("other", "")))
            return {"id": str(self.merge(table, row, other, "user").id)}
        if action == "archive":
            table.archive(row, self.now())
            self.webhooks.happened(table.singular, "deletion", row.id)
        elif action == "restore":
            table.restore(row, self.now())
            self.webhooks.happened(table.singular, "restore", row.id)
        elif action == "gdpr_delete":
            self.erase(table, row)
            for what in ("deletion", "privacyDeletion"):
                self.webhooks.happened(table.singular, what, row.id)
            return {"id": id}
        elif action == "associate" and table.name in (*ACTIVITIES, deals.DEALS):
            for kind in arguments.keys() & {"contacts", "companies"}:
                found = [self._find(kind, str(other))[1].id for other in arguments[kind]]
                self.relink(table.name, row.id, kind, found)
        elif action == "associate" and table.name == "contacts":
            self._associate(row, str(arguments.get("company", "")))
        elif action == "page_view" and table.name == "contacts":
            for _ in range(times):
                self.viewed(row, self.now(), str(arguments.get("url", words.SITE)))
        elif action == "count" and table.name == "contacts":
            if arguments.get("counter") not in OWN_COUNTERS:
                raise ValueError(f"Counters are {', '.join(OWN_COUNTERS)}.")
            for _ in range(times):
                self.counted(row, str(arguments["counter"]), self.now())
        else:
            raise ValueError(f"A {table.singular} knows no action {action}.")
        return self.raw(object, id)

    def _control_submission(self, fields: Mapping[str, Any]) -> str:
        asked = str(fields.get("form", ""))
        form = next((form for form in self.forms.values() if asked in (form.guid, form.name)), None)
        if form is None:
            raise LookupError(f"There is no form {asked}.")
        at = int(fields.get("at", self.now()))
        rest = {key: str(value) for key, value in fields.items() if key not in ("form", "url", "at")}
        self.submit(form, at, rest, str(fields.get("url", "")))
        return form.submissions[-1][1]

    def _control_email(self, fields: Mapping[str, Any]) -> str:
        event = EmailEvent(
            created=int(fields.get("at", self.now())),
            id=str(uuid.uuid4()),
            type=str(fields.get("type", "OPEN")),
            recipient=str(fields.get("email", "")).lower(),
            campaign=int(fields.get("campaign", next(iter(self.email_campaigns), 1))),
            filtered=bool(fields.get("filtered", False)),
            url=fields.get("url"),
            sent=fields.get("sent"),
            agent=fields.get("agent"),
        )
        self.emailed(event)
        return event.id

    def _find(self, object: str, id: str) -> tuple[Table, Row]:
        table = self.table(object)
        row = table.get(id) if table is not None else None
        if table is None or row is None:
            raise LookupError(f"There is no {object} {id}.")
        return table, row

    def _cleaned(self, table: Table, fields: Mapping[str, Any]) -> dict[str, str]:
        values: dict[str, str] = {}
        for name, given in fields.items():
            found = clean(table.properties.get(name), name, "" if given is None else given)
            if isinstance(found, BadValue):
                raise ValueError(found.message)
            values[name] = found
        return values


def _appended(before: str, value: str) -> str:
    """`;value` adds to a multiple choice instead of replacing it."""
    if not value.startswith(";"):
        return value
    parts = [part for part in (*before.split(";"), *value.split(";")) if part]
    return ";".join(dict.fromkeys(parts))


_EMAIL_COUNTERS = {
    "OPEN": ("hs_email_open", "hs_email_last_open_date"),
    "CLICK": ("hs_email_click", "hs_email_last_click_date"),
    "BOUNCE": ("hs_email_bounce", "hs_email_last_send_date"),
    "REPLY": ("hs_email_replied", "hs_sales_email_last_replied"),
}
_SUMMED = (
    "hs_email_open",
    "hs_email_click",
    "hs_email_bounce",
    "hs_email_replied",
    "hs_analytics_num_page_views",
    "num_conversion_events",
)
