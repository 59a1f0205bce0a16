"""Writes an example into the text of a criteria file, and leaves everything else in it as it stands."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ruamel.yaml import YAML

from connector.app.files import read_document

_KEY = "examples"


def as_yaml(example: Mapping[str, Any], indent: int = 2) -> str:
    """One entry of `examples`, each line this far in."""
    yaml = YAML()
    yaml.default_flow_style = None  # maps of plain values on one line
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump([_plain(example)], stream)
    return "".join(f"{' ' * indent}{line}\n" for line in stream.getvalue().splitlines())


def with_example(text: str, example: Mapping[str, Any]) -> str:
    """The file with this example behind the others."""
    document = read_document(text, "criteria.yaml")
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    there = document.data.get(_KEY) if isinstance(document.data, Mapping) else None
    if not there:
        bare = [line for line in lines if line.strip() not in (f"{_KEY}:", f"{_KEY}: []")]
        return f"{''.join(bare)}\n{_KEY}:\n{as_yaml(example)}"
    starts = sorted(line for path, (line, _) in document.places.items() if len(path) == 1)
    begin = document.places[(_KEY,)][0]
    end = next((line - 1 for line in starts if line > begin), len(lines))
    while end > begin and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    first = document.places[(_KEY, 0)]
    indent = len(lines[first[0] - 1]) - len(lines[first[0] - 1].lstrip())
    return "".join([*lines[:end], "\n", as_yaml(example, indent), *lines[end:]])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
