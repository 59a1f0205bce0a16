"""Settle one person's fields from several records, and say where CRMs disagree. Pure: who is one person was
decided before (`connector.core.resolve`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.core.fields import ACCOUNT
from connector.core.mapping import CrmMapping
from connector.core.model import CompanyRecord, PersonRecord, RecordState, Ref, Value
from connector.core.values import canonical

_NEVER = datetime.min.replace(tzinfo=UTC)
# These say something about the record, not about the person: differing is no disagreement.
_OF_THE_RECORD = frozenset({"created_at", "owner"})
_HOLDS_ANYWHERE = ("email_opt_out", "phone_opt_out")
# Read from another field: they go with the record that gave it, and disagree only where it does.
_GOES_WITH = {
    "email_domain": "email",
    "email_kind": "email",
    "annual_revenue_currency": "annual_revenue",
}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A field on which CRMs differ: every value with its record, the believed one first."""

    field: str
    values: tuple[tuple[Ref, Value], ...]


def person_fields(
    records: Sequence[PersonRecord],
    companies: Mapping[Ref, CompanyRecord],
    precedence: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, Value], tuple[Disagreement, ...]]:
    """One person's fields, blank ones left out, and the fields on which CRMs disagree, by name.

    Per field the CRMs of `precedence` are believed in that order, else the newest record (`changed_at`) that
    is not blank. Live records come before converted ones; deleted and absorbed ones speak only when nobody
    else does. An opt-out in any record holds; `created_at` is the earliest. What no person record fills is
    inherited from the companies, in the same order. The answer does not depend on the order of `records`.
    """
    speaking = _speaking(records)
    names = sorted({name for record in speaking for name in record.fields})
    chosen: dict[str, Value] = {}
    giver: dict[str, PersonRecord] = {}
    differing: list[Disagreement] = []
    for name in names:
        if name in _GOES_WITH:
            continue
        ranked = _ranked(speaking, (precedence or {}).get(name, ()))
        said = [(record, record.fields[name]) for record in ranked if record.fields.get(name) is not None]
        if not said:
            continue
        giver[name], chosen[name] = said[0]
        if name not in _OF_THE_RECORD and _crms_differ(said):
            differing.append(Disagreement(name, tuple((record.ref, value) for record, value in said)))
    for name, base in _GOES_WITH.items():
        if base in giver and giver[base].fields.get(name) is not None:
            chosen[name] = giver[base].fields[name]
    if "email" not in chosen:
        chosen["email_kind"] = "none"
    for name in _HOLDS_ANYWHERE:
        if any(record.fields.get(name) is True for record in speaking):
            chosen[name] = True
    created = [each for record in speaking if isinstance(each := record.fields.get("created_at"), datetime)]
    if created:
        chosen["created_at"] = min(created)
    refs = (record.company for record in _ranked(speaking, ()))
    _inherit(chosen, [companies[ref] for ref in refs if ref is not None and ref in companies])
    return chosen, tuple(differing)


def merged_precedence(mappings: Iterable[CrmMapping]) -> dict[str, tuple[str, ...]]:
    """The precedence of all mapping files together; where two name the same field, the first file's order
    holds."""
    merged: dict[str, tuple[str, ...]] = {}
    for mapping in mappings:
        for name, crms in mapping.precedence.items():
            merged.setdefault(name, crms)
    return merged


def _speaking(records: Sequence[PersonRecord]) -> list[PersonRecord]:
    alive = [each for each in records if each.state in (RecordState.LIVE, RecordState.CONVERTED)]
    return alive or list(records)


def _ranked(records: Sequence[PersonRecord], crms: Sequence[str]) -> list[PersonRecord]:
    order = {crm: position for position, crm in enumerate(crms)}
    by_ref = sorted(records, key=lambda each: each.ref)
    newest = sorted(by_ref, key=lambda each: each.changed_at or _NEVER, reverse=True)
    return sorted(
        newest,
        key=lambda each: (order.get(each.ref.crm, len(order)), each.state is not RecordState.LIVE),
    )


def _crms_differ(said: Sequence[tuple[PersonRecord, Value]]) -> bool:
    by_crm: dict[str, str | None] = {}
    for record, value in said:
        by_crm.setdefault(record.ref.crm, canonical(value.casefold() if isinstance(value, str) else value))
    return len(set(by_crm.values())) > 1


def _inherit(chosen: dict[str, Value], companies: Iterable[CompanyRecord]) -> None:
    for company in companies:
        if company.state is RecordState.LIVE:
            for name, value in company.fields.items():
                if name == "annual_revenue_currency" and chosen.get("annual_revenue") != company.fields.get(
                    "annual_revenue"
                ):
                    continue  # an amount keeps its own currency
                if value is not None and chosen.get(name) is None and not name.startswith(ACCOUNT):
                    chosen[name] = value
