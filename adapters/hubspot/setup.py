"""Give a HubSpot account the properties that a mapping writes to, and say what people must click themselves.

Looks before it makes, makes only what is missing, and never changes what it finds but for options that it adds.
Sources: developers.hubspot.com "Properties" (creating, options, batch create); knowledge.hubspot.com "Customize
records", "Create and customize views" and "Restrict edit access for properties".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from adapters.hubspot.api import Api
from adapters.hubspot.byid import type_of
from adapters.hubspot.errors import BadRequest, errors_of, message_of
from adapters.hubspot.rows import results_of
from connector.core.targets import TargetField
from connector.ports import Step
from connector.transport import Auth

GROUP = "mql_connector"
GROUP_LABEL = "MQL connector"
STANDARD = frozenset({"lifecyclestage", "hs_lead_status"})  # every account has them; nobody can create them
STAGE = "lifecyclestage"
TYPES = {  # our kind: HubSpot's type and fieldType
    "number": ("number", "number"),
    "text": ("string", "text"),
    "enum": ("enumeration", "select"),
    "datetime": ("datetime", "date"),
}
EXISTS = "OBJECT_ALREADY_EXISTS"


@dataclass(frozen=True, slots=True)
class _Found:
    """What an object has: live and archived definitions by name, and groups."""

    live: Mapping[str, Mapping[str, Any]]
    archived: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Todo:
    """One property: what stands, and the call that would mend it."""

    step: Step
    create: Mapping[str, Any] | None = None
    options: Sequence[Mapping[str, Any]] = field(default=())  # the whole list: a PATCH replaces it
    name: str = ""


class Admin:
    """A `connector.ports.CrmAdmin`. Holds its credential for as long as it lives."""

    def __init__(self, api: Api, auth: Auth) -> None:
        self._api = api
        self._auth = auth

    async def steps(self, targets: Sequence[TargetField], *, make: bool) -> Sequence[Step]:
        """See connector.ports.CrmAdmin. Two to four calls where nothing is missing."""
        objects = list(dict.fromkeys(target.object for target in targets))
        found = {object_: await _look(self._api, object_) for object_ in objects}
        wanted = {object_: [t for t in targets if t.object == object_] for object_ in objects}
        todo = {object_: [_todo(t, found[object_]) for t in wanted[object_]] for object_ in objects}
        stop = any(one.step.state == "differs" for each in todo.values() for one in each)
        steps: list[Step] = []
        for object_ in objects:
            ours = any(one.create for one in todo[object_])
            if make and not stop:
                steps += await _make(self._api, object_, wanted[object_], found[object_], todo[object_])
            else:
                steps += _group_step(object_, found[object_], needed=ours)
                steps += [one.step for one in todo[object_]]
            steps += _seen(object_, wanted[object_])
        return steps

    async def close(self) -> None:
        """Give connections back; the credential goes with this object."""
        await self._api.close()
        close = getattr(self._auth, "close", None)
        if close is not None:
            await close()


# ------------------------------------------------------------------------------------------------------- looking


async def _look(api: Api, object_: str) -> _Found:
    path = api.paths.properties(type_of(object_))
    live = await api.get(path)
    archived = await api.get(path, {"archived": "true"})
    groups = await api.get(f"{path}/groups")
    return _Found(
        {str(row["name"]): row for row in results_of(live) if isinstance(row, Mapping) and row.get("name")},
        frozenset(str(row.get("name")) for row in results_of(archived) if isinstance(row, Mapping)),
        frozenset(str(row.get("name")) for row in results_of(groups) if isinstance(row, Mapping)),
    )


def _group_step(object_: str, found: _Found, *, needed: bool) -> list[Step]:
    what = f"{object_} property group {GROUP}"
    if GROUP in found.groups:
        return [Step(what, "there")]
    return [Step(what, "missing")] if needed else []


def _todo(target: TargetField, found: _Found) -> _Todo:
    """Compare one target with what stands there."""
    what = f"{target.object} property {target.name}"
    definition = found.live.get(target.name)
    if definition is None:
        return _absent(what, target, found)
    if target.sales:
        return _Todo(Step(what, "there"))  # theirs, with whatever they choose from
    type_, _ = TYPES[target.kind]
    theirs = str(definition.get("type"))
    if theirs != type_:
        detail = (
            f"It is of type {theirs} and must be {type_}; HubSpot cannot change a type safely. Map `{target.result}`"
            " to another property in mappings/hubspot.yaml."
        )
        return _Todo(Step(what, "differs", detail))
    if _read_only(definition):
        detail = f"HubSpot calculates it; nobody can write it. Map `{target.result}` to another property."
        return _Todo(Step(what, "differs", detail))
    missing = _missing_options(target, definition)
    if not missing:
        return _Todo(Step(what, "there"))
    names = ", ".join(f"{label} ({value})" for value, label in missing)
    if target.name in STANDARD or _fixed_options(definition):
        return _Todo(
            Step(what, "by_hand", _stage_clicks(names) if target.name == STAGE else _option_clicks(names))
        )
    kept = [option for option in definition.get("options") or () if isinstance(option, Mapping)]
    options = [*kept, *_options(missing, start=_next_order(kept))]
    return _Todo(Step(what, "missing", f"options to add: {names}"), options=options, name=target.name)


def _absent(what: str, target: TargetField, found: _Found) -> _Todo:
    if target.name in found.archived:
        detail = (
            "It was archived, and its name stays taken. In HubSpot: Settings > Properties > Archived properties >"
            f" {target.name} > Restore. Then run this again."
        )
        return _Todo(Step(what, "by_hand", detail))
    if target.name in STANDARD:
        detail = (
            "HubSpot's own property is hidden from this token. Check its sensitivity and the token's scopes."
        )
        return _Todo(Step(what, "by_hand", detail))
    return _Todo(Step(what, "missing"), create=definition_of(target), name=target.name)


def definition_of(target: TargetField) -> dict[str, Any]:
    """The body that creates a property (POST .../properties/{object})."""
    type_, field_type = TYPES[target.kind]
    body: dict[str, Any] = {
        "groupName": GROUP,
        "name": target.name,
        "label": target.label,
        "description": target.what,
        "type": type_,
        "fieldType": field_type,
        "formField": False,
    }
    if target.options:
        body["options"] = _options(target.options, start=0)
    return body


def _options(pairs: Sequence[tuple[str, str]], *, start: int) -> list[dict[str, Any]]:
    return [
        {"label": label, "value": value, "displayOrder": start + place, "hidden": False}
        for place, (value, label) in enumerate(pairs)
    ]


def _missing_options(target: TargetField, definition: Mapping[str, Any]) -> list[tuple[str, str]]:
    there = {str(o.get("value")) for o in definition.get("options") or () if isinstance(o, Mapping)}
    if not there and definition.get("externalOptions") is True:
        return []  # HubSpot lists none for these: nothing to compare with
    return [(value, label) for value, label in target.options if value not in there]


def _next_order(options: Sequence[Mapping[str, Any]]) -> int:
    orders = [option.get("displayOrder") for option in options]
    return max((order for order in orders if isinstance(order, int)), default=-1) + 1


def _rules(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    rules = definition.get("modificationMetadata")
    return rules if isinstance(rules, Mapping) else {}


def _read_only(definition: Mapping[str, Any]) -> bool:
    computed = definition.get("calculated") is True or str(definition.get("fieldType", "")).startswith(
        "calculation_"
    )
    return computed or _rules(definition).get("readOnlyValue") is True


def _fixed_options(definition: Mapping[str, Any]) -> bool:
    return _rules(definition).get("readOnlyOptions") is True


# -------------------------------------------------------------------------------------------------------- making


async def _make(
    api: Api, object_: str, targets: Sequence[TargetField], before: _Found, todo: Sequence[_Todo]
) -> list[Step]:
    """Make what is missing, then look again: only what is there afterwards counts as made."""
    path = api.paths.properties(type_of(object_))
    steps: list[Step] = []
    told: dict[str, str] = {}
    bodies = [dict(one.create) for one in todo if one.create is not None]
    if bodies and GROUP not in before.groups:
        await _create_group(api, path)
    if bodies:
        told |= await _create(api, path, bodies)
    for one in todo:
        if one.options:
            told |= await _tried(
                api, one.name, f"{path}/{one.name}", {"options": list(one.options)}, patch=True
            )
    if not bodies and not any(one.options for one in todo):
        return [*_group_step(object_, before, needed=False), *(one.step for one in todo)]
    after = await _look(api, object_)
    for step in _group_step(object_, after, needed=bool(bodies)):
        made = step.state == "there" and GROUP not in before.groups
        steps.append(replace(step, state="made") if made else step)
    for target, one in zip(targets, todo, strict=True):
        now = _todo(target, after).step
        if one.step.state == "missing" and now.state == "there":
            steps.append(Step(now.what, "made", one.step.detail))
        else:
            steps.append(replace(now, detail=told.get(target.name) or now.detail))
    return steps


async def _create_group(api: Api, path: str) -> None:
    body = {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1}
    try:
        await api.post(f"{path}/groups", body)
    except BadRequest as error:
        if error.answer.status != 409:  # somebody else was quicker: it is there, which is what we want
            raise


async def _create(api: Api, path: str, bodies: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """All in one call; where HubSpot refuses the whole of it, one by one. Returns what it said, by name.

    A property that exists already is told in a 207 (batch) or by a 409 (single); both are compared afterwards.
    """
    try:
        answer = await api.post(f"{path}/batch/create", {"inputs": [dict(body) for body in bodies]})
    except BadRequest as error:
        if error.answer.status not in (400, 409):
            raise
        told: dict[str, str] = {}
        for body in bodies:
            told |= await _tried(api, str(body["name"]), path, body)
        return told
    refused = [entry for entry in errors_of(answer.json) if entry.get("category") != EXISTS]
    said = "; ".join(message_of(entry) for entry in refused)
    return {str(body["name"]): f"HubSpot refused: {said}" for body in bodies} if said else {}


async def _tried(
    api: Api, name: str, path: str, body: Mapping[str, Any], *, patch: bool = False
) -> dict[str, str]:
    try:
        await (api.patch(path, body) if patch else api.post(path, body))
    except BadRequest as error:
        if error.answer.status == 409:
            return {}
        if error.answer.status != 400:
            raise
        return {name: f"HubSpot refused: {message_of(error.answer.json)}"}
    return {}


# ------------------------------------------------------------------------------------------- what people must click


def _stage_clicks(names: str) -> str:
    return (
        f"These stages are missing: {names}. In HubSpot: Settings > Objects > Contacts > Lifecycle Stage > Add stage;"
        " its internal value goes into `stage.values` of mappings/hubspot.yaml. Or take the stage out of the mapping."
    )


def _option_clicks(names: str) -> str:
    return (
        f"These options are missing and cannot be added by API: {names}. In HubSpot: Settings > Properties > the"
        " property > Field type > Add an option, with exactly these internal values."
    )


def _seen(object_: str, targets: Sequence[TargetField]) -> list[Step]:
    """HubSpot has no API for record layouts, saved views or property permissions."""
    ours = [target for target in targets if target.name not in STANDARD]
    if not ours:
        return []
    labels = ", ".join(target.label for target in ours)
    theirs = [target.label for target in ours if target.sales]
    score = next((target for target in ours if target.result == "score"), ours[0])
    reason = next((target.label for target in ours if target.result == "reason"), "")
    columns = ", ".join(filter(None, [score.label, reason]))
    return [
        Step(
            f"{object_} record: {score.label} on the left sidebar",
            "by_hand",
            f"Settings > Objects > {object_.capitalize()}s > Record customization > Default view > left sidebar >"
            f" Add card > Property list: name it {GROUP_LABEL}, add {labels}, save. (Existing card: About this"
            f" {object_} > Edit card > Add properties.)",
        ),
        Step(
            f"{object_} list view sorted by {score.label}",
            "by_hand",
            f"CRM > {object_.capitalize()}s > + Add view > Create new view, shared with everyone: Edit columns, add"
            f" {columns}; click the column {score.label} to sort it from high to low; save.",
        ),
        Step(
            f"{object_} properties of the group {GROUP_LABEL}: sales see, only the connector edits",
            "by_hand",
            f"Settings > Properties > group {GROUP_LABEL} > select all > Manage access > Everyone can view; edit:"
            " super admins only (Professional and Enterprise). On other plans everybody may edit them, and what they"
            " edit is overwritten.",
        ),
        *(
            Step(
                f"{object_} property {label}: sales edit it",
                "by_hand",
                f"Settings > Properties > {label} > Manage access: everyone can view and edit. The connector reads it"
                " and never writes it.",
            )
            for label in theirs
        ),
    ]


# ------------------------------------------------------------------------------------------------------- as files


def as_source(targets: Sequence[TargetField]) -> dict[str, str]:
    """The bodies of the calls that set-up would make, as files, for accounts that forbid set-up by API."""
    files: dict[str, str] = {}
    lines: list[str] = []
    for object_ in dict.fromkeys(target.object for target in targets):
        type_ = type_of(object_)
        group = f"hubspot/groups/{object_}/{GROUP}.json"
        files[group] = _json({"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1})
        lines.append(f"| `POST /crm/v3/properties/{type_}/groups` | `{group}` |")
        for target in targets:
            if target.object == object_ and target.name not in STANDARD:
                file = f"hubspot/properties/{object_}/{target.name}.json"
                files[file] = _json(definition_of(target))
                lines.append(f"| `POST /crm/v3/properties/{type_}` | `{file}` |")
    own = [target.name for target in targets if target.name in STANDARD]
    standard = f"\n`{'`, `'.join(own)}` is HubSpot's own and needs no call.\n" if own else ""
    clicks = [
        f"- **{step.what}.** {step.detail}"
        for object_ in dict.fromkeys(target.object for target in targets)
        for step in _seen(object_, [target for target in targets if target.object == object_])
    ]
    files["hubspot/README.md"] = "\n".join(
        [
            "# Properties for HubSpot",
            "",
            "Send each file as the body of the call beside it, groups first, with a token that has the scope",
            "`crm.schemas.contacts.write`. 409 means that it exists already. Dated paths",
            "(`/crm/properties/2026-03/...`) take the same bodies.",
            "",
            "| Call | Body |",
            "|---|---|",
            *lines,
            standard,
            "Then make the fields seen:",
            "",
            *clicks,
            "",
        ]
    )
    return files


def _json(body: Mapping[str, Any]) -> str:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n"
