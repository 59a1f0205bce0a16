"""Look at an org before it is relied on: rights, hidden fields, record types, allowance, another integration.

Reads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from adapters.salesforce import record_types, soql
from adapters.salesforce.checks import fields_by_name
from adapters.salesforce.rest import OPTIONAL_UP_TO, Rest
from connector.core.mapping import BOTH, CrmMapping, wanted_fields
from connector.core.targets import targets_of
from connector.errors import ConnectorError, FixConfig, RetryLater
from connector.ports import Finding

TOO_MUCH: Mapping[str, str] = {
    "PermissionsModifyAllData": "Modify All Data",
    "PermissionsViewAllData": "View All Data",
    "PermissionsCustomizeApplication": "Customize Application",
    "PermissionsManageUsers": "Manage Users",
}
HUBSPOT_USER = "HubSpot Integration"
GRANT = "Grant it by a permission set (`connector setup salesforce` makes one); then `connector check`."


async def inspect(rest: Rest, user: str, mapping: CrmMapping, *, source: str) -> Sequence[Finding]:
    """See connector.ports.CrmInspector. About ten calls. `source` is the switch `record_type_source`."""
    described: dict[str, Mapping[str, Any]] = {}
    findings: list[Finding] = []
    for object_ in mapping.objects:
        try:
            described[object_] = await rest.describe(soql.name(object_))
        except FixConfig as error:
            findings.append(Finding("problem", object_, error.message, error.next_step))
    findings += _edits(mapping, described)
    findings += _hidden(mapping, described)
    findings += await _responses(rest, mapping)
    findings += await _record_types(rest, mapping, described, source)
    findings += await _rights(rest, user)
    findings += await _hubspot(rest, described, mapping)
    if "IsPersonAccount" in {each["name"] for each in described.get("Account", {}).get("fields", ())}:
        what = "The org uses person accounts: each is scored and written as its Contact, and is no company."
        findings.append(Finding("note", "Account", what))
    return [*findings, *_allowance(rest)]


def _edits(mapping: CrmMapping, described: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Objects that are written to and may not be: plans can be made all the same."""
    return [
        Finding(
            "warning",
            name,
            f"The integration user may not edit {name} records: plans can be made, and none can be sent.",
            GRANT,
        )
        for name, each in mapping.objects.items()
        if any(line.rule != "never" for line in each.write)
        and not described.get(name, {}).get("updateable", True)
    ]


