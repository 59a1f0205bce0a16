"""Give an org the fields that a mapping writes to, and let the right people see them. Run by an administrator.

Looks at everything first, makes only what is missing, and changes nothing that it finds but for picklist values that
it adds. A field that the API makes is seen by nobody, not even its maker, until a permission set grants it: that is
half the work. Sources: Tooling API guide, "CustomField"; Object reference, "PermissionSet", "FieldPermissions",
"ObjectPermissions", "PermissionSetAssignment".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from adapters.salesforce import soql
from adapters.salesforce.auth import Login, Session
from adapters.salesforce.checks import fields_by_name
from adapters.salesforce.clicks import by_hand
from adapters.salesforce.payload import long_id
from adapters.salesforce.rest import Rest
from adapters.salesforce.setup_fields import Todo, compared, metadata_of, standard
from connector.core.targets import TargetField
from connector.errors import ConnectorError, FixConfig
from connector.ports import Clock, Step
from connector.transport import Transport

WRITERS = "MQL_Connector"  # of the integration user: read and edit
READERS = "MQL_Connector_Read"  # of everybody who should see the results
LABELS: Mapping[str, tuple[str, str]] = {
    WRITERS: ("MQL Connector", "Lets the MQL connector write its results. Assigned to its integration user."),
    READERS: (
        "MQL Connector: see the results",
        "Lets people see what the MQL connector writes. Assign it to sales.",
    ),
}
SEEN_AFTER = (
    timedelta(seconds=1),
    timedelta(seconds=3),
    timedelta(seconds=6),
)  # a grant takes a moment to show
EXISTS = ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE")


@dataclass(slots=True)
class Door:
    """One way into the org: a login, and the REST API behind it."""

    login: Login
    http: Transport
    rest: Rest

    async def close(self) -> None:
        await self.http.close()
        await self.login.close()


@dataclass(frozen=True, slots=True)
class _Set:
    """A permission set as it stands. `fields`: name -> may edit; `objects`: name -> may edit."""

    id: str | None
    fields: Mapping[str, bool]
    objects: Mapping[str, bool]
    assigned: frozenset[str]


class Admin:
    """A `connector.ports.CrmAdmin`. `runtime` is the integration user's door; None where it is not ours to open."""

    def __init__(self, door: Door, runtime: Door | None, clock: Clock) -> None:
        self._door = door
        self._runtime = runtime
        self._clock = clock

    async def steps(self, targets: Sequence[TargetField], *, make: bool) -> Sequence[Step]:
        """See connector.ports.CrmAdmin. What stands is read anew at each call."""
        user = await self._who_runs()
        rest = self._door.rest
        try:
            todo = await _look_at_fields(rest, targets)
        except FixConfig as error:
            raise _may_not(error) from error
        custom = [target for target in targets if not standard(target.name)]
        sets = {name: await _look_at_set(rest, name) for name in LABELS}
        differs = any(each.step.state == "differs" for each in todo)
        steps: list[Step] = []
        for target, each in zip(targets, todo, strict=True):
            step = each.step
            if make and not differs and step.state == "missing":
                step = await _make_field(rest, target, each)
            steps.append(step)
        going = make and not differs and not any(step.state in ("differs", "missing") for step in steps)
        for name in LABELS:
            steps += await _grants(rest, name, sets[name], custom, user, make=going)
        if going:
            steps += await self._not_seen([target for target in custom if not target.sales])
        return [*steps, *by_hand(targets, READERS, assigned=bool(sets[READERS].assigned))]

    async def close(self) -> None:
        """Give connections back; the credential goes with this object."""
        await self._door.close()
        if self._runtime is not None and self._runtime is not self._door:
            await self._runtime.close()

    async def _who_runs(self) -> str:
        """The integration user's id, empty where it cannot be told. Raises FixConfig where the administrator is in
        another org.
        """
        admin = await self._door.login.session()
        if self._runtime is None:
            return ""
        runs: Session = await self._runtime.login.session()
        if long_id(admin.org[:15]) != long_id(runs.org[:15]):
            raise FixConfig(
                "The administrator's credential belongs to another org than the connector's own.",
                next_step="Set SALESFORCE_ADMIN_* and SALESFORCE_* to the same org.",
            )
        return runs.user

    async def _not_seen(self, targets: Sequence[TargetField]) -> list[Step]:
        """Look as the integration user: what was granted must be there. Nothing to say where it is."""
        if self._runtime is None:
            return []
        rest = self._runtime.rest
        for wait in (None, *SEEN_AFTER):
            if wait is not None:
                await self._clock.sleep(wait)
            hidden = await _hidden(rest, targets)
            if not hidden:
                return []
        return [
            Step(
                f"{name} as the integration user sees it",
                "by_hand",
                f"It was granted by {WRITERS}, but the user does not see it as editable yet. Wait a few minutes, check "
                "that the permission set is assigned to the integration user, then run this again.",
            )
            for name in hidden
        ]


