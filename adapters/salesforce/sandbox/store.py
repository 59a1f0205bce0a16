"""The org's records: keeps rows, moves stamps, derives what the platform derives, logs every write.

Everything here has happened or is refused with LookupError (no such record) or ValueError (makes no sense); what
an API user may do is judged in server.py and checks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from adapters.salesforce.sandbox import actions, persons
from adapters.salesforce.sandbox.checks import RecordError, checked
from adapters.salesforce.sandbox.evaluate import NOT_SHARED
from adapters.salesforce.sandbox.flows import Flows
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.schema import OPPORTUNITY_STAGES, Field, ObjectType, Schema
from adapters.salesforce.sandbox.setup_objects import SetupObjects
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.tables import Row, Table
from connector.sandbox.clock import SandboxClock
from connector.sandbox.log import SandboxLog
from connector.sandbox.population import salesforce_id

NEW_IDS = 900_000_000  # records created while the sandbox runs are numbered from here: their ids sort last
ARCHIVED_AFTER = timedelta(days=365)  # Salesforce help, "Archived activities"
API_USER = salesforce_id("005", 100)
ADMIN_USER = salesforce_id("005", 102)
HUBSPOT_USER = salesforce_id("005", 101)
SALES_USER = salesforce_id("005", 0)
RESPONSES = ("Responded", "Registered", "Attended", "Clicked", "Engaged")

FLOWS = "flows"  # no object: under this name the control surface adds and switches flows
AUTOMATED = salesforce_id("005", 103)  # what runs by itself, later than the save that caused it

TRACKED = (
    "Lead.Status", "Lead.OwnerId", "Lead.Rating", "Lead.Lifecycle_Stage__c", "Contact.OwnerId",
    "Contact.Lifecycle_Stage__c",
)  # fmt: skip
_HARD = ("CampaignMember",)  # deletes of these never reach the Recycle Bin


class Store:
    """Implements connector.sandbox.control.SandboxStore.

    `commit_lag`: what a user does is stamped at once but seen by queries only that much later, as rows of a
    long transaction are. Writes through the API are seen at once.
    """

    def __init__(
        self,
        schema: Schema,
        clock: SandboxClock,
        log: SandboxLog,
        *,
        commit_lag: timedelta = timedelta(),
        tracked: Iterable[str] = TRACKED,
    ) -> None:
        self.schema: dict[str, ObjectType] = dict(schema)
        self.clock = clock
        self.tables = {name: Table(kind) for name, kind in schema.items()}
        self.prefixes = {kind.prefix: name for name, kind in schema.items()}
        self.tracked = frozenset(tracked)  # `Object.Field` whose changes are kept as history
        self._log = log
        self._lag = commit_lag
        self._pending: list[tuple[datetime, str, Row]] = []
        self._numbers = count(NEW_IDS)
        self.set_visible: Callable[[str, str, bool], None] = _nobody_sees_it
        self._traps: dict[str, list[tuple[str, str]]] = {}
        self.jobs: dict[str, Any] = {}  # of Bulk API: bulk.Job by id
        self.flows = Flows(self)
        self.setup = SetupObjects(self)

    # ------------------------------------------------------------ for the control surface

    def counts(self) -> Mapping[str, int]:
        """Rows per object, deleted ones included."""
        return {name: len(table.rows) for name, table in self.tables.items()}

    def raw(self, object: str, id: str) -> Mapping[str, Any]:
        """The record as it truly stands, committed or not: every field, null where blank."""
        if object == FLOWS:
            return self.flows.raw(id)
        self.settle()
        row = self.latest(object, id)
        return {name: row.get(name, each.default) for name, each in self.tables[object].kind.fields.items()}

    def edit(
        self, object: str, id: str, fields: Mapping[str, Any], user: str | None = None
    ) -> Mapping[str, Any]:
        """Set fields as a salesperson would, or this user. Raises ValueError for values Salesforce would refuse."""
        self.settle()
        values = self._checked(object, fields, creating=False)
        self.update(object, self.latest(object, id)["Id"], values, "user", user)
        return self.raw(object, id)

    def create(self, object: str, fields: Mapping[str, Any]) -> str:
        """Create a record as a salesperson would, or one of the `flows` (as `flows.Flow` takes it); returns its id."""
        if object == FLOWS:
            return self.flows.add(**fields)
        if object not in self.tables:
            raise LookupError(f"The sandbox has no object {object}.")
        return self.insert(object, self._checked(object, fields, creating=True), "user")

    def act(self, object: str, id: str, action: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """convert, merge, delete, undelete, purge, respond: see actions.py; of flows on, off."""
        if object == FLOWS:
            return self.flows.switch(id, action)
        self.settle()
        self.latest(object, id)
        return actions.act(self, object, full_id(id) or id, action, arguments)

    # ------------------------------------------------------------ for the server

    def settle(self) -> None:
        """Make visible what has been committed by now, and let flows do what is due. Called before every request."""
        now = self.clock.now()
        while self._pending and self._pending[0][0] <= now:
            _, object, row = self._pending.pop(0)
            self.tables[object].put(row)
        self.flows.settle(AUTOMATED)

    def latest(self, object: str, id: str) -> Row:
        """The newest version of a row, committed or not. Raises LookupError."""
        table = self.tables.get(object)
        key = full_id(id)
        if table is None or key is None:
            raise LookupError(f"The sandbox has no {object} {id}.")
        for _, name, row in reversed(self._pending):
            if name == object and row["Id"] == key:
                return row
        if key not in table.rows:
            raise LookupError(f"The sandbox has no {object} {id}.")
        return table.rows[key]

    def update(
        self, object: str, id: str, values: Mapping[str, Any], by: str, user: str | None = None
    ) -> None:
        """Store checked values. Even a write that changes nothing moves both stamps, as in Salesforce.

        `user`: whose name it bears; None: the API user's or a salesperson's.
        """
        before = self.latest(object, id)
        user = user or (API_USER if by == "api" else SALES_USER)
        now = self._now()
        row = {**before, **values, "LastModifiedDate": now, "LastModifiedById": user, "SystemModstamp": now}
        by_flow = self.flows.before_save(object, before, row)
        derive(object, row, self.clock.now())
        self._judge_response(object, row)
        self._put(object, row, by)
        for names, whose in ((values, by), (by_flow, "flow")):
            if names is values or names:
                changed = {name: (before.get(name), row.get(name)) for name in names}
                self._log.add_write(object, id, changed, by=whose, at=self.clock.now())
        self._keep_history(object, before, row, now, user)
        self._move_activity_date(object, row)
        mirrored = persons.other_side(self, object, row)
        if mirrored is not None:
            self.platform_change(*mirrored)
        self.flows.after_save(object, before, row, user)

    def insert(self, object: str, values: Mapping[str, Any], by: str) -> str:
        """Store a new row of checked values; returns its id."""
        kind = self.tables[object].kind
        id = salesforce_id(kind.prefix, next(self._numbers))
        user = API_USER if by == "api" else SALES_USER
        now = self._now()
        row: dict[str, Any] = {"Id": id, **values}
        if "SystemModstamp" in kind.fields:
            row |= {"LastModifiedDate": now, "LastModifiedById": user, "SystemModstamp": now}
        row |= {"CreatedDate": now, "CreatedById": user}
        for each in kind.fields.values():
            if each.default_option is not None and row.get(each.name) is None:
                row[each.name] = each.default_option
        if "OwnerId" in kind.fields and not row.get("OwnerId"):
            row["OwnerId"] = user
        self.flows.before_save(object, {}, row)
        derive(object, row, self.clock.now())
        self._judge_response(object, row)
        self._put(object, row, by)
        written = {name: (None, value) for name, value in values.items()}
        self._log.add_write(object, id, written, by=by, at=self.clock.now())
        self._move_activity_date(object, row)
        self.flows.after_save(object, {}, row, user)
        return id

    def delete(self, object: str, id: str, by: str, master: str | None = None) -> None:
        """To the Recycle Bin; with `master`, as the loser of a merge. Campaign members go for good at once."""
        if object in _HARD:
            self.purge(object, id)
            return
        values = {"IsDeleted": True, **({"MasterRecordId": master} if master else {})}
        self.update(object, id, values, by)
        self.tables[object].deletions.append((self._now(), id))
        if object in ("Lead", "Contact"):
            key = f"{object}Id"
            for member in list(self.tables["CampaignMember"].children(key).get(id, ())):
                if master is None:
                    self.purge("CampaignMember", member)

    def purge(self, object: str, id: str) -> None:
        """For good: no query sees it again, only `deleted/` remembers it."""
        self._commit(object, id)
        table = self.tables[object]
        if not table.rows[id].get("IsDeleted"):
            table.deletions.append((self._now(), id))
        table.drop(id)

    def set_trap(self, id: str, code: str, message: str, times: int) -> None:
        """The next API updates of this row are refused so, as by a lock or a validation rule."""
        self._traps[id] = [(code, message)] * times

    def trap(self, id: str) -> tuple[str, str] | None:
        """Why the API update of this row at hand is refused, counted as used."""
        waiting = self._traps.get(id)
        return waiting.pop() if waiting else None

    def covered_until(self, end: datetime) -> datetime:
        """Up to when everything stamped is also committed, at most `end`."""
        stamps = [datetime.fromisoformat(row["SystemModstamp"]) for _, _, row in self._pending]
        return min([end, *stamps])

    def share(self, object: str, id: str, *, shared: bool) -> None:
        """Whether the API user sees this row. Moves no stamp."""
        row = {name: value for name, value in self.latest(object, id).items() if name != NOT_SHARED}
        self._put(object, row if shared else {**row, NOT_SHARED: True}, "api")

    def platform_change(self, object: str, id: str, values: Mapping[str, Any]) -> None:
        """What the platform does by itself: moves SystemModstamp, not LastModifiedDate; in no log."""
        row = {**self.latest(object, id), **values, "SystemModstamp": self._now()}
        self._put(object, row, "user")

    def add_field(self, object: str, each: Field) -> None:
        """A new custom field, or another definition of one; rows keep their values."""
        kind = self.schema[object]
        kind = replace(kind, fields={**kind.fields, each.name: each})
        self.schema[object] = kind
        self.tables[object].kind = kind

    # ------------------------------------------------------------ inner work

    def _checked(self, object: str, fields: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        try:
            return checked(self.schema[object], fields, creating=creating)
        except RecordError as refused:
            raise ValueError(f"{object}: {refused.message}") from None

    def _put(self, object: str, row: Row, by: str) -> None:
        if self._lag and by == "user":
            self._pending.append((self.clock.now() + self._lag, object, row))
        else:
            self._commit(object, row["Id"])
            self.tables[object].put(row)

    def _commit(self, object: str, id: str) -> None:
        """An API write waits for the row's lock, so what was pending on that row comes first."""
        mine = [entry for entry in self._pending if entry[1] == object and entry[2]["Id"] == id]
        for entry in mine:
            self._pending.remove(entry)
            self.tables[object].put(entry[2])

    def _now(self) -> str:
        return wire_time(self.clock.now().replace(microsecond=0))

    def _judge_response(self, object: str, row: dict[str, Any]) -> None:
        """What counts as a response is each campaign's own definition, where it has one for this status."""
        if object != "CampaignMember":
            return
        table = self.tables["CampaignMemberStatus"]
        for id in table.children("CampaignId").get(row["CampaignId"], ()):
            if table.rows[id].get("Label") == row.get("Status"):
                row["HasResponded"] = bool(table.rows[id].get("HasResponded"))
                today = self.clock.now().date().isoformat()
                row["FirstRespondedDate"] = (
                    row.get("FirstRespondedDate") or today if row["HasResponded"] else None
                )

    def _keep_history(self, object: str, before: Row, after: Row, now: str, user: str) -> None:
        history = f"{object}History"
        if history not in self.tables:
            return
        for name in self.schema[object].fields:
            if f"{object}.{name}" in self.tracked and before.get(name) != after.get(name):
                row = {
                    "Id": salesforce_id(self.schema[history].prefix, next(self._numbers)),
                    f"{object}Id": after["Id"],
                    "Field": "Owner" if name == "OwnerId" else name,
                    "OldValue": _as_kept(before.get(name)),
                    "NewValue": _as_kept(after.get(name)),
                    "CreatedDate": now,
                    "CreatedById": user,
                }
                self.tables[history].put(row)

    def _move_activity_date(self, object: str, row: Row) -> None:
        """A closed Task or an Event moves the person's LastActivityDate, and with it SystemModstamp alone."""
        who = row.get("WhoId")
        if object not in ("Task", "Event") or not who or (object == "Task" and not row.get("IsClosed")):
            return
        person = self.prefixes.get(who[:3], "")
        day = row.get("ActivityDate")
        if not person or not day or who not in self.tables[person].rows:
            return
        if (self.latest(person, who).get("LastActivityDate") or "") < day:
            self.platform_change(person, who, {"LastActivityDate": day})