def _hidden(mapping: CrmMapping, described: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Mapped fields that describe leaves out: missing and hidden look alike, and hidden is the more common."""
    findings = []
    for name, fields in wanted_fields(mapping).items():
        if name in described:
            there = fields_by_name(described[name])
            hidden = sorted(each for each in fields if "." not in each and each.lower() not in there)
            if hidden:
                findings.append(
                    Finding(
                        "note",
                        name,
                        f"Not seen by the integration user: {', '.join(hidden)}. They do not exist, or field-level "
                        "security hides them; to an API the two look alike.",
                        "Look in Setup > Object Manager > Fields: a field that is listed there needs Read (and Edit, "
                        "to be written) under Set Field-Level Security.",
                    )
                )
    return findings


async def _responses(rest: Rest, mapping: CrmMapping) -> list[Finding]:
    """Whether it can be told who of a campaign did something."""
    if "CampaignMember" not in mapping.engagement:
        return []
    try:
        there = fields_by_name(await rest.describe("CampaignMember"))
    except FixConfig:
        return []  # without the object there are no members; its stream says why
    if "hasresponded" in there:
        return []
    return [
        Finding(
            "warning",
            "CampaignMember.HasResponded",
            "Not seen by the integration user: who of a campaign responded is unknown, and unknown is no yes. As the "
            "mapping is shipped, no campaign member counts.",
            GRANT,
        )
    ]


async def _record_types(
    rest: Rest, mapping: CrmMapping, described: Mapping[str, Mapping[str, Any]], source: str
) -> list[Finding]:
    """Values that we may write and that a record type does not allow."""
    findings: list[Finding] = []
    for name, document in described.items():
        targets = [each for each in targets_of(mapping) if each.object == name and each.options]
        fields = fields_by_name(document)
        picklists = [each for each in targets if fields.get(each.name.lower(), {}).get("type") == "picklist"]
        for id, label in (record_types.types_of(document) if picklists else {}).items():
            try:
                allowed = await record_types.allowed(rest, name, id, source)
            except RetryLater:
                raise
            except ConnectorError:
                what = f"Which picklist values the record type {label} allows could not be asked."
                step = "`connector check --deep` finds a way; until then a row that is refused says so."
                findings.append(Finding("note", name, what, step))
                continue
            for target in picklists:
                lacks = [
                    value for value, _ in target.options if value not in allowed.get(target.name, {value})
                ]
                if lacks:
                    findings.append(
                        Finding(
                            "warning",
                            f"{name}.{target.name}",
                            f"The record type {label} does not allow {', '.join(lacks)}: such writes are refused.",
                            f"Setup > Object Manager > {name} > Record Types > {label} > the field > Edit: add them.",
                        )
                    )
    return findings


async def _rights(rest: Rest, user: str) -> list[Finding]:
    """Rights that the run-time user has and never needs: a leaked credential could do more harm."""
    columns = [f"PermissionSet.{name}" for name in TOO_MUCH]
    try:
        where = [f"AssigneeId = {soql.record_id(user)}"]
        rows = await rest.all_rows(soql.select(columns, "PermissionSetAssignment", where))
    except FixConfig:
        what = "The integration user may not look at its own permissions; whether it may do too much is not known."
        return [Finding("note", "permissions", what)]
    held = {
        label
        for row in rows
        for name, label in TOO_MUCH.items()
        if isinstance(row.get("PermissionSet"), Mapping) and row["PermissionSet"].get(name)
    }
    if not held:
        return []
    return [
        Finding(
            "warning",
            "permissions",
            f"The integration user may do more than a run needs: {', '.join(sorted(held))}.",
            "Take it away; set-up has a credential of its own (SALESFORCE_ADMIN_*).",
        )
    ]


async def _hubspot(
    rest: Rest, described: Mapping[str, Mapping[str, Any]], mapping: CrmMapping
) -> list[Finding]:
    """HubSpot's own integration: a package of fields, or the user by whom it copies."""
    package = any(
        "hubspot" in str(field["name"]).lower() and field.get("custom")
        for document in described.values()
        for field in document["fields"]
    )
    user = False
    with suppress(FixConfig):  # users may be hidden from us; the fields must do
        user = bool(await rest.all_rows(soql.select(["Id"], "User", [f"Name = '{HUBSPOT_USER}'"], limit=1)))
    if not (package or user):
        return []
    how = " and ".join(
        part for part, there in (("its fields", package), (f"its user {HUBSPOT_USER}", user)) if there
    )
    return [
        Finding(
            "note",
            "integration",
            f"HubSpot's own Salesforce integration is at work here ({how}). Activities that it copied are ignored by "
            "default, so that nothing counts twice.",
            _stage_rule(mapping),
        )
    ]


def _stage_rule(mapping: CrmMapping) -> str:
    if mapping.master in (None, BOTH):
        return (
            "Where it syncs the lifecycle stage too, say `master: hubspot` or `master: salesforce` in a mapping file: "
            "then one CRM alone is written, and the other follows."
        )
    return f"The mapping says `master: {mapping.master}`: the lifecycle stage is written there alone, and follows here."


def _allowance(rest: Rest) -> list[Finding]:
    told = rest.usage()
    if not told.allowed or told.used < OPTIONAL_UP_TO * told.allowed:
        return []
    share = told.used / told.allowed
    return [
        Finding(
            "warning",
            "allowance",
            f"{share:.0%} of the org's API calls of the last 24 hours are used ({told.used:,} of {told.allowed:,}, by "
            f"all its programs; {told.ours:,} by this process).",
            "Backfills wait. Setup > Company Information > API Requests shows the total, and the API usage report by "
            "whom.",
        )
    ]
