"""Read the document of the criteria file into the values of `connector.core.criteria`, and report everything
wrong at once. Opens no file and computes no score. docs/reference/criteria.md documents every key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict, TypeVar

from connector.core.conditions import NEVER, Condition, Lists, Path, fields_of, parse_condition
from connector.core.criteria import (
    DEFAULT_STAGES,
    Audience,
    Best,
    Criteria,
    Decay,
    Disqualifier,
    EngagementRule,
    EventRule,
    Evidence,
    Example,
    Expectation,
    FitRule,
    Guard,
    HandRaise,
    MqlStage,
    Persona,
    Recycle,
    RuledStage,
    StageAll,
    StageAny,
    StageEntry,
    StageRule,
    Stages,
    StageTest,
    Weights,
)
from connector.core.durations import parse_duration
from connector.core.fields import ENGAGEMENT_TYPES, EVENT_FIELDS, PERSON_FIELDS
from connector.core.model import Engagement, Value
from connector.core.names import nearest
from connector.core.suspect_rules import SecondSign, SuspectRule
from connector.errors import FixConfig, Problem

T = TypeVar("T")

_TOP = (
    "version",
    "name",
    "preset",
    "agreed_by",
    "approve",
    "review_by",
    "currency",
    "weights",
    "bands",
    "grades",
    "min_change",
    "decay",
    "groups",
    "fit",
    "engagement",
    "disqualify",
    "hand_raise",
    "suspect",
    "guards",
    "stages",
    "examples",
    "personas",
    "audiences",
)
_OF_THE_FILE = ("version", "agreed_by", "approve", "review_by", "currency", "personas", "audiences")
"""Keys that no audience has of its own."""
_OF_AUDIENCES = ("id", "when", *(key for key in _TOP if key not in _OF_THE_FILE))
_EVENT_NAMES = ("type", "occurred_at", *EVENT_FIELDS, "attributes.")
"""What a condition on an event may name; `attributes.` stands for every `attributes.<key>`."""

_EVENT_RULE = ("id", "name", "event", "where", "within", "at_least", "sum")
_SUSPECT = (
    "id",
    "name",
    "event",
    "where",
    "after_sent",
    "links",
    "within",
    "again_within",
    "unopened",
    "unless",
)
_MEASURES = ("score", "fit", "engagement", "band")
_MEASURE_OPS = ("is", "is_not", "gt", "gte", "lt", "lte", "between")
_NURTURED = ("subscriber", "opportunity", "customer", "evangelist", "other", "disqualified")
"""Keys of `stages` that hold nothing but their `next`."""
_WITH_NEXT = ("lead", "mql", "sql", "recycle", *_NURTURED)
_NEXT_AT_MOST = 255  # a text field of a CRM must hold it
_MQL = ("enter", "leave", "evidence", "best", "capacity", "next")
_EXPECT = (
    "stage",
    "audience",
    "persona",
    "score",
    "fit",
    "engagement",
    "band",
    "grade",
    "disqualified",
    "hand_raised",
)


def parse_criteria(doc: object, *, lists: Lists | None = None) -> Criteria:
    """The criteria that a loaded YAML document means.

    `lists` gives the raw entries of a list named by `in_list`. Raises FixConfig with every problem found,
    each with its path in the document.
    """
    reader = _Reader(lists)
    criteria = reader.criteria(doc)
    if reader.problems:
        raise FixConfig(
            f"The criteria have {len(reader.problems)} problem(s).",
            next_step="Correct them; the last good version stays in force.",
            problems=reader.problems,
        )
    return criteria


class _EventKeys(TypedDict):
    id: str
    name: str
    events: tuple[str, ...]
    where: Condition | None
    within: timedelta | None
    at_least: float
    sum: str | None


class _Reader:
    """Walks the document and collects problems; a part with problems comes back as a harmless stand-in."""

    def __init__(self, lists: Lists | None) -> None:
        self.lists = lists
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.default_decay: Decay | None = None
        self.groups: dict[str, float] = {}

    def criteria(self, doc: object) -> Criteria:
        top = self.a_map(doc, (), _TOP)
        self.default_decay = self.decay(top, ()) if "decay" in top else None
        self.groups = self.read_groups(top)
        fit = self.rules(top, "fit", self.fit_rule)
        engagement = self.rules(top, "engagement", self.engagement_rule)
        self.unique_ids([("fit", fit), ("engagement", engagement)])
        disqualify = self.rules(top, "disqualify", self.disqualifier)
        self.unique_ids([("disqualify", disqualify)])
        hand_raise = self.rules(top, "hand_raise", self.hand_raise)
        self.unique_ids([("hand_raise", hand_raise)])
        suspect = self.rules(top, "suspect", self.suspect)
        self.unique_ids([("suspect", suspect)])
        guards = self.rules(top, "guards", self.guard)
        self.unique_ids([("guards", guards)])
        self.unused_groups(engagement)
        return Criteria(
            version=self.whole(top, (), "version", default=1, least=1) or 1,
            name=self.text(top, (), "name"),
            preset=self.text(top, (), "preset"),
            agreed_by=self.agreed_by(top),
            approve_both=self.approve_both(top),
            review_by=self.day(top, "review_by"),
            currency=self.currency(top),
            weights=self.weights(top),
            bands=self.cuts(top, "bands", Criteria().bands, ascending=True),
            grades=self.cuts(top, "grades", Criteria().grades, ascending=False),
            min_change=self.number(top, (), "min_change", default=3.0, least=0.0),
            decay=self.default_decay,
            groups=self.groups,
            fit=fit,
            engagement=engagement,
            disqualify=disqualify,
            hand_raise=hand_raise,
            suspect=suspect,
            guards=guards,
            stages=self.stages(top),
            examples=self.rules(top, "examples", self.example),
            personas=self.personas(top),
            audiences=self.audiences(top),
            warnings=tuple(self.warnings),
        )

    # who is who

    def personas(self, top: Mapping[str, object]) -> tuple[Persona, ...]:
        found = self.rules(top, "personas", self.persona)
        self.unique_ids([("personas", found)])
        return found

    def persona(self, doc: object, path: Path) -> Persona:
        body = self.a_map(doc, path, ("id", "name", "when"), required=("id", "when"))
        id, name = self.title(body, path)
        when = self.condition(body, path)
        if "persona" in fields_of(when):
            self.wrong((*path, "when"), "A persona cannot depend on `persona`, which it decides.")
        return Persona(id, name, when)

    def audiences(self, top: Mapping[str, object]) -> tuple[Audience, ...]:
        if "audiences" not in top:
            return ()
        docs = self.a_list(top["audiences"], ("audiences",))
        found = tuple(self.audience(doc, ("audiences", i), top) for i, doc in enumerate(docs))
        self.unique_ids([("audiences", found)])
        return found

    def audience(self, doc: object, path: Path, top: Mapping[str, object]) -> Audience:
        body = self.a_map(doc, path, required=("id", "when"))
        for key in body:
            if key in _OF_THE_FILE:
                self.wrong((*path, key), f"`{key}` is said once, for the whole file.")
            elif key not in _OF_AUDIENCES:
                self.wrong((*path, key), f"`{key}` is no key here.", nearest(key, _OF_AUDIENCES))
        id, name = self.title(body, path)
        own = {key: body[key] for key in body if key in _OF_AUDIENCES and key not in ("id", "name", "when")}
        return Audience(id, name, self.condition(body, path), self.own_criteria(own, path, top))

    def own_criteria(self, own: Mapping[str, object], path: Path, top: Mapping[str, object]) -> Criteria:
        """The file with these keys in place of its own, read anew: a rule of the file may need a group, or take a
        decay, that is another here. What is wrong by that alone is the audience's mistake."""
        reader = _Reader(self.lists)
        of_file = {
            key: top[key] for key in top if key in _TOP and key not in ("personas", "audiences", "examples")
        }
        criteria = reader.criteria({**of_file, **own})
        known = {(each.path, each.what) for each in self.problems}
        for each in reader.problems:
            if each.path and each.path[0] in own:
                self.problems.append(replace(each, path=(*path, *each.path)))
            elif (each.path, each.what) not in known:
                self.wrong(
                    path, f"With the keys of this audience, at {_place(each.path)}: {each.what}", each.nearest
                )
        of_own = [each for each in reader.warnings if each.path and each.path[0] in own]
        self.warnings += [replace(each, path=(*path, *each.path)) for each in of_own]
        return criteria

    # plain values

    def wrong(self, path: Path, what: str, near: str | None = None) -> None:
        self.problems.append(Problem(path, what, near))

    def a_map(
        self, doc: object, path: Path, allowed: Sequence[str] | None = None, required: Iterable[str] = ()
    ) -> Mapping[str, object]:
        if not isinstance(doc, Mapping):
            self.wrong(path, f"A map of keys and values is needed here, not {_shown(doc)}.")
            return {}
        for key in doc:
            if not isinstance(key, str):
                self.wrong((*path, str(key)), f"`{key}` is no text; put it in quotes.")
            elif allowed is not None and key not in allowed:
                self.wrong((*path, key), f"`{key}` is no key here.", nearest(key, allowed))
        for key in required:
            if key not in doc:
                self.wrong(path, f"`{key}` is missing.")
        return {key: value for key, value in doc.items() if isinstance(key, str)}

    def a_list(self, doc: object, path: Path) -> Sequence[object]:
        if isinstance(doc, list | tuple):
            return doc
        self.wrong(path, f"A list is needed here, not {_shown(doc)}.")
        return ()

    def text(self, doc: Mapping[str, object], path: Path, key: str, default: str = "") -> str:
        value = doc.get(key, default)
        if not isinstance(value, str):
            self.wrong((*path, key), f"`{key}` needs a text, not {_shown(value)}; put it in quotes.")
            return default
        if key in doc and not value.strip():
            self.wrong((*path, key), f"`{key}` is empty.")
        return value

    def as_number(self, value: object, path: Path, least: float | None = None) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(path, f"A number is needed here, not {_shown(value)}.")
            return None
        if not math.isfinite(value):
            self.wrong(path, f"{value} is no number to count with.")
            return None
        if least is not None and value < least:
            self.wrong(path, f"{value} is too low; it is at least {least:g}.")
            return None
        return float(value)

    def number(
        self,
        doc: Mapping[str, object],
        path: Path,
        key: str,
        default: float = 0.0,
        least: float | None = None,
    ) -> float:
        if key not in doc:
            return default
        found = self.as_number(doc[key], (*path, key), least)
        return default if found is None else found

    def whole(
        self, doc: Mapping[str, object], path: Path, key: str, *, default: int | None = None, least: int = 1
    ) -> int | None:
        if key not in doc:
            return default
        value = doc[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong(
                (*path, key), f"`{key}` needs a whole number of at least {least}, not {_shown(value)}."
            )
            return default
        return value

    def duration(self, doc: Mapping[str, object], path: Path, key: str) -> timedelta | None:
        if key not in doc:
            return None
        try:
            return parse_duration(doc[key])
        except ValueError as wrong:
            self.wrong((*path, key), str(wrong))
            return None

    def day(self, doc: Mapping[str, object], key: str) -> date | None:
        value = doc.get(key)
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        if key in doc:
            try:
                return date.fromisoformat(str(value))
            except ValueError:
                self.wrong((key,), f"`{key}` needs a date as in 2027-02-22, not {_shown(value)}.")
        return None

    def moment(self, doc: Mapping[str, object], path: Path, key: str) -> datetime:
        value = doc.get(key)
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if isinstance(found, datetime):
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        if isinstance(found, date):
            return datetime(found.year, found.month, found.day, tzinfo=UTC)
        if key in doc:
            self.wrong((*path, key), f"`{key}` needs a time as in 2026-11-01T00:00:00Z, not {_shown(value)}.")
        return datetime(1970, 1, 1, tzinfo=UTC)

    # the head of the file

    def agreed_by(self, top: Mapping[str, object]) -> Mapping[str, str]:
        if "agreed_by" not in top:
            return {}
        doc = self.a_map(top["agreed_by"], ("agreed_by",))
        return {key: self.text(doc, ("agreed_by",), key) for key in doc}

    def approve_both(self, top: Mapping[str, object]) -> bool:
        if "approve" not in top:
            return False
        if top["approve"] != "both":
            self.wrong(("approve",), f"`approve` knows `both` alone, not {_shown(top['approve'])}.")
        named = top.get("agreed_by")
        names = (
            [str(each).strip().casefold() for each in named.values()] if isinstance(named, Mapping) else []
        )
        if len(set(names)) < 2:
            self.wrong(("approve",), "`approve: both` needs two different people under `agreed_by`.")
        return True

    def currency(self, top: Mapping[str, object]) -> str | None:
        value = top.get("currency")
        if value is None and "currency" not in top:
            return None
        if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper():
            return value
        self.wrong(("currency",), f"`currency` needs an ISO code such as EUR, not {_shown(value)}.")
        return None

    def weights(self, top: Mapping[str, object]) -> Weights:
        if "weights" not in top:
            return Weights()
        keys = ("fit", "engagement")
        doc = self.a_map(top["weights"], ("weights",), keys, required=keys)
        fit, engagement = (self.number(doc, ("weights",), key, 0.5, least=0.0) for key in keys)
        return Weights(fit, engagement)

    def cuts(
        self, top: Mapping[str, object], key: str, default: tuple[float, ...], *, ascending: bool
    ) -> tuple[float, ...]:
        if key not in top:
            return default
        before = len(self.problems)
        doc = self.a_list(top[key], (key,))
        found = [self.as_number(value, (key, i)) for i, value in enumerate(doc)]
        cuts = tuple(cut for cut in found if cut is not None)
        if len(self.problems) > before:
            return default
        order = sorted(set(cuts), reverse=not ascending)
        if len(cuts) != len(default) or list(cuts) != order:
            way = "ascending" if ascending else "descending"
            self.wrong((key,), f"`{key}` needs {len(default)} cut points, {way}, as in {_plain(default)}.")
            return default
        return cuts

    def read_groups(self, top: Mapping[str, object]) -> dict[str, float]:
        if "groups" not in top:
            return {}
        groups = self.a_map(top["groups"], ("groups",))
        found: dict[str, float] = {}
        for name, doc in groups.items():
            path = ("groups", name)
            found[name] = self.number(self.a_map(doc, path, ("cap",), required=("cap",)), path, "cap")
        return found

    def decay(self, doc: Mapping[str, object], path: Path) -> Decay | None:
        path = (*path, "decay")
        if doc["decay"] == "none":
            return None
        found = self.a_map(doc["decay"], path, ("half_life", "steps"))
        if not isinstance(doc["decay"], Mapping):
            return None
        if len(found.keys() & {"half_life", "steps"}) != 1:
            self.wrong(path, "A decay has either `half_life` or `steps`; `decay: none` means no fading.")
            return None
        if "half_life" in found:
            return Decay(half_life=self.duration(found, path, "half_life"))
        path = (*path, "steps")
        steps: list[tuple[timedelta, float]] = []
        for key, value in self.a_map(found["steps"], path).items():
            factor = self.as_number(value, (*path, key), least=0.0)
            try:
                steps.append((parse_duration(key), 0.0 if factor is None else factor))
            except ValueError as wrong:
                self.wrong((*path, key), str(wrong))
        ages = [age for age, _ in steps]
        if not ages and isinstance(found["steps"], Mapping) and not found["steps"]:
            self.wrong(path, "`steps` needs at least one step, as in `{7d: 1, 30d: 0.5}`.")
        if ages != sorted(set(ages)):
            self.wrong(path, "The steps must ascend, as in `{7d: 1, 30d: 0.5}`.")
        return Decay(steps=tuple(steps))

    # rules

    def rules(self, top: Mapping[str, object], key: str, read: Callable[[object, Path], T]) -> tuple[T, ...]:
        if key not in top:
            return ()
        return tuple(read(doc, (key, i)) for i, doc in enumerate(self.a_list(top[key], (key,))))

    def condition(self, rule: Mapping[str, object], path: Path) -> Condition:
        if "when" not in rule:
            return NEVER
        return parse_condition(rule["when"], (*path, "when"), self.problems, lists=self.lists)

    def title(self, rule: Mapping[str, object], path: Path) -> tuple[str, str]:
        id = self.text(rule, path, "id")
        return id, self.text(rule, path, "name", default=id)

    def fit_rule(self, doc: object, path: Path) -> FitRule:
        rule = self.a_map(doc, path, ("id", "name", "when", "points"), required=("id", "when", "points"))
        id, name = self.title(rule, path)
        return FitRule(id, name, self.condition(rule, path), self.number(rule, path, "points"))

    def disqualifier(self, doc: object, path: Path) -> Disqualifier:
        rule = self.a_map(doc, path, ("id", "name", "when", "reason"), required=("id", "when"))
        id, name = self.title(rule, path)
        return Disqualifier(
            id, name, self.condition(rule, path), self.text(rule, path, "reason", default=name)
        )

    def guard(self, doc: object, path: Path) -> Guard:
        allowed = ("id", "name", "when", "since", "within", "reason")
        rule = self.a_map(doc, path, allowed, required=("id",))
        id, name = self.title(rule, path)
        if isinstance(doc, Mapping) and not rule.keys() & {"when", "since"}:
            self.wrong(path, "A guard needs `when`, or `since` with `within`.")
        if ("since" in rule) != ("within" in rule):
            self.wrong(
                path, "`since` names the field of a date and `within` how old it may be: both or none."
            )
        since = self.text(rule, path, "since") if "since" in rule else None
        known = PERSON_FIELDS.get(since or "")
        if known is not None and known.kind != "datetime":
            self.wrong((*path, "since"), f"`{since}` holds no date.")
        return Guard(
            id,
            name,
            self.condition(rule, path) if "when" in rule else None,
            self.text(rule, path, "reason", default=name),
            since,
            self.duration(rule, path, "within"),
        )

    def engagement_rule(self, doc: object, path: Path) -> EngagementRule:
        allowed = (*_EVENT_RULE, "newest", "points", "decay", "group")
        rule = self.a_map(doc, path, allowed, required=("id", "event", "points"))
        group = self.text(rule, path, "group") if "group" in rule else None
        if group and group not in self.groups:
            near = nearest(group, self.groups)
            self.wrong((*path, "group"), f"There is no group `{group}` under `groups`.", near)
        return EngagementRule(
            **self.event_rule(rule, path),
            points=self.number(rule, path, "points"),
            newest=self.whole(rule, path, "newest"),
            decay=self.decay(rule, path) if "decay" in rule else self.default_decay,
            group=group,
        )

    def hand_raise(self, doc: object, path: Path) -> HandRaise:
        rule = self.a_map(doc, path, (*_EVENT_RULE, "min_fit"), required=("id", "event"))
        min_fit = self.number(rule, path, "min_fit") if "min_fit" in rule else None
        return HandRaise(**self.event_rule(rule, path), min_fit=min_fit)

    def event_rule(self, rule: Mapping[str, object], path: Path) -> _EventKeys:
        id, name = self.title(rule, path)
        total = self.text(rule, path, "sum") if "sum" in rule else None
        if total is not None and total != "value" and not _is_attribute(total):
            self.wrong((*path, "sum"), "`sum` adds up `value` or an `attributes.<key>` of the events.")
        if total is None:
            at_least = float(self.whole(rule, path, "at_least", default=1) or 1)
        else:
            at_least = self.number(rule, path, "at_least", default=1.0)
        return {
            "id": id,
            "name": name,
            "events": self.event_types(rule, path),
            "where": self.where(rule, path),
            "within": self.duration(rule, path, "within"),
            "at_least": at_least,
            "sum": total,
        }

    def where(self, rule: Mapping[str, object], path: Path) -> Condition | None:
        if "where" not in rule:
            return None
        return parse_condition(
            rule["where"], (*path, "where"), self.problems, lists=self.lists, known_fields=_EVENT_NAMES
        )

    def suspect(self, doc: object, path: Path) -> SuspectRule:
        rule = self.a_map(doc, path, _SUSPECT, required=("id", "event"))
        id, name = self.title(rule, path)
        if not {"where", "after_sent", "links", "again_within", "unopened"} & rule.keys():
            signs = "`where`, `after_sent`, `links`, `again_within` or `unopened`"
            self.wrong(path, f"A suspect rule names a sign: {signs}.")
        if "within" in rule and "links" not in rule:
            self.wrong((*path, "within"), "`within` says in what time `links` are clicked; name both.")
        return SuspectRule(
            id=id,
            name=name,
            events=self.event_types(rule, path),
            where=self.where(rule, path),
            after_sent=self.duration(rule, path, "after_sent"),
            links=self.whole(rule, path, "links", least=2),
            within=self.duration(rule, path, "within"),
            again_within=self.duration(rule, path, "again_within"),
            unopened=self.yes(rule, path, "unopened"),
            unless=self.second_sign(rule["unless"], (*path, "unless")) if "unless" in rule else None,
        )

    def second_sign(self, doc: object, path: Path) -> SecondSign:
        sign = self.a_map(doc, path, ("event", "within", "another_day"))
        found = SecondSign(
            self.event_types(sign, path),
            self.duration(sign, path, "within") or SecondSign().within,
            self.yes(sign, path, "another_day"),
        )
        if not found.events and not found.another_day:
            self.wrong(path, "`unless` names a second sign: `event` or `another_day: true`.")
        return found

    def yes(self, doc: Mapping[str, object], path: Path, key: str) -> bool:
        value = doc.get(key, False)
        if not isinstance(value, bool):
            self.wrong((*path, key), f"`{key}` is true or false, not {_shown(value)}.")
        return value is True

    def event_types(self, rule: Mapping[str, object], path: Path) -> tuple[str, ...]:
        if "event" not in rule:
            return ()
        path = (*path, "event")
        doc = rule["event"]
        types = [doc] if isinstance(doc, str) else self.a_list(doc, path)
        if not types:
            self.wrong(path, "`event` names at least one type of engagement.")
        for i, one in enumerate(types):
            place = path if isinstance(doc, str) else (*path, i)
            if not isinstance(one, str) or not one:
                self.wrong(place, f"A type of engagement is a text, not {_shown(one)}.")
            elif one not in ENGAGEMENT_TYPES:  # an account may add its own: a warning, no error
                near = nearest(one, ENGAGEMENT_TYPES)
                self.warnings.append(Problem(place, f"`{one}` is none of the built-in types.", near))
        return tuple(dict.fromkeys(one for one in types if isinstance(one, str)))

    def unique_ids(
        self,
        sections: Sequence[
            tuple[
                str, Sequence[FitRule | EventRule | Disqualifier | SuspectRule | Guard | Persona | Audience]
            ]
        ],
    ) -> None:
        seen: dict[str, str] = {}
        for section, rules in sections:
            for i, rule in enumerate(rules):
                if not rule.id:
                    continue
                if rule.id in seen:
                    what = f"The id `{rule.id}` is already taken by {seen[rule.id]}."
                    self.wrong((section, i, "id"), what)
                seen.setdefault(
                    rule.id, f"{section} {'' if section in ('personas', 'audiences') else 'rule '}{i + 1}"
                )

    def unused_groups(self, engagement: Sequence[EngagementRule]) -> None:
        used = {rule.group for rule in engagement}
        self.warnings.extend(
            Problem(("groups", name), f"No rule is in the group `{name}`.")
            for name in self.groups
            if name not in used
        )

    # stages

    def stages(self, top: Mapping[str, object]) -> Stages:
        if "stages" not in top:
            return DEFAULT_STAGES
        path: Path = ("stages",)
        doc = self.a_map(top["stages"], path, _WITH_NEXT)
        return Stages(
            self.mql(doc),
            self.recycle(doc),
            sql=self.ruled(doc, "sql"),
            lead=self.ruled(doc, "lead"),
            next=self.nexts(doc),
        )

    def nexts(self, doc: Mapping[str, object]) -> dict[str, str]:
        """The nurture of each stage that names one."""
        found: dict[str, str] = {}
        for stage in (each for each in _WITH_NEXT if each in doc):
            path, body = ("stages", stage), doc[stage]
            if stage in _NURTURED:
                body = self.a_map(body, path, ("next",), required=("next",))
            if isinstance(body, Mapping) and "next" in body:
                found[stage] = self.text(body, path, "next")
                if len(found[stage]) > _NEXT_AT_MOST:
                    self.wrong((*path, "next"), f"`next` has at most {_NEXT_AT_MOST} characters.")
        return found

    def mql(self, doc: Mapping[str, object]) -> MqlStage:
        if "mql" not in doc:
            return DEFAULT_STAGES.mql
        path = ("stages", "mql")
        mql = self.a_map(doc["mql"], path, _MQL, required=("enter",))
        enter = self.stage_rule(mql["enter"], (*path, "enter")) if "enter" in mql else StageAny(())
        leave = self.stage_rule(mql["leave"], (*path, "leave")) if "leave" in mql else StageAny(())
        capacity = self.whole(mql, path, "capacity")
        best = self.best(mql, path) if "best" in mql else None
        if best is not None and None not in (best.per_week, capacity) and best.per_week > capacity:  # type: ignore[operator]
            self.wrong(
                (*path, "best", "per_week"),
                f"The best {best.per_week} of a week are more than the capacity of {capacity}.",
            )
        return MqlStage(enter, leave, self.evidence(mql, path), best, capacity)

    def best(self, mql: Mapping[str, object], path: Path) -> Best | None:
        path = (*path, "best")
        doc = self.a_map(mql["best"], path, ("per_week", "top", "from"))
        if not isinstance(mql["best"], Mapping):
            return None
        if len(doc.keys() & {"per_week", "top"}) != 1:
            self.wrong(
                path, "`best` has either `per_week`, as in `{per_week: 40}`, or `top`, as in `{top: 5%}`."
            )
            return None
        enough = self.stage_rule(doc["from"], (*path, "from")) if "from" in doc else None
        return Best(self.whole(doc, path, "per_week"), self.share(doc, path, "top"), enough)

    def share(self, doc: Mapping[str, object], path: Path, key: str) -> float | None:
        """Per cent, as in `5%`."""
        if key not in doc:
            return None
        text = str(doc[key]).strip().removesuffix("%").strip()
        try:
            found = float(text) if str(doc[key]).strip().endswith("%") else math.nan
        except ValueError:
            found = math.nan
        if not 0 < found <= 100:
            self.wrong(
                (*path, key), f"`{key}` needs a share of at most 100 %, as in `5%`, not {_shown(doc[key])}."
            )
            return None
        return found

    def evidence(self, mql: Mapping[str, object], path: Path) -> Evidence | None:
        if "evidence" not in mql:
            return None
        path, keys = (*path, "evidence"), ("events", "types", "days")
        doc = self.a_map(mql["evidence"], path, keys)
        if isinstance(mql["evidence"], Mapping) and not doc:
            self.wrong(path, "`evidence` needs one of events, types, days, as in `{events: 3, days: 2}`.")
        return Evidence(**{key: self.whole(doc, path, key, default=0) or 0 for key in keys})

    def ruled(self, doc: Mapping[str, object], stage: str) -> RuledStage | None:
        """The rules of `lead` or `sql`; None where the file has none, at most a `next`."""
        if stage not in doc:
            return None
        path = ("stages", stage)
        body = self.a_map(doc[stage], path, ("enter", "leave", "next"))
        if "enter" not in body:
            if isinstance(doc[stage], Mapping) and body.keys() != {"next"}:
                self.wrong(path, "`enter` is missing.")
            return None
        enter = self.stage_rule(body["enter"], (*path, "enter"))
        leave = self.stage_rule(body["leave"], (*path, "leave")) if "leave" in body else StageAny(())
        return RuledStage(enter, leave)

    def recycle(self, doc: Mapping[str, object]) -> Recycle:
        if "recycle" not in doc:
            return Recycle()
        path = ("stages", "recycle")
        recycle = self.a_map(doc["recycle"], path, ("cool_off", "next"))
        cool_off = self.duration(recycle, path, "cool_off")
        return Recycle() if cool_off is None else Recycle(cool_off)

    def stage_rule(self, doc: object, path: Path) -> StageRule:
        entry_keys = (*_MEASURES, "hand_raised", "disqualified", "when", "for")
        if isinstance(doc, Mapping) and ("all" in doc or "any" in doc):
            joiner = "all" if "all" in doc else "any"
            for key in doc:
                if key != joiner:
                    self.wrong(
                        (*path, str(key)), f"`{joiner}` stands alone in its map; `{key}` does not fit."
                    )
            parts = self.a_list(doc[joiner], (*path, joiner))
            if not parts:
                self.wrong((*path, joiner), f"`{joiner}` needs at least one entry.")
            read = tuple(self.stage_rule(part, (*path, joiner, i)) for i, part in enumerate(parts))
            return StageAll(read) if joiner == "all" else StageAny(read)
        entry = self.a_map(doc, path, (*entry_keys, "all", "any"))
        if isinstance(doc, Mapping) and not entry.keys() - {"for"}:
            self.wrong(path, f"An entry needs one of {', '.join(entry_keys[:-1])}.")
        tests = [
            StageTest(measure, op, value)
            for measure in _MEASURES
            if measure in entry
            for op, value in self.measure_tests(entry[measure], (*path, measure))
        ]
        return StageEntry(
            tuple(tests),
            hand_raised=self.flag(entry, path, "hand_raised"),
            disqualified=self.flag(entry, path, "disqualified"),
            when=self.condition(entry, path) if "when" in entry else None,
            dwell=self.duration(entry, path, "for"),
        )

    def measure_tests(self, doc: object, path: Path) -> list[tuple[str, float | tuple[float, float]]]:
        found: list[tuple[str, float | tuple[float, float]]] = []
        tests = self.a_map(doc, path, _MEASURE_OPS)
        if isinstance(doc, Mapping) and not doc:
            self.wrong(path, "A comparison is needed here, as in `{gte: 60}`.")
        for op, value in tests.items():
            if op not in _MEASURE_OPS:
                continue
            if op != "between":
                number = self.as_number(value, (*path, op))
                if number is not None:
                    found.append((op, number))
                continue
            ends = [self.as_number(end, (*path, op, i)) for i, end in enumerate(self.a_list(value, path))]
            if len(ends) != 2:
                self.wrong((*path, op), "`between` needs the two ends, as in `[40, 60]`.")
            elif ends[0] is not None and ends[1] is not None:
                if ends[0] > ends[1]:
                    self.wrong((*path, op), "The first end of `between` lies above the second.")
                found.append((op, (ends[0], ends[1])))
        return found

    def flag(self, doc: Mapping[str, object], path: Path, key: str) -> bool | None:
        value = doc.get(key)
        if key in doc and not isinstance(value, bool):
            self.wrong((*path, key), f"`{key}` needs true or false, not {_shown(value)}.")
        return value if isinstance(value, bool) else None

    # examples

    def example(self, doc: object, path: Path) -> Example:
        keys = ("name", "as_of", "person", "engagement", "expect")
        example = self.a_map(doc, path, keys, required=("name", "as_of", "expect"))
        person = self.a_map(example.get("person", {}), (*path, "person"))
        events = self.a_list(example.get("engagement", ()), (*path, "engagement"))
        return Example(
            self.text(example, path, "name"),
            self.moment(example, path, "as_of"),
            {key: self.value(value, (*path, "person", key)) for key, value in person.items()},
            tuple(self.event(event, (*path, "engagement", i), i) for i, event in enumerate(events)),
            self.expectations(example, path),
        )

    def event(self, doc: object, path: Path, number: int) -> Engagement:
        texts = ("name", "url", "campaign", "channel", "status")
        allowed = ("type", "occurred_at", *texts, "value", "attributes")
        event = self.a_map(doc, path, allowed, required=("type", "occurred_at"))
        attributes = self.a_map(event.get("attributes", {}), (*path, "attributes"))
        name, url, campaign, channel, status = (
            self.text(event, path, key) if key in event else None for key in texts
        )
        return Engagement(
            crm="example",
            stream="examples",
            key=str(number),
            type=self.text(event, path, "type"),
            occurred_at=self.moment(event, path, "occurred_at"),
            name=name,
            url=url,
            campaign=campaign,
            channel=channel,
            status=status,
            value=self.as_number(event["value"], (*path, "value")) if "value" in event else None,
            attributes={
                key: self.value(value, (*path, "attributes", key)) for key, value in attributes.items()
            },
        )

    def value(self, raw: object, path: Path) -> Value:
        if isinstance(raw, date) and not isinstance(raw, datetime):
            return datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
        if raw is None or isinstance(raw, str | int | float | datetime):
            return raw
        self.wrong(path, f"A single value is needed here, not {_shown(raw)}.")
        return None

    def expectations(self, example: Mapping[str, object], path: Path) -> tuple[Expectation, ...]:
        if "expect" not in example:
            return ()
        path = (*path, "expect")
        expect = self.a_map(example["expect"], path, _EXPECT)
        if isinstance(example["expect"], Mapping) and not expect:
            self.wrong(path, f"An example expects at least one of {', '.join(_EXPECT)}.")
        return tuple(
            self.expectation(key, value, (*path, key)) for key, value in expect.items() if key in _EXPECT
        )

    def expectation(self, key: str, value: object, path: Path) -> Expectation:
        if key in _MEASURES:
            if isinstance(value, Mapping):
                return Expectation(key, tests=tuple(self.measure_tests(value, path)))
            number = self.as_number(value, path)
            return Expectation(key, tests=() if number is None else (("about", number),))
        if key in ("disqualified", "hand_raised"):
            if value is None or isinstance(value, bool | str):
                return Expectation(key, wanted=value)
            self.wrong(path, f"`{key}` expects the id of a rule, true or false, not {_shown(value)}.")
        elif key in ("audience", "persona") and value is None:
            return Expectation(key)
        elif not isinstance(value, str) or not value:
            self.wrong(path, f"`{key}` expects a text, not {_shown(value)}.")
        else:
            return Expectation(key, wanted=value)
        return Expectation(key)


def _place(path: Path) -> str:
    """A place in the file, for people."""
    return " ".join(str(part + 1) if isinstance(part, int) else f"`{part}`" for part in path)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else f"`{str(value)[:40]}`"


def _is_attribute(name: str) -> bool:
    return name.startswith("attributes.") and name != "attributes."


def _plain(numbers: Iterable[float]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"
