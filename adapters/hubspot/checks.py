"""Hold values against the live schema before they are sent, so that one that HubSpot must refuse costs no call and no
neighbour. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.hubspot.batches import Fate
from connector.core.model import Outcome
from connector.core.names import nearest
from connector.core.values import as_number
from connector.ports import FieldInfo


def refusal(properties: Mapping[str, str], schema: Mapping[str, FieldInfo]) -> Fate | None:
    """Why HubSpot would refuse these values, with the code it would give; None where nothing speaks against them.

    Options of a property that lists none (`externalOptions`, such as owners) cannot be checked here.
    """
    for name, value in properties.items():
        why = _against(name, value, schema)
        if why is not None:
            code, text = why
            return Fate(Outcome.REJECTED, f"{text} Nothing was sent for this record.", code)
    return None


def _against(name: str, value: str, schema: Mapping[str, FieldInfo]) -> tuple[str, str] | None:
    info = schema.get(name)
    if info is None:
        return "PROPERTY_DOESNT_EXIST", (
            f"HubSpot has no property {name}{_hint(name, schema)}. Create it (`connector setup hubspot`), or remap it."
        )
    if not info.writable:
        return "READ_ONLY_VALUE", f"{name} is read-only in HubSpot. Remap it in mappings/hubspot.yaml."
    if not value:
        return None
    if info.restricted and not _offered(value, info.options):
        return "INVALID_OPTION", (
            f"{name} has no option `{value[:60]}`{_hint(value, info.options)}. Add it with `connector setup hubspot`."
        )
    if info.kind == "number" and as_number(value) is None:
        return "INVALID_INTEGER", f"{name} is a number and `{value[:60]}` is none."
    if info.max_length is not None and len(value) > info.max_length:
        return "PROPERTY_VALUE_TOO_LONG", f"{name} takes {info.max_length} characters, not {len(value)}."
    return None


def _offered(value: str, options: tuple[str, ...]) -> bool:
    """Exactly as spelled; a multiple choice joins its options with semicolons."""
    return value in options or all(part in options for part in value.split(";") if part)


def _hint(name: str, known: Mapping[str, FieldInfo] | tuple[str, ...]) -> str:
    close = nearest(name, known)
    return f" (nearest: {close})" if close else ""
