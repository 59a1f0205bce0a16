"""The reference page, the published schema and the reader of the criteria know the same keys."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest

from connector.app.files import load_document
from connector.core.conditions import JOINERS, OPERATORS
from connector.core.criteria_file import parse_criteria
from connector.errors import FixConfig

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/criteria.schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/reference/criteria.md").read_text(encoding="utf-8")


def keys_of(schema):
    if isinstance(schema, list):
        return {key for part in schema for key in keys_of(part)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema.get("properties", {}))
    return own.union(*(keys_of(part) for part in schema.values()))


def mismatches(value, schema, path="$"):
    """What of a value the schema does not allow, as far as this schema's own vocabulary goes."""
    if "$ref" in schema:
        section, name = schema["$ref"].rsplit("/", 2)[1:]
        return mismatches(value, SCHEMA[section][name], path)
    if "oneOf" in schema:
        found = [mismatches(value, each, path) for each in schema["oneOf"]]
        return [] if [] in found else [f"{path}: {value!r} fits none: {min(found, key=len)}"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{path}: {value!r}"]
    types = schema.get("type", [])
    if types and json_type(value) not in widened([types] if isinstance(types, str) else types):
        return [f"{path}: {value!r} is no {types}"]
    found = []
    if isinstance(value, dict):
        found += [f"{path}: {key} is missing" for key in schema.get("required", []) if key not in value]
        if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
            found.append(f"{path}: {len(value)} keys")
        for key, each in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            found += (
                [f"{path}: {key} is no key"] if inner is False else mismatches(each, inner, f"{path}.{key}")
            )
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{path}: {len(value)} items")
        for i, each in enumerate(value):
            found += mismatches(each, schema.get("items", {}), f"{path}[{i}]")
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{path}: {value!r}")
    return found


def json_type(value):
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return "string" if isinstance(value, date) else names.get(type(value), "null")


def widened(types):
    return {*types, "integer"} if "number" in types else set(types)


def test_the_shipped_file_fits_the_schema():
    shipped = load_document(ROOT / "mappings/criteria.yaml").data
    assert mismatches(shipped, SCHEMA) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"fitt": []},
        {"bands": [1]},
        {"fit": [{"id": "a"}]},
        {"decay": {"half_life": "soon"}},
        {"stages": {"mql": {}}},
        {"audiences": [{"id": "a", "when": {"field": "country", "is": "DE"}, "bands": [1]}]},
        {"audiences": [{"id": "a", "when": {"field": "country", "is": "DE"}, "currency": "EUR"}]},
    ],
)
def test_schema_and_reader_refuse_the_same(broken):
    assert mismatches(broken, SCHEMA)
    with pytest.raises(FixConfig):
        parse_criteria(broken)


def test_every_key_of_the_schema_is_explained_on_the_page():
    missing = [key for key in sorted(keys_of(SCHEMA)) if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", PAGE)]
    assert missing == []


def test_the_schema_knows_every_operator():
    condition = SCHEMA["$defs"]["condition"]["oneOf"]
    assert set(condition[0]["properties"]) == {"field", *OPERATORS}
    assert {key for each in condition[1:] for key in each["properties"]} == set(JOINERS)
