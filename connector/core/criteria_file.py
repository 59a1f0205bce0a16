"""Read the document of the criteria file into the values of `connector.core.criteria`, and report everything
wrong at once. Opens no file and computes no score. docs/reference/criteria.md documents every key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypedDict, TypeVar

from connector.core.conditions import Condition, Lists, Path, fields_of, parse_condition
from connector.core.criteria import (
    Audience,
    Criteria,
    Decay,
    Disqualifier,
    EngagementRule,
    EventRule,
    FitRule,
    Guard,
    HandRaise,
    Persona,
    Weights,
)
from connector.core.criteria_examples import read_example
from connector.core.criteria_reading import Reading, shown
from connector.core.criteria_stages import read_stages
from connector.core.durations import parse_duration
from connector.core.fields import ENGAGEMENT_TYPES, EVENT_FIELDS, PERSON_FIELDS
from connector.core.handoff_file import read_handoff
from connector.core.names import nearest
from connector.core.notify_file import read_notify
from connector.core.privacy_rules import read_privacy
from connector.core.retention_file import read_retention
from connector.core.suspect_rules import SecondSign, SuspectRule
from connector.core.tracking_file import read_tracking
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
    "handoff",
    "notify",
    "tracking",
    "retention",
    "examples",
    "personas",
    "audiences",
    "privacy",
)
_OF_THE_FILE = (
    "version",
    "agreed_by",
    "approve",
    "review_by",
    "currency",
    "notify",
    "tracking",
    "retention",
    "personas",
    "audiences",
    "privacy",
)
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


class _Reader(Reading):
    """Walks the document, rule by rule."""

    def __init__(self, lists: Lists | None) -> None:
        super().__init__(lists)
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
            stages=read_stages(self, top),
            handoff=read_handoff(self, top),
            notify=read_notify(self, top),
            tracking=read_tracking(self, top),
            retention=read_retention(self, top),
            examples=self.rules(top, "examples", lambda doc, path: read_example(self, doc, path)),
            personas=self.personas(top),
            privacy=read_privacy(self, top),
            audiences=self.audiences(top),
            warnings=tuple(self.warnings),
        )

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

    def agreed_by(self, top: Mapping[str, object]) -> Mapping[str, str]:
        if "agreed_by" not in top:
            return {}
        doc = self.a_map(top["agreed_by"], ("agreed_by",))
        return {key: self.text(doc, ("agreed_by",), key) for key in doc}

    def approve_both(self, top: Mapping[str, object]) -> bool:
        if "approve" not in top:
            return False
        if top["approve"] != "both":
            self.wrong(("approve",), f"`approve` knows `both` alone, not {shown(top['approve'])}.")
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
        self.wrong(("currency",), f"`currency` needs an ISO code such as EUR, not {shown(value)}.")
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

    def rules(self, top: Mapping[str, object], key: str, read: Callable[[object, Path], T]) -> tuple[T, ...]:
        if key not in top:
            return ()
        return tuple(read(doc, (key, i)) for i, doc in enumerate(self.a_list(top[key], (key,))))

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
                self.wrong(place, f"A type of engagement is a text, not {shown(one)}.")
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


def _place(path: Path) -> str:
    """A place in the file, for people."""
    return " ".join(str(part + 1) if isinstance(part, int) else f"`{part}`" for part in path)


def _is_attribute(name: str) -> bool:
    return name.startswith("attributes.") and name != "attributes."


def _plain(numbers: Iterable[float]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"
