"""Record types: which picklist values a type of record allows, and where a client can learn of them.

Describe lists the union of all types, so that a value may be there and yet be refused for a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.salesforce.sandbox.checks import RecordError
from adapters.salesforce.sandbox.ids import full_id
from adapters.salesforce.sandbox.schema import Field, ObjectType
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.wire import NOT_FOUND, Call, Reply
from connector.sandbox.population import salesforce_id

if TYPE_CHECKING:
    from adapters.salesforce.sandbox.org import Org
    from adapters.salesforce.sandbox.store import Store

Json = Any

MASTER = "012000000000000AAA"
PARTNER = salesforce_id("012", 1)
NOT_FOR_PARTNERS = frozenset({"mql", "qualified"})  # values that no picklist of a partner's Lead has


def fill(store: Store) -> None:
    """Every third Lead is a partner's."""
    now = wire_time(store.clock.now().replace(microsecond=0))
    stamps = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
    row = {"Id": PARTNER, "Name": "Partner Lead", "DeveloperName": "Partner_Lead", "SobjectType": "Lead"}
    store.tables["RecordType"].fill([{**row, "IsActive": True, **stamps}])
    table = store.tables["Lead"]
    table.fill([{**each, "RecordTypeId": PARTNER} for each in list(table.rows.values())[::3]])


def check(org: Org, kind: ObjectType, row: Mapping[str, Json], values: Mapping[str, Json]) -> None:
    """Restricted picklists take only what the record's type allows. Raises RecordError."""
    if row.get("RecordTypeId") != PARTNER:
        return
    for name, value in values.items():
        each = kind.fields[name]
        if each.type == "picklist" and each.restricted and value in NOT_FOR_PARTNERS:
            message = f"{each.label}: bad value for restricted picklist field: {value}"
            raise RecordError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (name,))


def infos(org: Org, kind: ObjectType) -> list[Json]:
    """`recordTypeInfos` of a describe."""
    types = [(MASTER, "Master", "Master")]
    if org.options.record_types and kind.name == "Lead":
        types.append((PARTNER, "Partner Lead", "Partner_Lead"))
    return [
        {
            "active": True,
            "available": True,
            "defaultRecordTypeMapping": id == MASTER,
            "developerName": name,
            "master": id == MASTER,
            "name": label,
            "recordTypeId": id,
        }
        for id, label, name in types
    ]


def layout(org: Org, call: Call, name: str, id: str) -> Reply:
    """`GET /sobjects/{object}/describe/layouts/{record type}`: the picklists as the page shows them."""
    kind = _kind(org, name)
    if org.options.record_type_source != "layouts" or not _known(org, kind, id):
        raise NOT_FOUND
    items = [
        {
            "label": each.label,
            "layoutComponents": [
                {
                    "type": "Field",
                    "value": each.name,
                    "details": {
                        "name": each.name,
                        "type": each.type,
                        "picklistValues": [
                            {
                                "active": True,
                                "defaultValue": False,
                                "label": value,
                                "validFor": None,
                                "value": value,
                            }
                            for value in _allowed(each, id)
                        ],
                    },
                }
            ],
        }
        for each in _picklists(kind)
    ]
    rows = [{"numItems": 1, "layoutItems": [item]} for item in items]
    section = {"heading": "Information", "columns": 1, "rows": len(rows), "layoutRows": rows}
    return Reply(
        200, {"id": "00h000000000001AAA", "editLayoutSections": [section], "detailLayoutSections": [section]}
    )


def ui_api(org: Org, call: Call) -> Reply:
    """`GET /ui-api/object-info/{object}/picklist-values/{record type}`."""
    match call.parts:
        case ("ui-api", "object-info", name, "picklist-values", id):
            kind = _kind(org, name)
            if org.options.record_type_source != "ui" or not _known(org, kind, id):
                raise NOT_FOUND
            fields: dict[str, Json] = {
                each.name: {
                    "controllerValues": {},
                    "defaultValue": None,
                    "values": [
                        {"attributes": None, "label": value, "validFor": [], "value": value}
                        for value in _allowed(each, id)
                    ],
                }
                for each in _picklists(kind)
            }
            return Reply(200, {"picklistFieldValues": fields})
    raise NOT_FOUND


def _kind(org: Org, name: str) -> ObjectType:
    found = next((each for each in org.schema.values() if each.name.lower() == name.lower()), None)
    if found is None:
        raise NOT_FOUND
    return found


def _known(org: Org, kind: ObjectType, id: str) -> bool:
    return full_id(id) in {each["recordTypeId"] for each in infos(org, kind)} | {full_id(MASTER)}


def _picklists(kind: ObjectType) -> list[Field]:
    return [each for each in kind.fields.values() if each.type == "picklist"]


def _allowed(each: Field, id: str) -> list[str]:
    return [value for value in each.options if full_id(id) != PARTNER or value not in NOT_FOR_PARTNERS]
