"""The fields and permission sets as files in Salesforce's source format, for orgs that forbid set-up by API. Pure.

`sf project deploy start` takes the folder. Format: Salesforce DX developer guide, "Source format"; Metadata API guide,
"CustomField" and "PermissionSet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import orjson

from adapters.salesforce.clicks import by_hand
from adapters.salesforce.setup import LABELS, READERS, WRITERS
from adapters.salesforce.setup_fields import metadata_of, standard
from connector.core.targets import TargetField

_ROOT = "force-app/main/default"
_NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
API_VERSION = "66.0"


def as_source(targets: Sequence[TargetField]) -> Mapping[str, str]:
    """Relative path -> text. Standard fields and those of packages are not in it: every org has them, or cannot."""
    ours = [target for target in targets if not standard(target.name)]
    project = {
        "packageDirectories": [{"path": "force-app", "default": True}],
        "sourceApiVersion": API_VERSION,
    }
    files = {"sfdx-project.json": orjson.dumps(project, option=orjson.OPT_INDENT_2).decode() + "\n"}
    for target in ours:
        path = f"{_ROOT}/objects/{target.object}/fields/{target.name}.field-meta.xml"
        files[path] = _document("CustomField", {"fullName": target.name, **metadata_of(target, "fullName")})
    for name in (WRITERS, READERS):
        files[f"{_ROOT}/permissionsets/{name}.permissionset-meta.xml"] = _permission_set(name, ours)
    files["README.md"] = _readme(targets)
    return files


def _permission_set(name: str, targets: Sequence[TargetField]) -> str:
    label, what = LABELS[name]
    edit = name == WRITERS
    fields = {f"{target.object}.{target.name}": edit and not target.sales for target in targets}
    body: dict[str, Any] = {
        "description": what,
        "fieldPermissions": [
            {"editable": may_edit, "field": field, "readable": True}
            for field, may_edit in sorted(fields.items())
        ],
        "hasActivationRequired": False,
        "label": label,
    }
    if edit:
        may = {"allowCreate": False, "allowDelete": False, "allowEdit": True, "allowRead": True}
        no = {"modifyAllRecords": False, "viewAllRecords": False}
        objects = sorted({target.object for target in targets})
        body["objectPermissions"] = [{**may, **no, "object": object_} for object_ in objects]
    return _document("PermissionSet", body)


def _document(root: str, body: Mapping[str, Any]) -> str:
    inner = "".join(_element(name, value, 1) for name, value in body.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">\n{inner}</{root}>\n'


def _element(name: str, value: Any, depth: int) -> str:
    """One element; a list repeats it, a mapping nests."""
    pad = "    " * depth
    if isinstance(value, list | tuple):
        return "".join(_element(name, each, depth) for each in value)
    if isinstance(value, Mapping):
        inner = "".join(_element(key, each, depth + 1) for key, each in value.items())
        return f"{pad}<{name}>\n{inner}{pad}</{name}>\n"
    text = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f"{pad}<{name}>{text}</{name}>\n"


def _readme(targets: Sequence[TargetField]) -> str:
    clicks = [f"- **{step.what}.** {step.detail}" for step in by_hand(targets, READERS, assigned=False)]
    return "\n".join(
        [
            "# Fields and permission sets for the MQL connector",
            "",
            "    sf project deploy start --source-dir force-app --target-org YOUR-ORG",
            f"    sf org assign permset --name {WRITERS} --on-behalf-of THE-INTEGRATION-USER",
            "",
            "Fields that exist already are changed to what stands here: look at `sf project deploy preview` first, and",
            "take out the files of picklists that you extended yourself.",
            "",
            "Then:",
            "",
            *clicks,
            "",
        ]
    )
