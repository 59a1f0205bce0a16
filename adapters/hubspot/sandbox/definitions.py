"""Property definitions, groups, pipelines, owners and account details of the made-up HubSpot.

Touches no record.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from adapters.hubspot.sandbox import deals
from adapters.hubspot.sandbox.api import Api, Endpoint, flag, whole
from adapters.hubspot.sandbox.gate import TIME_ZONE
from adapters.hubspot.sandbox.schema import STAGES, Property
from adapters.hubspot.sandbox.table import Table
from adapters.hubspot.sandbox.wire import Refused, batch_reply, error_body, invalid, problem
from connector.sandbox.control import json_response

NAME = re.compile(r"[a-z][a-z0-9_]*")
FIELD_TYPES = {
    "string": ("text", "textarea", "html", "phonenumber", "file"),
    "number": ("number", "calculation_equation"),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox"),
    "bool": ("booleancheckbox",),
    "date": ("date",),
    "datetime": ("date",),
}
MOST_IN_BATCH = 100
MOST_UNIQUE = 10


def list_properties(api: Api, request: Request, body: Any) -> Response:
    """All definitions, or only the archived ones."""
    archived = flag(request, "archived")
    found = [p.wire() for p in api.table(request).properties.values() if p.archived == archived]
    return json_response({"results": found})


def read_property(api: Api, request: Request, body: Any) -> Response:
    """One definition."""
    return json_response(_definition(api.table(request), request.path_params["name"], request).wire())


def create_property(api: Api, request: Request, body: Any) -> Response:
    """409 when the name is taken."""
    table = api.table(request)
    name = str(body.get("name"))
    if name in table.properties:
        raise Refused(409, _exists(name))
    made = _made(api, table, body)
    table.properties[made.name] = made
    return json_response(made.wire(), 201)


def change_property(api: Api, request: Request, body: Any) -> Response:
    """Label, description, group and options; options given replace the whole list."""
    table = api.table(request)
    before = _definition(table, request.path_params["name"], request)
    if before.defined_by_hubspot:
        raise invalid(f"Property {before.name} is defined by HubSpot and cannot be changed.")
    if body.get("type") not in (None, before.type):
        raise invalid(f"The type of property {before.name} cannot be changed.")
    after = replace(
        before,
        label=str(body.get("label", before.label)),
        description=str(body.get("description", before.description)),
        group=str(body.get("groupName", before.group)),
        options=_options(body["options"]) if "options" in body else before.options,
        hidden=_hidden(body["options"]) if "options" in body else before.hidden,
    )
    table.properties[after.name] = after
    return json_response(after.wire())


def archive_property(api: Api, request: Request, body: Any) -> Response:
    """The name stays taken."""
    table = api.table(request)
    _archive(table, request.path_params["name"])
    return Response(status_code=204)


def batch_create_properties(api: Api, request: Request, body: Any) -> Response:
    """Those that exist are told in a 207; the others are made."""
    table = api.table(request)
    made, errors = [], []
    for given in _inputs(body):
        name = str(given.get("name"))
        if name in table.properties:
            errors.append(_exists(name))
            continue
        definition = _made(api, table, given)
        table.properties[definition.name] = definition
        made.append(definition.wire())
    return batch_reply(made, errors, api.store.now(), created=True)


def batch_read_properties(api: Api, request: Request, body: Any) -> Response:
    """By name."""
    table = api.table(request)
    asked = [str(given.get("name")) for given in _inputs(body)]
    found = [table.properties[name].wire() for name in asked if name in table.properties]
    missing = [name for name in asked if name not in table.properties]
    errors = (
        [error_body("OBJECT_NOT_FOUND", "Could not get some properties.", context={"name": missing})]
        if missing
        else []
    )
    return batch_reply(found, errors, api.store.now())


def batch_archive_properties(api: Api, request: Request, body: Any) -> Response:
    """By name; unknown ones are passed over."""
    table = api.table(request)
    for given in _inputs(body):
        if str(given.get("name")) in table.properties:
            _archive(table, str(given.get("name")))
    return Response(status_code=204)


def list_groups(api: Api, request: Request, body: Any) -> Response:
    """Property groups."""
    groups = api.store.groups[api.table(request).name]
    return json_response({"results": [_group(name, label) for name, label in groups.items()]})


def create_group(api: Api, request: Request, body: Any) -> Response:
    """409 when the name is taken."""
    groups = api.store.groups[api.table(request).name]
    name = str(body.get("name", ""))
    if not NAME.fullmatch(name):
        raise invalid(f"Invalid group name {name!r}: lower-case letters, digits and underscores only.")
    if name in groups:
        raise problem(409, "OBJECT_ALREADY_EXISTS", f"A property group named '{name}' already exists.")
    groups[name] = str(body.get("label", name))
    return json_response(_group(name, groups[name]), 201)


def read_group(api: Api, request: Request, body: Any) -> Response:
    """One group."""
    groups = api.store.groups[api.table(request).name]
    name = request.path_params["name"]
    if name not in groups:
        raise problem(404, "OBJECT_NOT_FOUND", "resource not found")
    return json_response(_group(name, groups[name]))


def list_pipelines(api: Api, request: Request, body: Any) -> Response:
    """Those of deals, else the lifecycle pipeline: stages in their order, an account's own ones included."""
    kind = api.table(request).name
    if kind == deals.DEALS:
        return json_response({"results": deals.pipelines()})
    if kind not in ("contacts", "companies"):
        return json_response({"results": []})
    created = "2022-09-30T00:00:00Z"
    stages = [
        {
            "id": value,
            "label": label,
            "displayOrder": place,
            "metadata": {},
            "createdAt": created,
            "updatedAt": created,
            "archived": False,
        }
        for place, (value, label) in enumerate(STAGES)
    ]
    pipeline = {
        "id": f"{kind}-lifecycle-pipeline",
        "label": "Lifecycle Stage Pipeline",
        "displayOrder": 0,
        "stages": stages,
        "createdAt": created,
        "updatedAt": created,
        "archived": False,
    }
    return json_response({"results": [pipeline]})


