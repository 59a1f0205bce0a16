"""A mapping file without the ids of one account: names in their place, and back again for another account. Pure.

Ids may stand in few places, and only these are walked: `stage.values`, `status.accepted|rejected|working`,
`override.values` and `override.segments` (lists, by id or name), the keys of a field's `values`, and the conditions of
`scope`, `write_only`, `ignore` and `types` (`is`, `is_not`, `in`, `not_in`, `contains`). What is no id (an API name, a
label, a word to look for) is left alone. A name is written as `${form:Request a demo}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any

from connector.core.mapping import CrmMapping, fold, wanted_fields
from connector.core.names import nearest
from connector.core.targets import targets_of
from connector.ports import FieldInfo, Named

REFERENCE = re.compile(r"\$\{(?P<kind>[a-z_]+):(?P<name>[^{}]+)\}")
_LOCAL = re.compile(
    r"\d+"  # numbered by the account
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|(?=(?:.*\d){3})[0-9a-zA-Z]{15}(?:[0-9a-zA-Z]{3})?"  # a record id in base 62, which holds digits
)
_TEXTS = ("name", "title", "label", "subject", "type", "url")  # endings of fields that hold words, not ids
_OPERATORS = ("is", "is_not", "in", "not_in", "contains")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the mapping names and an account lacks. `where` is its place in the file, or its field."""

    where: str
    kind: str
    name: str
    what: str
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where an id may stand, what kinds of thing it may name, and how to replace it."""

    path: tuple[str | int, ...]
    kinds: tuple[str, ...]
    value: str
    put: Callable[[str], None]

    @property
    def where(self) -> str:
        return ".".join(str(part) for part in self.path)


@dataclass(frozen=True, slots=True)
class Side:
    """One account as the comparison sees it."""

    schemas: Mapping[str, Mapping[str, FieldInfo]]
    catalog: Sequence[Named]


def to_names(document: Any, catalog: Sequence[Named]) -> list[Gap]:
    """Put names in place of this account's ids, in the document itself. Returns the ids that have to stay."""
    gaps: list[Gap] = []
    for spot in list(spots(document, {named.kind for named in catalog})):
        if not _LOCAL.fullmatch(spot.value):
            continue
        named = _by_id(spot, catalog)
        if named is None:
            if spot.kinds:
                gaps.append(Gap(spot.where, spot.kinds[0], spot.value, "nothing here has this id; it stays"))
            continue
        name = _name(named)
        if len(_called(named.kind, name, catalog)) > 1:
            gaps.append(Gap(spot.where, named.kind, name, "several are called so; the id stays"))
            continue
        spot.put(_reference(named.kind, name))
    return gaps


def to_ids(document: Any, catalog: Sequence[Named]) -> list[Gap]:
    """Put this account's ids in place of names, in the document itself. Returns what this account lacks."""
    gaps: list[Gap] = []
    kinds = {named.kind for named in catalog}
    for spot in list(spots(document, kinds)):
        found = REFERENCE.fullmatch(spot.value)
        if found is None:
            gaps += _lacks_word(spot, catalog)
            continue
        kind, name = found["kind"], _plain(found["name"])
        matches = _called(kind, name, catalog)
        if len(matches) == 1:
            spot.put(matches[0].id)
        elif matches:
            gaps.append(Gap(spot.where, kind, name, "several are called so here"))
        else:
            gaps.append(_missing(spot.where, kind, name, catalog))
    return gaps


def unresolved(document: Any) -> list[str]:
    """Places where a name still stands that was never turned into an id: nothing will ever match it."""
    return [
        f"{spot.where}: {spot.value}" for spot in spots(document, set()) if REFERENCE.fullmatch(spot.value)
    ]