# -------------------------------------------------------------------------------------------------------- fields


async def _look_at_fields(rest: Rest, targets: Sequence[TargetField]) -> list[Todo]:
    """Per target, what stands and what is to be done. The metadata of a field is told for one field a call."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for object_ in dict.fromkeys(target.object for target in targets):
        names = [target.name for target in targets if target.object == object_ and not standard(target.name)]
        if names:
            quoted = ",".join(f"'{soql.name(name).removesuffix('__c')}'" for name in names)
            query = soql.select(
                ["Id", "DeveloperName", "NamespacePrefix"],
                "CustomField",
                [f"TableEnumOrId = '{soql.name(object_)}'", f"DeveloperName IN ({quoted})"],
            )
            answer = await rest.send("GET", "/tooling/query", params={"q": query})
            for row in _records(answer.json):
                if not row.get("NamespacePrefix"):
                    found[object_, f"{row['DeveloperName']}__c".lower()] = row
    todo: list[Todo] = []
    for target in targets:
        if standard(target.name):
            described = await rest.describe(soql.name(target.object), younger_than=timedelta(0))
            todo.append(compared(target, None, fields_by_name(described).get(target.name.lower())))
            continue
        known = found.get((target.object, target.name.lower()))
        todo.append(compared(target, await _definition(rest, str(known["Id"])) if known else None))
    return todo


async def _definition(rest: Rest, id: str) -> Mapping[str, Any]:
    soql.record_id(id)
    answer = await rest.send("GET", f"/tooling/sobjects/CustomField/{id}")
    metadata = answer.json.get("Metadata") if isinstance(answer.json, Mapping) else None
    return {"Id": id, "Metadata": metadata if isinstance(metadata, Mapping) else {}}


async def _make_field(rest: Rest, target: TargetField, todo: Todo) -> Step:
    """Make the field, or add the values it lacks, and look again: only what is there afterwards counts as made.

    What the Tooling API calls a picklist value's name differs between versions; the other word is tried once.
    """
    told = ""
    for key in ("valueName", "fullName"):
        try:
            if todo.definition is None:
                body = {"FullName": f"{target.object}.{target.name}", "Metadata": metadata_of(target, key)}
                await rest.send("POST", "/tooling/sobjects/CustomField", json=body, idempotent=False)
            else:
                path = f"/tooling/sobjects/CustomField/{todo.definition['Id']}"
                await rest.send("PATCH", path, json={"Metadata": todo.merged(key)}, idempotent=False)
        except ConnectorError as error:
            told = error.message
            if any(code in told for code in EXISTS):
                told = ""  # somebody else was quicker: compared below
            elif target.kind == "enum" and key == "valueName" and "JSON_PARSER_ERROR" in told:
                continue
            elif isinstance(error, FixConfig) and "INSUFFICIENT" in told:
                raise _may_not(error) from error
        break
    [now] = await _look_at_fields(rest, [target])
    if now.step.state == "there":
        return replace(now.step, state="made", detail=todo.step.detail)
    return replace(now.step, detail=f"Salesforce refused: {told}" if told else now.step.detail)


def _may_not(error: FixConfig) -> FixConfig:
    if "INSUFFICIENT" not in error.message:
        return error
    return FixConfig(
        error.message,
        next_step='Set-up needs the permissions "Customize Application" and "Manage Profiles and Permission Sets": set '
        "SALESFORCE_ADMIN_* to an administrator, or use `connector setup salesforce --as-source DIR`.",
        where=error.where,
    )


async def _hidden(rest: Rest, targets: Sequence[TargetField]) -> list[str]:
    """Targets that this user cannot edit, as `Lead.MQL_Score__c`."""
    hidden = []
    for object_ in dict.fromkeys(target.object for target in targets):
        described = await rest.describe(soql.name(object_), younger_than=timedelta(0))
        fields = fields_by_name(described)
        hidden += [
            f"{object_}.{target.name}"
            for target in targets
            if target.object == object_ and not fields.get(target.name.lower(), {}).get("updateable")
        ]
    return hidden


# -------------------------------------------------------------------------------------------------------- grants


async def _look_at_set(rest: Rest, name: str) -> _Set:
    rows = await rest.all_rows(soql.select(["Id"], "PermissionSet", [f"Name = '{soql.name(name)}'"]))
    if not rows:
        return _Set(None, {}, {}, frozenset())
    id = str(rows[0]["Id"])
    where = [f"ParentId = {soql.record_id(id)}"]
    fields = await rest.all_rows(soql.select(["Id", "Field", "PermissionsEdit"], "FieldPermissions", where))
    objects = await rest.all_rows(
        soql.select(["Id", "SobjectType", "PermissionsEdit"], "ObjectPermissions", where)
    )
    has = await rest.all_rows(
        soql.select(
            ["Id", "AssigneeId"], "PermissionSetAssignment", [f"PermissionSetId = {soql.record_id(id)}"]
        )
    )
    return _Set(
        id,
        {str(row["Field"]): bool(row.get("PermissionsEdit")) for row in fields},
        {str(row["SobjectType"]): bool(row.get("PermissionsEdit")) for row in objects},
        frozenset(long_id(str(row["AssigneeId"])) for row in has),
    )


async def _grants(
    rest: Rest, name: str, found: _Set, targets: Sequence[TargetField], user: str, *, make: bool
) -> list[Step]:
    """The set itself, its objects, its fields, and, of the writers' set, who has it. Grants are queried first: making
    one twice is an error there.
    """
    edit = name == WRITERS
    label, what = LABELS[name]
    steps: list[Step] = []
    id = found.id
    title = f"permission set {name}"
    if id is not None:
        steps.append(Step(title, "there"))
    elif not make:
        steps.append(Step(title, "missing"))
    else:
        id = await _insert(rest, "PermissionSet", {"Name": name, "Label": label, "Description": what})
        steps.append(Step(title, "made"))
    for object_ in dict.fromkeys(target.object for target in targets) if edit else ():
        grant = {"SobjectType": object_, "PermissionsRead": True, "PermissionsEdit": True}
        can = found.objects.get(object_)
        steps.append(
            await _grant(rest, f"edit on {object_} by {name}", "ObjectPermissions", id, grant, can, make)
        )
    for target in targets:
        field = f"{target.object}.{target.name}"
        grant = {
            "SobjectType": target.object,
            "Field": field,
            "PermissionsRead": True,
            "PermissionsEdit": edit and not target.sales,
        }
        can = None if field not in found.fields else found.fields[field] or not edit or target.sales
        verb = "edit" if grant["PermissionsEdit"] else "read"
        steps.append(
            await _grant(rest, f"{verb} on {field} by {name}", "FieldPermissions", id, grant, can, make)
        )
    if edit:
        steps.append(await _assign(rest, name, found, id, user, make=make))
    return steps


async def _grant(
    rest: Rest,
    what: str,
    object_: str,
    parent: str | None,
    grant: Mapping[str, Any],
    can: bool | None,
    make: bool,
) -> Step:
    """`can`: None where there is no such grant, False where there is one that allows too little."""
    if can:
        return Step(what, "there")
    if can is False:
        return Step(what, "by_hand", "The permission set lets it be read only: tick Edit there.")
    if not make or parent is None:
        return Step(what, "missing")
    await _insert(rest, object_, {"ParentId": parent, **grant})
    return Step(what, "made")


async def _assign(rest: Rest, name: str, found: _Set, id: str | None, user: str, *, make: bool) -> Step:
    what = f"{name} of the integration user"
    if not user:
        clicks = (
            f"Setup > Permission Sets > {LABELS[name][0]} > Manage Assignments > add the integration user."
        )
        return Step(what, "by_hand", clicks)
    if long_id(user) in found.assigned:
        return Step(what, "there")
    if not make or id is None:
        return Step(what, "missing")
    await _insert(rest, "PermissionSetAssignment", {"PermissionSetId": id, "AssigneeId": user})
    return Step(what, "made")


async def _insert(rest: Rest, object_: str, values: Mapping[str, Any]) -> str:
    answer = await rest.send("POST", f"/sobjects/{object_}", json=dict(values), idempotent=False)
    return str(answer.json.get("id")) if isinstance(answer.json, Mapping) else ""


def _records(body: Any) -> list[Mapping[str, Any]]:
    rows = body.get("records") if isinstance(body, Mapping) else None
    return [row for row in rows or () if isinstance(row, Mapping)]
