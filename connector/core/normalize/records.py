"""Turn one record of a CRM into a person's, a company's or an opportunity's record in our words. Pure: it
neither joins records nor compares CRMs (`merge.py`), and it keeps nothing of a record for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from connector.core.conditions import holds
from connector.core.fields import PERSON_FIELDS
from connector.core.mapping import CrmMapping, FieldMap, ObjectMapping, fold
from connector.core.model import (
    Answer,
    CompanyRecord,
    JsonValue,
    OpportunityRecord,
    PersonRecord,
    RecordState,
    Said,
    Value,
    VendorRecord,
)
from connector.core.normalize import transforms
from connector.core.normalize.derive import derive
from connector.core.normalize.transforms import Around, apply
from connector.core.override import HOLD_UNTIL
from connector.core.titles import TitleRow
from connector.errors import SkipRecord


def normalize_person(
    record: VendorRecord, mapping: CrmMapping, *, seen_at: datetime | None = None
) -> PersonRecord:
    """A person's record: fields, every address, explicit ids, stage, sales' answer, scope, and what we may
    overwrite.

    An answer is dated by the vendor's history (`status_at`), else by `seen_at` (when we read it), else by
    the record's last change. Raises SkipRecord when the mapping does not know the object as a person.
    """
    ready = _ready_for(record, mapping, "person")
    values = record.values
    emails = addresses([values.get(name) for name in ready.shape.emails])
    fields = ready.fields(values)
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
        stage=ready.stage(values),
        stage_at=record.stage_at,
        answer=ready.answer(record, seen_at),
        state=record.state,
        moved_to=record.moved_to,
        in_scope=_in_scope(values, ready.shape, filled),
        held={name: value for name in ready.held if (value := values.get(name)) is not None},
        changed_at=record.changed_at,
        created_at=record.created_at,
        says=ready.says(values) if record.state is RecordState.LIVE else None,
    )


def normalize_company(record: VendorRecord, mapping: CrmMapping) -> CompanyRecord:
    """A company's record: the fields that its people may inherit. Raises SkipRecord as for people."""
    fields = _ready_for(record, mapping, "company").fields(record.values)
    site = transforms.domain(fields.get("website"))
    if site:
        fields.setdefault("company_domain", site)
    return CompanyRecord(record.ref, fields, record.state, record.changed_at, record.moved_to)


def normalize_opportunity(record: VendorRecord, mapping: CrmMapping) -> OpportunityRecord:
    """A deal: closed, won, how much, whose. What is not said to be won is not. Raises SkipRecord as for
    people."""
    fields = _ready_for(record, mapping, "opportunity").fields(record.values)
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
        if value is None:
            continue
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


# ---------------------------------------------------------------------------- a mapping, ready for many records

_Read = Callable[[Mapping[str, JsonValue], str | None], Value]
"""One field of ours out of their values; the country is known for national telephone numbers."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """One object's mapping, prepared once: what a page repeats a hundred times is only looked up."""

    shape: ObjectMapping
    country: _Read | None
    reads: tuple[tuple[str, _Read], ...]  # every field but the country and amounts of money
    amounts: tuple[FieldMap, ...]
    stages: Mapping[str, str]  # theirs, folded, to ours
    answers: Mapping[str, tuple[str, str | None]]  # their status, folded: our answer and its standing reason
    words: Mapping[str, str]  # what their override field says, folded: our kind of override
    blanks: tuple[FieldMap, ...]  # whose blank means something
    held: tuple[str, ...]  # the fields that we write to

    def fields(self, values: Mapping[str, JsonValue]) -> dict[str, Value]:
        """Our fields, blank ones left out."""
        found: dict[str, Value] = {}
        # The country first: national telephone numbers are read with it.
        country = self.country(values, None) if self.country else None
        region = country if isinstance(country, str) else None
        if country is not None:
            found["country"] = country
        for name, read in self.reads:
            value = read(values, region)
            if value is not None:
                found[name] = value
        for one in self.blanks:
            if one.field not in found and any(source in values for source in one.sources):
                assert one.blank is not None
                found[one.field] = one.blank
        for one in self.amounts:
            found.update(_money(values, one))
        return found

    def stage(self, values: Mapping[str, JsonValue]) -> str | None:
        """Our stage; theirs as it is spelled where the mapping does not name it."""
        said = transforms.text(values.get(self.shape.stage.source)) if self.shape.stage else None
        return None if said is None else self.stages.get(fold(said), said)

    def answer(self, record: VendorRecord, seen_at: datetime | None) -> Answer | None:
        """Sales' answer, where the record's status is one."""
        status = self.shape.status
        said = transforms.text(record.values.get(status.source)) if status else None
        if status is None or said is None:
            return None
        kind, reason = self.answers.get(fold(said), ("", None))
        if not kind:
            return None
        if kind == "rejected" and not reason and status.reason:
            reason = transforms.text(record.values.get(status.reason))
        return Answer(kind, said, record.status_at or seen_at or record.changed_at, reason)

    def says(self, values: Mapping[str, JsonValue]) -> Said | None:
        """What the record's own field says above the rules; blank, or a value that the mapping does not know: nothing.
        Without a date that can be read, a hold lasts until the field is cleared."""
        shape = self.shape.override
        kind = (
            self.words.get(fold(transforms.text(values.get(shape.source)) or ""))
            if shape and shape.source
            else None
        )
        if shape is None or kind is None:
            return None
        until = apply("datetime", values.get(shape.until)) if kind == HOLD_UNTIL and shape.until else None
        reason = transforms.text(values.get(shape.reason)) if shape.reason else None
        return Said(kind, shape.source, until if isinstance(until, datetime) else None, reason or "")