def compare(mapping: CrmMapping, document: Any, here: Side, there: Side) -> list[Gap]:
    """Everything that the mapping names and that only one of the accounts has, or has differently."""
    gaps = list(_fields(mapping, here, there))
    gaps += _options(mapping, here, there)
    for spot in spots(document, {named.kind for named in (*here.catalog, *there.catalog)}):
        if REFERENCE.fullmatch(spot.value):
            gaps.append(
                Gap(spot.where, spot.kinds[0] if spot.kinds else "", spot.value, "is not resolved yet")
            )
            continue
        if not _LOCAL.fullmatch(spot.value):
            if _is_segment(spot) and not _called("list", spot.value, there.catalog):
                gaps.append(_missing(spot.where, "list", spot.value, there.catalog, "there"))
            continue
        named = _by_id(spot, here.catalog)
        if named is None:
            if spot.kinds:
                gaps.append(Gap(spot.where, spot.kinds[0], spot.value, "nothing here has this id"))
            continue
        name = _name(named)
        if not _called(named.kind, name, there.catalog):
            gaps.append(_missing(spot.where, named.kind, name, there.catalog, "there"))
    return gaps


def one_sided(here: Sequence[Named], there: Sequence[Named]) -> tuple[list[Named], list[Named]]:
    """What exists in the first account only, and in the second only, by name and label."""

    def without(some: Sequence[Named], others: Sequence[Named]) -> list[Named]:
        known = {(other.kind, fold(word)) for other in others for word in _words(other)}
        return [one for one in some if not any((one.kind, fold(word)) in known for word in _words(one))]

    return without(here, there), without(there, here)


# --------------------------------------------------------------------------------------------------- the places


def spots(document: Any, kinds: set[str]) -> Iterator[Spot]:
    """Every scalar that may be an account's id, in file order."""
    for name, body in _maps(document, "objects"):
        path: tuple[str | int, ...] = ("objects", name)
        stage, status, fields = body.get("stage"), body.get("status"), body.get("fields")
        known: dict[str, list[str]] = {}
        if isinstance(stage, MutableMapping):
            known[str(stage.get("from"))] = ["stage"]
            for ours, _ in _pairs(stage.get("values")):
                yield from _scalars(stage["values"], ours, (*path, "stage", "values", ours), ("stage",))
        if isinstance(status, MutableMapping):
            known[str(status.get("from"))] = ["status"]
            for key in ("accepted", "rejected", "working"):
                if key in status:
                    yield from _scalars(status, key, (*path, "status", key), ("status",))
        override = body.get("override")
        if isinstance(override, MutableMapping):
            named = _kinds(_texts(override.get("from")), known, kinds)
            for key, found in (("values", named), ("segments", ("list",))):
                for word, _ in _pairs(override.get(key)):
                    yield from _scalars(override[key], word, (*path, "override", key, word), found)
        sources: dict[str, list[str]] = {}
        for ours, spec in _pairs(fields):
            sources[str(ours)] = _texts(spec.get("from") if isinstance(spec, Mapping) else spec)
            if isinstance(spec, MutableMapping) and isinstance(spec.get("values"), MutableMapping):
                found = _kinds(sources[str(ours)], known, kinds)
                for key in list(spec["values"]):
                    where = (*path, "fields", ours, "values", key)
                    yield Spot(where, found, str(key), _renaming(spec["values"], key))
        for key in ("scope", "write_only"):
            if key in body:
                yield from _condition(body[key], (*path, key), sources, known, kinds)
        for number, line in enumerate(_items(body.get("write"))):
            if isinstance(line, Mapping) and "write_only" in line:
                where = (*path, "write", number, "write_only")
                yield from _condition(line["write_only"], where, sources, known, kinds)
    for name, body in _maps(document, "engagement"):
        path = ("engagement", name)
        sources = {}
        for ours, spec in _pairs(body.get("fields")):
            if ours == "attributes":
                sources |= {f"attributes.{key}": _texts(theirs) for key, theirs in _pairs(spec)}
            else:
                sources[str(ours)] = _texts(spec)
        for number, condition in enumerate(_items(body.get("ignore"))):
            yield from _condition(condition, (*path, "ignore", number), sources, {}, kinds)
        for number, rule in enumerate(_items(body.get("types"))):
            if isinstance(rule, Mapping) and "when" in rule:
                yield from _condition(rule["when"], (*path, "types", number, "when"), sources, {}, kinds)


