"""Turn one record of a CRM into a person's, a company's or an opportunity's record in our words. Pure: it
neither joins records nor compares CRMs (`merge.py`), and it keeps nothing between two records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from connector.core.conditions import holds
from connector.core.fields import PERSON_FIELDS
from connector.core.mapping import CrmMapping, FieldMap, ObjectMapping, StageMap, StatusMap, fold
from connector.core.model import (
    Answer,
    CompanyRecord,
    JsonValue,
    OpportunityRecord,
    PersonRecord,
    Value,
    VendorRecord,
)
from connector.core.normalize import transforms
from connector.core.normalize.derive import derive
from connector.core.normalize.transforms import Around, apply
from connector.errors import SkipRecord


def normalize_person(
    record: VendorRecord, mapping: CrmMapping, *, seen_at: datetime | None = None
) -> PersonRecord:
    """A person's record: fields, every address, explicit ids, stage, sales' answer, scope, and what we may
    overwrite.

    An answer is dated by the vendor's history (`status_at`), else by `seen_at` (when we read it), else by
    the record's last change. Raises SkipRecord when the mapping does not know the object as a person.
    """
    shape = _shape(record, mapping, "person")
    emails = addresses(record.values.get(name) for name in shape.emails)
    fields = _fields(record.values, shape.fields, mapping)
    address = fields.get("email")
    if isinstance(address, str) and address not in emails:
        emails = (address, *emails)
    if emails:
        fields.setdefault("email", emails[0])
    if record.created_at is not None:
        fields.setdefault("created_at", record.created_at)
    filled = derive(fields, mapping.titles)
    return PersonRecord(
        ref=record.ref,
        fields=filled,
        emails=emails,
        same_as=tuple(dict.fromkeys((*record.counterparts, *record.absorbed))),
        company=record.company,
        stage=_stage(record.values, shape.stage),
        stage_at=record.stage_at,
        answer=_answer(record, shape.status, seen_at),
        state=record.state,
        moved_to=record.moved_to,
        in_scope=_in_scope(record.values, shape, filled),
        held={line.to: record.values.get(line.to) for line in shape.write},
        changed_at=record.changed_at,
        created_at=record.created_at,
    )


def normalize_company(record: VendorRecord, mapping: CrmMapping) -> CompanyRecord:
    """A company's record: the fields that its people may inherit. Raises SkipRecord as for people."""
    shape = _shape(record, mapping, "company")
    fields = _fields(record.values, shape.fields, mapping)
    site = transforms.domain(fields.get("website"))
    if site:
        fields.setdefault("company_domain", site)
    return CompanyRecord(record.ref, fields, record.state, record.changed_at)


def normalize_opportunity(record: VendorRecord, mapping: CrmMapping) -> OpportunityRecord:
    """A deal: closed, won, how much, whose. What is not said to be won is not. Raises SkipRecord as for
    people."""
    shape = _shape(record, mapping, "opportunity")
    fields = _fields(record.values, shape.fields, mapping)
    amount, currency, closed_at = (fields.get(each) for each in ("amount", "amount_currency", "closed_at"))
    return OpportunityRecord(
        ref=record.ref,
        people=record.people,
        company=record.company,
        is_closed=fields.get("is_closed") is True,
        is_won=fields.get("is_won") is True,
        amount=float(amount) if isinstance(amount, int | float) else None,
        currency=currency if isinstance(currency, str) else None,
        state=record.state,
        changed_at=record.changed_at,
        closed_at=closed_at if isinstance(closed_at, datetime) else None,
    )


def keep_answer_date(now: PersonRecord, before: PersonRecord | None) -> PersonRecord:
    """The record with the date its answer had before, where the answer is the same and the vendor keeps no
    history.

    For whoever stores records: without it an answer dated by the moment of reading would look new at each
    reading.
    """
    if before is None or now.answer is None or before.answer is None:
        return now
    same = (now.answer.kind, now.answer.status) == (before.answer.kind, before.answer.status)
    return replace(now, answer=replace(now.answer, at=min(now.answer.at, before.answer.at))) if same else now


def addresses(values: Iterable[JsonValue]) -> tuple[str, ...]:
    """Every address in these values, each once, in order; a value may hold several, separated by semicolons
    or commas."""
    found: dict[str, None] = {}
    for value in values:
        many = (
            value
            if isinstance(value, list | tuple)
            else (transforms.text(value) or "").replace(",", ";").split(";")
        )
        for one in many:
            address = transforms.email(one)
            if address:
                found[address] = None
    return tuple(found)


