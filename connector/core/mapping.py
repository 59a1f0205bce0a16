"""One CRM's mapping as frozen values, and which fields of theirs it mentions. Pure: knows no CRM by name,
reads no document (`connector.core.mapping_file` does) and applies nothing (`connector.core.normalize` does).
`docs/reference/mapping.md` documents every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta, tzinfo

from connector.core.conditions import Condition, fields_of
from connector.core.fields import ENGAGEMENT_TYPES, PERSON_FIELDS, OurField
from connector.core.limits import Freeze, PlanLimits
from connector.core.titles import TitleRow

KINDS = ("person", "company", "opportunity")
LADDER = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist", "other")
WRITE_RULES = ("always", "if_blank", "if_ours", "only_raise", "never")
ANYONE, SECOND_PERSON = "anyone", "second_person"
APPROVALS = (ANYONE, SECOND_PERSON)
BOTH = "both"  # nobody else copies the lifecycle stage, so it is written to every CRM
RESULTS = (
    "score",
    "fit",
    "engagement",
    "band",
    "grade",
    "status",
    "reason",
    "since",
    "criteria_version",
    "stage",
    "next",
    "persona",
    "audience",
)
TRANSFORMS: Mapping[str, str] = {
    "text": "Trimmed text; a list is joined with `; `.",
    "lower": "Trimmed text in lower case.",
    "number": "A number written as 1,234.56 or 1.234,56 or 3.0, with or without unit signs.",
    "integer": "The same, rounded to a whole number (half away from zero).",
    "boolean": "true, yes, 1, on, x, ja, oui ... or their opposites.",
    "date": "A date; stands for its midnight in UTC.",
    "datetime": "A date and time: ISO 8601, or epoch seconds or milliseconds; without an offset it is UTC.",
    "country": "ISO 3166 alpha-2 from a code or a name in many languages.",
    "language": "ISO 639 language code from a code, a locale or a name in many languages.",
    "phone": "E.164; a national number is read with the person's country.",
    "email": "Trimmed, lower-cased, domain in IDNA; tags and dots kept.",
    "domain": "The domain of a URL or an e-mail address, in IDNA, without `www.`.",
    "money": "A number with its currency: from the text, `currency_from`, or `currency`.",
    "seniority": "Our seniority, read from a job title in eight languages.",
    "job_function": "Our job function, read from a job title in eight languages.",
    "employees": "Number of employees; the lower end of a range such as 51-200.",
    "spam_signs": "What looks like form spam in a message, as in `many links in the message`; the text is not kept.",
    "list_first": "The first of a list or of a text separated by semicolons.",
}
"""Every transform by name; `connector.core.normalize.transforms` carries them out."""

COUNTERS = "counters"
"""The stream name under which engagement that grew out of counters is kept and may be named source of
record."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where one field of ours comes from: the first of `sources` that is not blank, through `transform`.

    `kind` is the field's kind, which the value must have. `values` translates whole values first (compared
    trimmed, without case); with `otherwise` set, what it does not name becomes that. `currency` and
    `currency_from` (a field of theirs) belong to `money`.
    """

    field: str
    sources: tuple[str, ...]
    transform: str
    kind: str = "text"
    values: Mapping[str, str | int | float | bool] | None = None
    otherwise: str | None = None
    currency: str | None = None
    currency_from: str | None = None
    blank: bool | None = None  # what a blank means, of a boolean that a CRM leaves blank instead


@dataclass(frozen=True, slots=True)
class StageMap:
    """The lifecycle stage's field, and per stage of ours their values: the first is what we write.

    `backward`: where the CRM lets a stage only rise, one that must go back is cleared and then set.
    """

    source: str
    values: Mapping[str, tuple[str, ...]]
    backward: bool = False

    def theirs(self) -> dict[str, str]:
        """Ours to theirs, as written."""
        return {ours: values[0] for ours, values in self.values.items()}


@dataclass(frozen=True, slots=True)
class StatusMap:
    """Which lead statuses are sales' answers. `rejected` maps a status to its standing reason, or None.

    `reason` is a field of theirs whose text is the reason when a rejecting status has none of its own. `not_ready`:
    those of `rejected` that send the person to a BDR before sales sees them again. `touch`: those by which sales shows
    that it has done something about the person, besides an answer.
    """

    source: str
    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str | None] = field(default_factory=dict)
    working: tuple[str, ...] = ()
    reason: str | None = None
    not_ready: tuple[str, ...] = ()
    touch: tuple[str, ...] = ()

    def says_not_ready(self, status: str) -> bool:
        """Whether this answer of theirs means: not ready."""
        return fold(status) in {fold(each) for each in self.not_ready}

    def says_touched(self, status: str) -> bool:
        """Whether this status of theirs counts as a touch."""
        return fold(status) in {fold(each) for each in self.touch}


@dataclass(frozen=True, slots=True)
class OverrideMap:
    """A field of theirs by which sales says something above the rules; it is only read. `values`: mql_now, never and
    hold to theirs. `until` and `reason` are fields of theirs, too. `segments`: lists of theirs, by id or name; who is
    on one is meant. `source` may be empty where there are some."""

    source: str
    values: Mapping[str, tuple[str, ...]]
    until: str | None = None
    reason: str | None = None
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counter:
    """An aggregate without times that becomes engagement as it grows. `first`: one, or all (at most 100).

    `at` and `url` are fields of theirs that know when and where it last grew. `optional`: an account without
    these fields is right as well; there it tells nothing.
    """

    field: str
    type: str
    at: str | None = None
    first: str = "one"
    name: str | None = None
    url: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class CameInMap:
    """Fields of theirs that say how a record came in: `source` is the way, of which `imports` are imports, `id` tells
    one import from another, `by` is the user who made the record. `label`: the first that is not blank names it."""

    at: str
    source: str | None = None
    imports: tuple[str, ...] = ()
    id: str | None = None
    by: str | None = None
    label: tuple[str, ...] = ()

    def reads(self) -> tuple[str, ...]:
        """Every field of theirs that this mentions."""
        return tuple(name for name in (self.at, self.source, self.id, self.by, *self.label) if name)


@dataclass(frozen=True, slots=True)
class WriteLine:
    """One line of a mapping's `write`: which result goes to which vendor field, under which write rule.

    `result`: score, fit, engagement, band, grade, status, reason, since, criteria_version, stage, next, persona
    or audience.
    `rule`: always, if_blank, if_ours, only_raise or never. `clear`: a blank may overwrite. `write_only`: whose records
    alone are written to; None: everybody's.
    """

    object: str
    result: str
    to: str
    rule: str
    clear: bool = False
    write_only: Condition | None = None


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """One object of theirs. `scope` None: every record is in scope; `write_only` None: whoever is, is written to."""

    object: str
    kind: str
    emails: tuple[str, ...] = ()
    fields: tuple[FieldMap, ...] = ()
    scope: Condition | None = None
    stage: StageMap | None = None
    status: StatusMap | None = None
    override: OverrideMap | None = None
    counters: tuple[Counter, ...] = ()
    came_in: CameInMap | None = None
    write: tuple[WriteLine, ...] = ()
    write_only: Condition | None = None


@dataclass(frozen=True, slots=True)
class TypeRule:
    """An event is of this type when the condition holds; without one, always."""

    type: str
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class ScannerRule:
    """Events of this type on at least `links` different links of one message within this time are a machine's."""

    type: str
    links: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class StreamMapping:
    """One engagement stream: what is ignored, which of their values we keep, which type an event is.

    `fields` and `attributes` map our name to their names, the first that is not blank. `occurred_at` names
    the time's column of an exported file; a CRM's adapter knows the time itself. `touch`: by such an event sales has
    touched the person; it is kept even where `ignore` holds. `only_bands` and `at_most` say of
    whom a stream is read that costs calls per person: people of these bands (none named: the highest), so many of
    them, highest score first.
    """

    stream: str
    source_of: frozenset[str] = frozenset()
    ignore: tuple[Condition, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    types: tuple[TypeRule, ...] = ()
    occurred_at: str | None = None
    scanner: ScannerRule | None = None
    touch: Condition | None = None
    only_bands: tuple[int, ...] = ()
    at_most: int = 500


@dataclass(frozen=True, slots=True)
class FileShape:
    """How to read an exported file: the columns of the id and of the outcome (used as label only, never as
    input), which texts of the outcome are `positive`, and which texts mean that nothing was answered."""

    id: str
    outcome: str | None = None
    positive: tuple[str, ...] = ("1", "1.0", "true", "yes", "y", "won")
    blank: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CrmMapping:
    """A whole mapping file. `precedence` names, per field of ours, CRMs in the order in which they are believed.

    `approval`: who may let a plan leave that waits for a human (`anyone`, `second_person`). `zone`: of the days of
    `freeze`; a setting that stands in no file. `master`: the CRM to which the lifecycle stage is written where a person
    has records in several, because something else copies it from there; `both`, or None where the file does not say.
    """

    crm: str
    version: int
    objects: Mapping[str, ObjectMapping]
    engagement: Mapping[str, StreamMapping] = field(default_factory=dict)
    limits: PlanLimits = field(default_factory=PlanLimits)
    freeze: tuple[Freeze, ...] = ()
    zone: tzinfo = UTC
    approval: str = ANYONE
    master: str | None = None
    extra_fields: Mapping[str, OurField] = field(default_factory=dict)
    extra_types: Mapping[str, str] = field(default_factory=dict)
    titles: tuple[TitleRow, ...] = ()
    precedence: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file: FileShape | None = None

    def fields(self) -> dict[str, OurField]:
        """Every field of a person that this file may fill."""
        return {**PERSON_FIELDS, **self.extra_fields}

    def types(self) -> dict[str, str]:
        """Every engagement type that this file may name."""
        return {**ENGAGEMENT_TYPES, **self.extra_types}

    def of_kind(self, kind: str) -> tuple[ObjectMapping, ...]:
        """The objects of a kind, in file order."""
        return tuple(each for each in self.objects.values() if each.kind == kind)

    def source_of(self, type: str) -> str | None:
        """The stream that is this CRM's source of record for a type; None: every stream counts."""
        return next((each.stream for each in self.engagement.values() if type in each.source_of), None)


def master_of(mappings: Iterable[CrmMapping]) -> str:
    """The declared master of the lifecycle stage, `both` where no file declares one."""
    return next((each.master for each in mappings if each.master), BOTH)


def wanted_fields(mapping: CrmMapping) -> dict[str, frozenset[str]]:
    """Per object and engagement stream of theirs, every field of theirs that the mapping mentions."""
    wanted = {each.object: frozenset(object_wants(each)) for each in mapping.objects.values()}
    for stream in mapping.engagement.values():
        if stream.stream != COUNTERS:
            wanted[stream.stream] = wanted.get(stream.stream, frozenset()) | frozenset(stream_wants(stream))
    return wanted


def optional_fields(mapping: CrmMapping) -> dict[str, frozenset[str]]:
    """Per object the fields that only optional counters and `came_in` mention: an account may lack them."""
    found: dict[str, frozenset[str]] = {}
    for each in mapping.objects.values():
        counters = tuple(counter for counter in each.counters if not counter.optional)
        found[each.object] = frozenset(object_wants(each)) - frozenset(
            object_wants(replace(each, counters=counters, came_in=None))
        )
    return found


def object_wants(each: ObjectMapping) -> Iterator[str]:
    """Every field of theirs that an object's mapping mentions; one may come twice."""
    yield from each.emails
    filled = {one.field for one in each.fields}
    for one in each.fields:
        yield from one.sources
        if one.currency_from:
            yield one.currency_from
    if each.scope is not None:
        derived = {name for name, known in PERSON_FIELDS.items() if known.derived}
        yield from (name for name in fields_of(each.scope) if name not in filled | derived)
    if each.stage:
        yield each.stage.source
    if each.status:
        yield each.status.source
        if each.status.reason:
            yield each.status.reason
    if each.override:
        yield from (one for one in (each.override.source, each.override.until, each.override.reason) if one)
    for counter in each.counters:
        yield counter.field
        yield from (each for each in (counter.at, counter.url) if each)
    if each.came_in:
        yield from each.came_in.reads()
    yield from (line.to for line in each.write)


def stream_wants(stream: StreamMapping) -> Iterator[str]:
    """Every field of theirs that a stream's mapping mentions; one may come twice."""
    for sources in (*stream.fields.values(), *stream.attributes.values()):
        yield from sources
    ours = {*stream.fields, *(f"attributes.{key}" for key in stream.attributes)}
    touch = () if stream.touch is None else (stream.touch,)
    for condition in (*stream.ignore, *touch, *(rule.when for rule in stream.types if rule.when is not None)):
        yield from (name for name in fields_of(condition) if name not in ours)
    if stream.occurred_at:
        yield stream.occurred_at


def fold(text: str) -> str:
    """The form in which vendor values are compared: trimmed, without case."""
    return text.strip().casefold()