def list_owners(api: Api, request: Request, body: Any) -> Response:
    """Who may own a record."""
    created = "2022-09-30T00:00:00Z"
    stamps = {"createdAt": created, "updatedAt": created, "type": "PERSON"}
    archived = flag(request, "archived")
    shown = [{**owner, **stamps} for owner in api.store.owners if owner["archived"] == archived]
    limit, after = whole(request, "limit", 100), whole(request, "after", 0)
    page: dict[str, Any] = {"results": shown[after : after + limit]}
    if after + limit < len(shown):
        page["paging"] = {"next": {"after": str(after + limit)}}
    return json_response(page)


def account_details(api: Api, request: Request, body: Any) -> Response:
    """Who we are connected as."""
    local = api.store.clock.now().astimezone(ZoneInfo(TIME_ZONE))
    offset = local.utcoffset() or timedelta()
    return json_response(
        {
            "portalId": api.gate.portal,
            "accountType": "STANDARD",
            "timeZone": TIME_ZONE,
            "companyCurrency": "EUR",
            "additionalCurrencies": ["USD", "GBP"],
            "utcOffset": f"{local:%z}"[:3] + ":00",
            "utcOffsetMilliseconds": int(offset.total_seconds() * 1000),
            "uiDomain": "app-eu1.hubspot.com",
            "dataHostingLocation": "eu1",
        }
    )


def daily_usage(api: Api, request: Request, body: Any) -> Response:
    """How much of today's allowance is used, by everybody."""
    return json_response({"results": [api.gate.usage()]})


def _definition(table: Table, name: str, request: Request) -> Property:
    found = table.properties.get(name)
    if found is None or found.archived != flag(request, "archived"):
        raise problem(
            404,
            "OBJECT_NOT_FOUND",
            f"Property {name} does not exist.",
            subCategory="Properties.PROPERTY_NOT_FOUND",
        )
    return found


def _archive(table: Table, name: str) -> None:
    found = table.properties.get(name)
    if found is not None and found.defined_by_hubspot:
        raise invalid(f"Property {name} is defined by HubSpot and cannot be archived.")
    if found is not None:
        table.properties[name] = replace(found, archived=True)