def _shape(record: VendorRecord, mapping: CrmMapping, kind: str) -> ObjectMapping:
    shape = mapping.objects.get(record.ref.object)
    if shape is None or shape.kind != kind:
        raise SkipRecord(
            f"The mapping does not know `{record.ref.object}` as a {kind}.",
            where=str(record.ref),
            next_step=f"Add it under `objects` in the {mapping.crm} mapping.",
        )
    return shape


def _fields(
    values: Mapping[str, JsonValue], maps: Sequence[FieldMap], mapping: CrmMapping
) -> dict[str, Value]:
    found: dict[str, Value] = {}
    # The country first: national telephone numbers are read with it.
    country = next((_value(values, one, mapping, None) for one in maps if one.field == "country"), None)
    region = country if isinstance(country, str) else None
    for one in maps:
        if one.transform == "money":
            found.update(_money(values, one))
        else:
            found[one.field] = country if one.field == "country" else _value(values, one, mapping, region)
    return {name: value for name, value in found.items() if value is not None}


def _value(values: Mapping[str, JsonValue], one: FieldMap, mapping: CrmMapping, region: str | None) -> Value:
    raw = _raw(values, one)
    return (
        None if raw is None else _of_kind(apply(one.transform, raw, Around(region, mapping.titles)), one.kind)
    )


def _raw(values: Mapping[str, JsonValue], one: FieldMap) -> JsonValue:
    raw = first_filled(values, one.sources)
    if raw is None or one.values is None:
        return raw
    said = transforms.text(raw)
    if said is not None and fold(said) in one.values:
        return one.values[fold(said)]
    return one.otherwise if one.otherwise is not None else raw


def _of_kind(value: Value, kind: str) -> Value:
    """The value, where it is of the kind its field promises; conditions compare numbers with numbers."""
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "datetime":
        return value if isinstance(value, datetime) else None
    if kind == "text" and value is not None and not isinstance(value, str):
        return transforms.text(value)
    return value


def _money(values: Mapping[str, JsonValue], one: FieldMap) -> dict[str, Value]:
    said = transforms.text(values.get(one.currency_from)) if one.currency_from else None
    found = transforms.money(_raw(values, one), said or one.currency)
    return {one.field: found.amount, f"{one.field}_currency": found.currency} if found else {}


def first_filled(values: Mapping[str, JsonValue], names: Sequence[str]) -> JsonValue:
    """The first value under these names that is not blank, else None."""
    for name in names:
        raw = values.get(name)
        if not transforms.is_blank(raw):
            return raw
    return None


def _stage(values: Mapping[str, JsonValue], stage: StageMap | None) -> str | None:
    said = transforms.text(values.get(stage.source)) if stage else None
    if stage is None or said is None:
        return None
    for ours, theirs in stage.values.items():
        if fold(said) in map(fold, theirs):
            return ours
    return said


def _answer(record: VendorRecord, status: StatusMap | None, seen_at: datetime | None) -> Answer | None:
    said = transforms.text(record.values.get(status.source)) if status else None
    if status is None or said is None:
        return None
    at = record.status_at or seen_at or record.changed_at
    if fold(said) in map(fold, status.accepted):
        return Answer("accepted", said, at)
    for refused, reason in status.rejected.items():
        if fold(said) == fold(refused):
            written = transforms.text(record.values.get(status.reason)) if status.reason else None
            return Answer("rejected", said, at, reason or written)
    return Answer("working", said, at) if fold(said) in map(fold, status.working) else None


def _in_scope(values: Mapping[str, JsonValue], shape: ObjectMapping, ours: Mapping[str, Value]) -> bool:
    if shape.scope is None:
        return True
    filled = {one.field for one in shape.fields} | {
        name for name, known in PERSON_FIELDS.items() if known.derived
    }

    def value_of(name: str) -> Value:
        return ours.get(name) if name in filled else plain_value(values.get(name))

    return holds(shape.scope, value_of)


def plain_value(raw: JsonValue) -> Value:
    """A vendor value as conditions compare it: lists become text, everything else stays."""
    return transforms.text(raw) if isinstance(raw, list | tuple | dict) else raw