def _as_kept(value: Any) -> Any:
    """Values of long texts are not kept, only that they changed (Salesforce help, "Field History Tracking")."""
    return None if isinstance(value, str) and len(value) > 255 else value


def _nobody_sees_it(object: str, field: str, visible: bool) -> None:
    raise ValueError("This store serves no API user.")


def derive(object: str, row: dict[str, Any], now: datetime) -> None:
    """Fill what the platform computes from other fields of the same row, in place."""
    if object in ("Lead", "Contact", "User"):
        row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)
    elif object == "CampaignMember":
        row["LeadOrContactId"] = row.get("ContactId") or row.get("LeadId")
        row["Type"] = "Contact" if row.get("ContactId") else "Lead"
        row["HasResponded"] = row.get("Status") in RESPONSES
        if row["HasResponded"] and not row.get("FirstRespondedDate"):
            row["FirstRespondedDate"] = now.date().isoformat()
    elif object == "Task":
        row["IsClosed"] = row.get("Status") == "Completed"
        row["IsHighPriority"] = row.get("Priority") == "High"
        row.setdefault("TaskSubtype", "Task")
        if row["IsClosed"] and not row.get("CompletedDateTime"):
            row["CompletedDateTime"] = wire_time(now.replace(microsecond=0))
        day = row.get("ActivityDate") or row["CreatedDate"][:10]
        row["IsArchived"] = row["IsClosed"] and _long_ago(day, now)
    elif object == "Event":
        start = row.get("StartDateTime") or row.get("ActivityDateTime")
        if start:
            row["StartDateTime"] = row["ActivityDateTime"] = start
            row["ActivityDate"] = start[:10]
            begins = datetime.fromisoformat(start)
            if row.get("DurationInMinutes") is None:
                ends = datetime.fromisoformat(row.get("EndDateTime") or start)
                row["DurationInMinutes"] = int((ends - begins).total_seconds() // 60) or 60
            row["EndDateTime"] = wire_time(begins + timedelta(minutes=row["DurationInMinutes"]))
            row["IsArchived"] = _long_ago(row["EndDateTime"][:10], now)
        row.setdefault("EventSubtype", "Event")
    elif object == "Opportunity":
        closed, won, chance = OPPORTUNITY_STAGES.get(row.get("StageName") or "", (False, False, 10.0))
        row["IsClosed"], row["IsWon"] = closed, won
        row["Probability"] = chance
        row["ForecastCategory"] = "Closed" if won else "Omitted" if closed else "Pipeline"


def _long_ago(day: str, now: datetime) -> bool:
    return date.fromisoformat(day) < (now - ARCHIVED_AFTER).date()