def _made(api: Api, table: Table, body: dict[str, Any]) -> Property:
    missing = [key for key in ("groupName", "name", "label", "type", "fieldType") if not body.get(key)]
    if missing:
        raise invalid(f"Some required fields were not set: [{', '.join(missing)}]")
    name, kind, field_type = str(body["name"]), str(body["type"]), str(body["fieldType"])
    if not NAME.fullmatch(name):
        raise invalid(f"Property name {name!r} must be lower case and start with a letter.")
    if field_type not in FIELD_TYPES.get(kind, ()):
        raise invalid(f"Property {name}: fieldType {field_type} does not go with type {kind}.")
    if body["groupName"] not in api.store.groups[table.name]:
        raise invalid(f"Property group {body['groupName']} does not exist.")
    options = _options(body.get("options") or [])
    if kind == "bool" and {value for value, _ in options} != {"true", "false"}:
        raise invalid(f"Boolean property {name} must have exactly the options true and false.")
    unique = bool(body.get("hasUniqueValue"))
    if unique and sum(p.unique for p in table.properties.values()) >= MOST_UNIQUE:
        raise invalid(f"At most {MOST_UNIQUE} properties may have unique values.")
    return Property(
        name,
        str(body["label"]),
        kind,
        field_type,
        str(body["groupName"]),
        options,
        _hidden(body.get("options") or []),
        defined_by_hubspot=False,
        unique=unique,
        description=str(body.get("description") or ""),
    )


def _options(given: list[Any]) -> tuple[tuple[str, str], ...]:
    ordered = sorted(given, key=lambda option: int(option.get("displayOrder", 0)))
    return tuple((str(option["value"]), str(option.get("label", option["value"]))) for option in ordered)


def _hidden(given: list[Any]) -> frozenset[str]:
    return frozenset(str(option["value"]) for option in given if option.get("hidden") is True)


def _inputs(body: dict[str, Any]) -> list[dict[str, Any]]:
    inputs = body.get("inputs") or []
    if len(inputs) > MOST_IN_BATCH:
        raise invalid(f"The maximum number of inputs in a batch is {MOST_IN_BATCH}.")
    return list(inputs)


def _exists(name: str) -> dict[str, Any]:
    return error_body(
        "OBJECT_ALREADY_EXISTS",
        f"A property named '{name}' already exists.",
        subCategory="Properties.PROPERTY_WITH_NAME_EXISTS",
        context={"name": [name]},
    )


def _group(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}


def _reading(api: Api, request: Request) -> str:
    return _scope(api, request, "read")


def _writing(api: Api, request: Request) -> str:
    return _scope(api, request, "write")


def _scope(api: Api, request: Request, verb: str) -> str:
    """Whether reading what deals are made of asks for a scope beside that of the deals is told nowhere."""
    name = api.table(request).name
    if (name, verb) == (deals.DEALS, "read"):
        return deals.READ
    return f"crm.schemas.{name if name in ('companies', 'deals') else 'contacts'}.{verb}"


def _of_pipelines(api: Api, request: Request) -> str:
    return deals.READ if api.table(request).name == deals.DEALS else "crm.objects.contacts.read"


def _both(rest: str) -> tuple[str, ...]:
    return ("/crm/v3/properties/{type}" + rest, "/crm/properties/{version}/{type}" + rest)


ENDPOINTS = (
    Endpoint("GET", _both(""), list_properties, _reading),
    Endpoint("POST", _both(""), create_property, _writing),
    Endpoint("GET", _both("/groups"), list_groups, _reading),
    Endpoint("POST", _both("/groups"), create_group, _writing),
    Endpoint("GET", _both("/groups/{name}"), read_group, _reading),
    Endpoint("POST", _both("/batch/create"), batch_create_properties, _writing),
    Endpoint("POST", _both("/batch/read"), batch_read_properties, _reading),
    Endpoint("POST", _both("/batch/archive"), batch_archive_properties, _writing),
    Endpoint("GET", _both("/{name}"), read_property, _reading),
    Endpoint("PATCH", _both("/{name}"), change_property, _writing),
    Endpoint("DELETE", _both("/{name}"), archive_property, _writing),
    Endpoint(
        "GET",
        ("/crm/v3/pipelines/{type}", "/crm/pipelines/{version}/{type}"),
        list_pipelines,
        _of_pipelines,
    ),
    Endpoint("GET", ("/crm/v3/owners", "/crm/owners/{version}"), list_owners, "crm.objects.owners.read"),
    Endpoint(
        "GET", ("/account-info/v3/details", "/account-info/{version}/details"), account_details, "oauth"
    ),
    Endpoint(
        "GET",
        (
            "/account-info/v3/api-usage/daily/private-apps",
            "/account-info/{version}/api-usage/daily/private-apps",
        ),
        daily_usage,
        "oauth",
    ),
)