def _condition(
    node: Any,
    path: tuple[str | int, ...],
    sources: Mapping[str, list[str]],
    known: Mapping[str, list[str]],
    kinds: set[str],
) -> Iterator[Spot]:
    if not isinstance(node, MutableMapping):
        return
    for join in ("all", "any"):
        for number, each in enumerate(_items(node.get(join))):
            yield from _condition(each, (*path, join, number), sources, known, kinds)
    if "not" in node:
        yield from _condition(node["not"], (*path, "not"), sources, known, kinds)
    if "field" in node:
        name = str(node["field"])
        found = _kinds([name, *sources.get(name, ())], known, kinds)
        for operator in _OPERATORS:
            if operator in node:
                yield from _scalars(node, operator, (*path, operator), found)


def _kinds(names: Sequence[str], known: Mapping[str, list[str]], kinds: set[str]) -> tuple[str, ...]:
    """What a field of theirs may name, read off its own name: `formId` a form, `Campaign.Id` a campaign."""
    found: list[str] = []
    for name in names:
        found += known.get(name, ())
        bare = re.sub(r"[^a-z]", "", name.lower())
        if bare.endswith(_TEXTS):
            continue
        found += sorted((kind for kind in kinds if kind.replace("_", "") in bare), key=len, reverse=True)
    return tuple(dict.fromkeys(found))


def _scalars(holder: Any, key: Any, path: tuple[str | int, ...], kinds: tuple[str, ...]) -> Iterator[Spot]:
    node = holder[key]
    if isinstance(node, MutableSequence):
        for number in range(len(node)):
            yield from _scalars(node, number, (*path, number), kinds)
    elif isinstance(node, MutableMapping):  # `{status: ..., reason: ...}`
        if "status" in node:
            yield from _scalars(node, "status", (*path, "status"), kinds)
    elif isinstance(node, str | int) and not isinstance(node, bool):
        yield Spot(path, kinds, str(node), _setting(holder, key))


def _setting(holder: Any, key: Any) -> Callable[[str], None]:
    def put(value: str) -> None:
        holder[key] = value

    return put


def _renaming(holder: MutableMapping[Any, Any], key: Any) -> Callable[[str], None]:
    """Another name for a key in its place; a comment beside it goes with it."""

    def put(value: str) -> None:
        items = list(holder.items())
        holder.clear()
        for old, each in items:
            holder[value if old == key else old] = each
        comments = getattr(getattr(holder, "ca", None), "items", None)
        if isinstance(comments, dict) and key in comments:
            comments[value] = comments.pop(key)

    return put


def _maps(document: Any, key: str) -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    for name, body in _pairs(document.get(key) if isinstance(document, Mapping) else None):
        if isinstance(body, MutableMapping):
            yield str(name), body


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return list(node.items()) if isinstance(node, Mapping) else []


def _items(node: Any) -> list[Any]:
    if node is None:
        return []
    return list(node) if isinstance(node, MutableSequence) else [node]


def _texts(node: Any) -> list[str]:
    return [str(each) for each in _items(node) if isinstance(each, str | int)]


# ------------------------------------------------------------------------------------------------- names and ids


def _by_id(spot: Spot, catalog: Sequence[Named]) -> Named | None:
    """The thing of this id among the kinds that the field may name. Record ids and UUIDs are one thing's anyway."""
    matches = [named for named in catalog if named.id == spot.value]
    of_kind = [named for named in matches if named.kind in spot.kinds]
    if of_kind:
        return of_kind[0]
    return matches[0] if len(matches) == 1 and not spot.kinds and not spot.value.isdecimal() else None


def _words(named: Named) -> list[str]:
    """What it is called in every account: the API name unless that is a number of this one, and the label."""
    return [word for word in (named.name, named.label) if word and not _LOCAL.fullmatch(word)]


