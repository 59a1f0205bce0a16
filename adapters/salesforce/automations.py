"""What in the org itself listens to fields of ours or writes them: flows, Apex, validation and workflow rules.

Reads only. Flows that run on our objects, triggers and rules are read whole; what else mentions a custom field is found
by one query for dependencies (a beta of Salesforce's), and then read. Sources: Object reference, "FlowDefinitionView";
Tooling API guide, "Flow", "ValidationRule", "WorkflowRule", "WorkflowFieldUpdate", "MetadataComponentDependency", whose
metadata is told for one component a request, 25 requests a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapters.salesforce import mentions, soql
from adapters.salesforce.errors import FieldRefused
from adapters.salesforce.mentions import Mentions, Ours
from adapters.salesforce.payload import long_id
from adapters.salesforce.rest import Rest
from connector.errors import ConnectorError, RetryLater
from connector.ports import Automation, Automations

Row = Mapping[str, Any]

A_CALL = 25  # requests of a composite call
MOST = 100  # components of a kind that are read whole; more than that are told as not looked into
FLOW = ("ActiveVersionId", "ApiName", "Label", "NamespacePrefix", "ProcessType", "TriggerType")
RUNS_ON = "TriggerObjectOrEvent.QualifiedApiName"
RECORD_TRIGGERED = ("RecordBeforeSave", "RecordAfterSave")
HIDDEN = "(hidden)"  # the body of a managed package's code
ALWAYS = (
    "Programs outside Salesforce that write through its API show nowhere; a field's history names their user.",
    "What lead assignment and duplicate rules look at was not asked: our writes pass them by, those of a job of Bulk "
    "API do not.",
)
GRANT = "The right `View Setup and Configuration` (optional) shows them, `Author Apex` code where an org asks for it."


async def automations(rest: Rest, targets: Sequence[str]) -> Automations:
    """See connector.ports.CrmInspector. About ten calls and one more per 25 flows and rules. Raises RetryLater."""
    fields: dict[str, set[str]] = {}
    for target in targets:
        source, _, name = target.partition(".")
        fields.setdefault(soql.name(source), set()).add(name)
    look = _Look(rest, {source: frozenset(names) for source, names in fields.items()})
    mentioning = await look.dependencies()
    found = [
        *await look.flows(mentioning.get("Flow", frozenset())),
        *await look.triggers(),
        *await look.classes(mentioning.get("ApexClass", frozenset())),
        *await look.validation_rules(),
        *await look.workflow_rules(),
    ]
    return Automations(tuple(found), tuple(look.unseen()))


class _Look:
    """One look at an org. What it may not see it remembers."""

    def __init__(self, rest: Rest, ours: Ours) -> None:
        self._rest = rest
        self._ours = ours
        self._objects = ",".join(f"'{name}'" for name in sorted(ours))
        self._refused: list[str] = []
        self._managed: dict[str, list[str]] = {}  # package -> what of it is not shown
        self._too_many: list[str] = []

    def unseen(self) -> Iterator[str]:
        """In sentences, what was not looked into."""
        if self._refused:
            what = _and(self._refused)
            yield f"Not looked into, because this user may not see them or the org lacks them: {what}. {GRANT}"
        for package, parts in sorted(self._managed.items()):
            yield f"The package {package} does not show what these of its parts do: {_and(sorted(parts))}."
        yield from self._too_many
        yield from ALWAYS

    async def dependencies(self) -> Mapping[str, frozenset[str]]:
        """Which components mention a custom field of ours: ids by type. Reads at most 2,000 of them."""
        custom = {name for names in self._ours.values() for name in names if name.endswith("__c")}
        if not custom:
            return {}
        quoted = ",".join(f"'{soql.name(name).removesuffix('__c')}'" for name in sorted(custom))
        where = [f"TableEnumOrId IN ({self._objects})", f"DeveloperName IN ({quoted})"]
        rows = await self._tooling("where else a field is used", soql.select(["Id"], "CustomField", where))
        if not rows:
            return {}
        columns = ["MetadataComponentId", "MetadataComponentType"]
        ids = soql.id_in("RefMetadataComponentId", (str(row["Id"]) for row in rows))
        query = soql.select(columns, "MetadataComponentDependency", [ids])
        found: dict[str, set[str]] = {}
        for row in await self._tooling("where else a field is used", query):
            kind, id = str(row.get("MetadataComponentType")), str(row.get("MetadataComponentId"))
            found.setdefault(kind, set()).add(long_id(id))
        return {kind: frozenset(ids) for kind, ids in found.items()}

    async def flows(self, mentioning: frozenset[str]) -> list[Automation]:
        """Active flows that run on our objects, and those that mention a field of ours."""
        active = {}
        for row in await self._active_flows():
            of = row.get("TriggerObjectOrEvent")
            runs_on_ours = isinstance(of, Mapping) and of.get("QualifiedApiName") in self._ours
            may = "TriggerObjectOrEvent" not in row and row.get("TriggerType") in RECORD_TRIGGERED
            id = long_id(str(row.get("ActiveVersionId")))
            if runs_on_ours or may or id in mentioning:
                active[id] = row
        found = []
        for row, document in await self._whole("flow", "Flow", active):
            name = str(row.get("Label") or row.get("ApiName"))
            metadata = document.get("Metadata")
            if not isinstance(metadata, Mapping):
                self._hide(row, f"the flow {name}")
                continue
            kind = "process" if row.get("ProcessType") == "Workflow" else "flow"
            place = "Process Builder" if kind == "process" else "Flows"
            found += _told(kind, name, f"Setup > {place} > {name}", mentions.in_flow(metadata, self._ours))
        return found

    async def _active_flows(self) -> list[Row]:
        """Where an org does not say on what a flow runs, the flow itself does."""
        where = ["IsActive = true"]
        try:
            return await self._rest.all_rows(soql.select([*FLOW, RUNS_ON], "FlowDefinitionView", where))
        except FieldRefused:
            return await self._query("flows", soql.select(FLOW, "FlowDefinitionView", where))
        except RetryLater:
            raise
        except ConnectorError:
            self._refuse("flows")
            return []

    async def triggers(self) -> list[Automation]:
        """Active Apex triggers of our objects. One that runs on updates runs at each of our writes."""
        columns = [
            "Body",
            "Name",
            "NamespacePrefix",
            "TableEnumOrId",
            "UsageAfterUpdate",
            "UsageBeforeUpdate",
        ]
        where = ["Status = 'Active'", f"TableEnumOrId IN ({self._objects})"]
        found = []
        for row in await self._query("Apex triggers", soql.select(columns, "ApexTrigger", where)):
            name, source = str(row.get("Name")), str(row.get("TableEnumOrId"))
            body = row.get("Body")
            if not isinstance(body, str) or body == HIDDEN:
                self._hide(row, f"the trigger {name}")
                continue
            seen = mentions.in_apex(body, {source: self._ours.get(source, frozenset())})
            if row.get("UsageBeforeUpdate") or row.get("UsageAfterUpdate"):
                seen.listens.update(mentions.every(source, self._ours))
            found += _told("trigger", name, f"Setup > Apex Triggers > {name}", seen)
        return found

    async def classes(self, mentioning: frozenset[str]) -> list[Automation]:
        """Apex classes that mention a field of ours: what a trigger calls, or what runs by the clock. No tests."""
        found = []
        for chunk in soql.chunks(sorted(mentioning)):
            columns = ["Body", "Name", "NamespacePrefix"]
            query = soql.select(columns, "ApexClass", [soql.id_in("Id", chunk), "Status = 'Active'"])
            for row in await self._query("Apex classes", query):
                name, body = str(row.get("Name")), row.get("Body")
                if not isinstance(body, str) or body == HIDDEN:
                    self._hide(row, f"the class {name}")
                elif "@istest" not in body.lower():
                    seen = mentions.in_apex(body, self._ours)
                    found += _told("Apex class", name, f"Setup > Apex Classes > {name}", seen)
        return found

    async def validation_rules(self) -> list[Automation]:
        """Active validation rules whose formula names a field of ours: they may refuse a write."""
        columns = ["EntityDefinition.QualifiedApiName", "Id", "NamespacePrefix", "ValidationName"]
        where = ["Active = true", f"EntityDefinition.QualifiedApiName IN ({self._objects})"]
        rows = await self._tooling("validation rules", soql.select(columns, "ValidationRule", where))
        found = []
        for row, document in await self._whole("validation rule", "ValidationRule", _by_id(rows)):
            name, source = str(row.get("ValidationName")), _of(row)
            metadata = document.get("Metadata")
            formula = metadata.get("errorConditionFormula") if isinstance(metadata, Mapping) else None
            if not isinstance(formula, str):
                self._hide(row, f"the validation rule {name}")
                continue
            seen = Mentions(mentions.in_formula(formula, source, self._ours))
            place = f"Setup > Object Manager > {source} > Validation Rules > {name}"
            found += _told("validation rule", name, place, seen)
        return found

    async def workflow_rules(self) -> list[Automation]:
        """Active workflow rules that a field of ours starts, or whose field updates write one."""
        where = [f"TableEnumOrId IN ({self._objects})"]
        query = soql.select(["Id", "Name", "NamespacePrefix", "TableEnumOrId"], "WorkflowRule", where)
        rules = await self._tooling("workflow rules", query)
        if not rules:
            return []
        writes = await self._field_updates()
        found = []
        for row, document in await self._whole("workflow rule", "WorkflowRule", _by_id(rules)):
            name, source = str(row.get("Name")), str(row.get("TableEnumOrId"))
            metadata = document.get("Metadata")
            if not isinstance(metadata, Mapping):
                self._hide(row, f"the workflow rule {name}")
            elif metadata.get("active"):
                listens = mentions.in_workflow_rule(metadata, source, self._ours)
                updates = (writes.get(f"{source}.{each}") for each in mentions.field_updates(metadata))
                seen = Mentions(listens, {each for each in updates if each})
                found += _told("workflow rule", name, f"Setup > Workflow Rules > {name}", seen)
        return found

    async def _field_updates(self) -> dict[str, str]:
        """The field of ours that a field update writes, by its full name: `Lead.Set_Score`."""
        columns = [
            "EntityDefinition.QualifiedApiName",
            "FieldDefinition.QualifiedApiName",
            "Id",
            "NamespacePrefix",
        ]
        where = [f"EntityDefinition.QualifiedApiName IN ({self._objects})"]
        rows = await self._tooling(
            "workflow field updates", soql.select(columns, "WorkflowFieldUpdate", where)
        )
        ours = {}
        for id, row in _by_id(rows).items():
            of = row.get("FieldDefinition")
            name = str(of.get("QualifiedApiName")) if isinstance(of, Mapping) else ""
            if name in self._ours.get(_of(row), ()):
                ours[id] = {**row, "writes": f"{_of(row)}.{name}"}
        whole = await self._whole("workflow field update", "WorkflowFieldUpdate", ours)
        return {str(document.get("FullName")): str(row["writes"]) for row, document in whole}

    # ------------------------------------------------------------------------------------------ asking

    async def _query(self, what: str, text: str) -> list[Row]:
        try:
            return await self._rest.all_rows(text)
        except RetryLater:
            raise
        except ConnectorError:
            self._refuse(what)
            return []

    async def _tooling(self, what: str, text: str) -> list[Row]:
        try:
            return await self._rest.tooling_rows(text)
        except RetryLater:
            raise
        except ConnectorError:
            self._refuse(what)
            return []

    async def _whole(self, what: str, kind: str, rows: Mapping[str, Row]) -> list[tuple[Row, Row]]:
        """Each row with its component as the Tooling API tells it, many a call."""
        ids = sorted(rows)
        if len(ids) > MOST:
            self._too_many.append(f"Of {len(ids)} active {what}s, {MOST} were looked into.")
            ids = ids[:MOST]
        found: list[tuple[Row, Row]] = []
        for start in range(0, len(ids), A_CALL):
            part = ids[start : start + A_CALL]
            paths = [f"/tooling/sobjects/{kind}/{id}" for id in part if soql.record_id(id)]
            try:
                answers = await self._rest.composite(paths, at="/tooling/composite", lenient=True)
            except RetryLater:
                raise
            except ConnectorError:
                self._refuse(f"what {what}s do")
                return found
            for id, answer in zip(part, answers, strict=True):
                if answer.status < 300 and isinstance(answer.json, Mapping):
                    found.append((rows[id], answer.json))
                else:
                    self._refuse(f"what {what}s do")
        return found

    def _refuse(self, what: str) -> None:
        if what not in self._refused:
            self._refused.append(what)

    def _hide(self, row: Row, what: str) -> None:
        self._managed.setdefault(str(row.get("NamespacePrefix") or "of this org"), []).append(what)


def _told(kind: str, name: str, where: str, seen: Mentions) -> list[Automation]:
    """The automation, where it concerns us."""
    return [Automation(kind, name, where, frozenset(seen.listens), frozenset(seen.writes))] if seen else []


def _by_id(rows: Iterable[Row]) -> dict[str, Row]:
    return {long_id(str(row["Id"])): row for row in rows if soql.is_id(row.get("Id"))}


def _of(row: Row) -> str:
    """The object of a rule."""
    of = row.get("EntityDefinition")
    return str(of.get("QualifiedApiName")) if isinstance(of, Mapping) else ""


def _and(parts: Sequence[str]) -> str:
    return ", ".join(parts)
