"""What may be made of somebody's data, as frozen values: the criteria's `privacy`. Judges nobody, `privacy` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.conditions import NEVER, Condition, Path, fields_of
from connector.core.criteria_reading import Reading, shown
from connector.core.names import nearest

SCORE, DO_NOT_SCORE, NO_BEHAVIOUR = "score", "do_not_score", "no_behaviour"
TREATMENTS = (SCORE, DO_NOT_SCORE, NO_BEHAVIOUR)
PRIVACY = "privacy"  # what a run tells of it
UNCOUNTED = "behaviour is not counted: "  # as a reason has it, before the ground
_KEYS = ("when", "do", "because")


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """For whom `when` holds, and for no rule before: `score` as anybody; `no_behaviour`: by who they are alone, nothing
    they did counts; `do_not_score`: not at all. `because` is the ground, in words that may be told."""

    when: Condition
    do: str
    because: str


def read_privacy(read: Reading, top: Mapping[str, object]) -> tuple[PrivacyRule, ...]:
    """The rules of the document, in their order."""
    if "privacy" not in top:
        return ()
    docs = read.a_list(top["privacy"], ("privacy",))
    return tuple(_rule(read, doc, ("privacy", place)) for place, doc in enumerate(docs))


def in_words(people: Mapping[str, int]) -> str:
    """How many were treated how, by treatment; empty where nobody was."""
    told = {DO_NOT_SCORE: "not scored", NO_BEHAVIOUR: "judged without their behaviour"}
    found = [f"{people[do]:,} {said}" for do, said in told.items() if people.get(do)]
    return f"Privacy: {', '.join(found)}." if found else ""


def _rule(read: Reading, doc: object, path: Path) -> PrivacyRule:
    body = read.a_map(doc, path, _KEYS, required=_KEYS)
    do = body.get("do", SCORE)
    if do not in TREATMENTS:
        near = nearest(str(do), TREATMENTS)
        read.wrong((*path, "do"), f"`do` is one of {', '.join(TREATMENTS)}, not {shown(do)}.", near)
    when = read.condition(body, path) if body else NEVER
    asked = fields_of(when)
    if any(name.startswith("account.") for name in asked):
        read.wrong((*path, "when"), "A privacy rule asks the person, not the account.")
    if "persona" in asked:
        read.wrong((*path, "when"), "A privacy rule cannot depend on `persona`, which is found after it.")
    return PrivacyRule(when, str(do), read.text(body, path, "because"))