def _ready_for(record: VendorRecord, mapping: CrmMapping, kind: str) -> _Ready:
    ready = _prepared(_Same(mapping)).get(record.ref.object)
    if ready is None or ready.shape.kind != kind:
        raise SkipRecord(
            f"The mapping does not know `{record.ref.object}` as a {kind}.",
            where=str(record.ref),
            next_step=f"Add it under `objects` in the {mapping.crm} mapping.",
        )
    return ready


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A mapping as the key of a cache. It is frozen but holds dictionaries, so the object itself counts; the cache
    keeps it alive, and with it its identity."""

    mapping: CrmMapping

    def __hash__(self) -> int:
        return id(self.mapping)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.mapping is self.mapping


@lru_cache(maxsize=32)
def _prepared(same: _Same) -> Mapping[str, _Ready]:
    return {name: _prepare(shape, same.mapping.titles) for name, shape in same.mapping.objects.items()}


def _prepare(shape: ObjectMapping, titles: tuple[TitleRow, ...]) -> _Ready:
    one_each = {one.field: one for one in shape.fields}  # of two lines for one field the last counts
    country = one_each.pop("country", None)
    stages: dict[str, str] = {}
    for ours, theirs in shape.stage.values.items() if shape.stage else ():
        for value in theirs:
            stages.setdefault(fold(value), ours)
    answers: dict[str, tuple[str, str | None]] = {}
    if shape.status:
        answers.update({fold(each): ("working", None) for each in shape.status.working})
        for refused, reason in reversed(list(shape.status.rejected.items())):
            answers[fold(refused)] = ("rejected", reason)
        answers.update({fold(each): ("accepted", None) for each in shape.status.accepted})
    return _Ready(
        shape=shape,
        country=_reader(country, titles) if country else None,
        reads=tuple(
            (name, _reader(one, titles)) for name, one in one_each.items() if one.transform != "money"
        ),
        amounts=tuple(one for one in one_each.values() if one.transform == "money"),
        stages=stages,
        answers=answers,
        words={
            fold(each): kind
            for kind, theirs in (shape.override.values.items() if shape.override else ())
            for each in theirs
        },
        blanks=tuple(one for one in one_each.values() if one.blank is not None),
        held=tuple(line.to for line in shape.write),
    )


def _reader(one: FieldMap, titles: tuple[TitleRow, ...]) -> _Read:
    transform, kind, sources = one.transform, one.kind, one.sources
    if (transform, kind) == ("text", "text") and one.values is None:
        return lambda values, region: _first_text(values, sources)
    abroad = Around(None, titles)

    def value_of(raw: JsonValue, region: str | None) -> Value:
        if one.values is not None:
            raw = _translated(raw, one)
        return _of_kind(apply(transform, raw, abroad if region is None else Around(region, titles)), kind)

    again = value_of if transform in _UNLIKE else lru_cache(maxsize=2_000)(value_of)

    def read(values: Mapping[str, JsonValue], region: str | None) -> Value:
        raw = first_filled(values, sources)
        if raw is None:
            return None
        # 1, 1.0 and True are one key of a cache, and a long text is not worth keeping.
        return (again if type(raw) is str and len(raw) <= 60 else value_of)(raw, region)

    return read


_UNLIKE = frozenset({"email", "phone", "date", "datetime"})
"""Transforms of values that hardly two records have in common: looking them up costs more than reading them."""


def _first_text(values: Mapping[str, JsonValue], names: Sequence[str]) -> str | None:
    """What `first_filled` finds, as text: most fields are read this way."""
    for name in names:
        raw = values.get(name)
        if raw is None:
            continue
        found = transforms.text(raw)
        if type(raw) is str:
            if found is not None:
                return found
        elif not transforms.is_blank(raw):
            return found
    return None


def _translated(raw: JsonValue, one: FieldMap) -> JsonValue:
    """A whole value by the mapping's own table."""
    said = transforms.text(raw)
    assert one.values is not None
    if said is not None and fold(said) in one.values:
        return one.values[fold(said)]
    return one.otherwise if one.otherwise is not None else raw


def _of_kind(value: Value, kind: str) -> Value:
    """The value, where it is of the kind its field promises; conditions compare numbers with numbers."""
    if kind == "text":
        return value if value is None or isinstance(value, str) else transforms.text(value)
    if kind == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "datetime":
        return value if isinstance(value, datetime) else None
    return value


def _money(values: Mapping[str, JsonValue], one: FieldMap) -> dict[str, Value]:
    raw = first_filled(values, one.sources)
    if raw is None:
        return {}
    if one.values is not None:
        raw = _translated(raw, one)
    said = transforms.text(values.get(one.currency_from)) if one.currency_from else None
    found = transforms.money(raw, said or one.currency)
    if found is None:
        return {}
    named = {one.field: found.amount, f"{one.field}_currency": found.currency}
    return {name: value for name, value in named.items() if value is not None}


def first_filled(values: Mapping[str, JsonValue], names: Sequence[str]) -> JsonValue:
    """The first value under these names that is not blank, else None."""
    for name in names:
        raw = values.get(name)
        if raw is not None and not transforms.is_blank(raw):
            return raw
    return None


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