def _name(named: Named) -> str:
    return next(iter(_words(named)), named.label)


def _called(kind: str, name: str, catalog: Sequence[Named]) -> list[Named]:
    """Those of a kind with this API name, else with this label."""
    of_kind = [named for named in catalog if named.kind == kind]
    exact = [named for named in of_kind if named.name == name]
    return exact or [named for named in of_kind if fold(named.label) == fold(name)]


def _missing(where: str, kind: str, name: str, catalog: Sequence[Named], place: str = "here") -> Gap:
    known = [word for named in catalog if named.kind == kind for word in _words(named)]
    return Gap(where, kind, name, f"is not {place}", nearest(name, known))


def _lacks_word(spot: Spot, catalog: Sequence[Named]) -> list[Gap]:
    """A stage or status that is named by its API value must be there as well; other words are only looked for."""
    if _is_segment(spot) and not spot.value.isdecimal():
        return (
            []
            if _called("list", spot.value, catalog)
            else [_missing(spot.where, "list", spot.value, catalog)]
        )
    for kind in ("stage", "status"):
        known = [named for named in catalog if named.kind == kind]
        if (
            spot.kinds[:1] == (kind,)
            and known
            and "objects" in spot.path
            and not {"scope", "write_only"} & {*spot.path}
        ):
            if any(fold(spot.value) in (fold(named.id), fold(named.name)) for named in known):
                return []
            return [_missing(spot.where, kind, spot.value, catalog)]
    return []


def _is_segment(spot: Spot) -> bool:
    return spot.path[2:4] == ("override", "segments")


def _reference(kind: str, name: str) -> str:
    return f"${{{kind}:{name.replace('%', '%25').replace('{', '%7B').replace('}', '%7D')}}}"


def _plain(name: str) -> str:
    return name.replace("%7D", "}").replace("%7B", "{").replace("%25", "%")


# ----------------------------------------------------------------------------------------------- fields, options


def _fields(mapping: CrmMapping, here: Side, there: Side) -> Iterator[Gap]:
    for name, wanted in wanted_fields(mapping).items():
        if name not in here.schemas or name not in there.schemas:
            continue
        ours, theirs = here.schemas[name], there.schemas[name]
        for field in sorted(field for field in wanted if "." not in field):
            if (field in ours) != (field in theirs):
                side, other = ("there", theirs) if field in ours else ("here", ours)
                yield Gap(f"{name}.{field}", "field", field, f"is not {side}", nearest(field, other))
            elif field in ours and ours[field].kind != theirs[field].kind:
                what = f"is {ours[field].kind} here and {theirs[field].kind} there"
                yield Gap(f"{name}.{field}", "field", field, what)


def _options(mapping: CrmMapping, here: Side, there: Side) -> Iterator[Gap]:
    """Options that the mapping names, or that we may write, and one account lacks."""
    named: dict[tuple[str, str], set[str]] = {}
    for target in targets_of(mapping):
        named.setdefault((target.object, target.name), set()).update(value for value, _ in target.options)
    for name, each in mapping.objects.items():
        if each.stage:
            named[name, each.stage.source] = {
                value for values in each.stage.values.values() for value in values
            }
        if each.status:
            named[name, each.status.source] = {
                *each.status.accepted,
                *each.status.rejected,
                *each.status.working,
            }
    for (name, field), values in named.items():
        ours, theirs = (side.schemas.get(name, {}).get(field) for side in (here, there))
        if ours is None or theirs is None or not ours.options or not theirs.options:
            continue
        for value in sorted(values):
            has = [any(fold(option) == fold(value) for option in info.options) for info in (ours, theirs)]
            # An account's own number is compared by its label, as a name.
            if has[0] != has[1] and not _LOCAL.fullmatch(value):
                side, info = ("there", theirs) if has[0] else ("here", ours)
                yield Gap(f"{name}.{field}", "option", value, f"is not {side}", nearest(value, info.options))
