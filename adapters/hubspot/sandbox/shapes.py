"""What a record of the made-up HubSpot looks like on the wire: asked-for properties, history, associations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.hubspot.sandbox import deals
from adapters.hubspot.sandbox.api import Api
from adapters.hubspot.sandbox.store import PRIMARY_COMPANY, TYPE_IDS
from adapters.hubspot.sandbox.table import Row, Table, versions_of
from adapters.hubspot.sandbox.wire import invalid, iso

DEFAULTS = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
}
ACTIVITY_DEFAULTS = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")


def record_of(
    api: Api,
    table: Table,
    row: Row,
    asked: Iterable[str],
    histories: Iterable[str],
    associations: Iterable[str],
) -> dict[str, Any]:
    values = row.values
    wanted = list(asked)
    if wanted:
        # Names that do not exist are dropped without a word; these three always come along.
        always = ("hs_object_id", table.created_property, table.updated_property)
        shown = {name: values.get(name) for name in (*wanted, *always) if name in table.properties}
    else:
        shown = {name: values.get(name) for name in DEFAULTS.get(table.name, ACTIVITY_DEFAULTS)}
    record = _envelope(table, row, shown)
    history = list(histories)
    if history:
        record["propertiesWithHistory"] = {
            name: _versions(row, name) for name in history if name in table.properties
        }
    linked = {name: _linked(api, table, row, name) for name in associations}
    if any(linked.values()):
        record["associations"] = {name: {"results": found} for name, found in linked.items() if found}
    return record


def _envelope(table: Table, row: Row, properties: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": str(row.id),
        "properties": properties,
        "createdAt": row.values[table.created_property],
        "updatedAt": row.values[table.updated_property],
        "archived": row.archived_at is not None,
    }
    if row.archived_at is not None:
        record["archivedAt"] = iso(row.archived_at)
    return record


def written(table: Table, row: Row, values: Mapping[str, str]) -> dict[str, Any]:
    """A write reply: what was sent plus the defaults. Calculated times come as epoch milliseconds here."""
    names = (*values, "hs_object_id", table.created_property, table.updated_property)
    shown: dict[str, Any] = {name: row.values.get(name) for name in names}
    if "email" in row.values:
        shown["email"] = row.values["email"]
    stage = row.values.get("lifecyclestage")
    if "lifecyclestage" in values and stage and table.name == "contacts":
        entered = _epoch(row, stage)
        if entered:
            shown[f"hs_lifecyclestage_{stage}_date"] = entered
    return _envelope(table, row, shown)


def _epoch(row: Row, stage: str) -> str:
    versions = row.history.get("lifecyclestage") or ()
    return next((str(version.at) for version in versions if version.value == stage), "")


def _versions(row: Row, name: str) -> list[dict[str, Any]]:
    return [
        {
            "value": version.value,
            "timestamp": iso(version.at),
            "sourceType": version.source.type,
            "sourceId": version.source.id,
            **({"sourceLabel": version.source.label} if version.source.label else {}),
            **({"updatedByUserId": version.source.user} if version.source.user is not None else {}),
        }
        for version in versions_of(row, name)
    ]


def _linked(api: Api, table: Table, row: Row, name: str) -> list[dict[str, str]]:
    """The same id comes once per label: clients must fold them."""
    other = api.store.table(name)
    if other is None:
        raise invalid(f"Unable to infer object type from: {name}")
    label = f"{table.singular}_to_{other.singular}"
    found = []
    for id in api.store.linked(table.name, row.id, other.name):
        found.append({"id": str(id), "type": label})
        if "companies" in (table.name, other.name):
            found.append({"id": str(id), "type": f"{label}_unlabeled"})
    return found


def links_of(api: Api, one: Table, two: Table, id: int) -> list[tuple[int, list[dict[str, Any]]]]:
    """The other side's ids, each with the labels of the link, as associations v4 tells them. They come by id, so that
    the primary company of a deal may be any of them."""
    linked = api.store.linked(one.name, id, two.name)
    return [
        (other, association_types(one.name, two.name, first=other == linked[0])) for other in sorted(linked)
    ]


def association_types(table: str, other: str, *, first: bool = True) -> list[dict[str, Any]]:
    """The labels of a link. `first`: of several companies of a deal the one it was linked to first."""
    types = [{"category": "HUBSPOT_DEFINED", "typeId": TYPE_IDS.get((table, other), 449), "label": None}]
    primary = _PRIMARY.get((table, other))
    if primary is not None and first:
        types.insert(0, {"category": "HUBSPOT_DEFINED", "typeId": primary, "label": "Primary"})
    return types


_PRIMARY = {("contacts", "companies"): PRIMARY_COMPANY, ("deals", "companies"): deals.PRIMARY_COMPANY}
