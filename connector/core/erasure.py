"""Whom an erasure is about, by what they are found in text, and the keyed hashes that stay of them. Pure.

What is left of an erased person is a hash of each address and record: it tells that something that comes in is theirs,
and who does not have its key cannot try addresses against it (HMAC-SHA-256, RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

KEY_BYTES = 32
NOBODY = "erased:person:"  # begins what stands where a record stood; reads as a record of no CRM
_SHORTEST = 7  # characters of a text that is looked for in others: a shorter one is in many by chance
_WORD = r"[\w.+-]"


def hashed(key: bytes, name: str) -> str:
    """The hash of an address (any case), a record (`crm:object:id`) or a visitor's id."""
    kept = name.strip().lower() if "@" in name else name.strip()
    return hmac.digest(key, kept.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


@dataclass(frozen=True, slots=True)
class Subject:
    """One person, by everything that the ledger finds them by.

    `people`: numbers of the ledger, the one that stands first. `refs`: their records, as texts, those not read yet too.
    `emails`: addresses that are theirs alone; `shared`: those that records of others carry as well. `visitors`: ids of
    the application. `names`: how they are called in texts: full name, phone.
    """

    people: tuple[int, ...] = ()
    refs: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    visitors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All texts that name them and nobody else."""
        return (*self.refs, *self.emails, *self.visitors)

    @property
    def needles(self) -> tuple[str, ...]:
        """What they are looked for by in texts: as it is spelt, and in lower case."""
        named = [each for each in self.names if len(each) >= _SHORTEST]
        numbered = [each for number in self.people for each in (f"person:{number}", f'"person":{number}')]
        spelt = (*self.keys, *named, *numbered)
        return tuple(dict.fromkeys((*spelt, *(each.lower() for each in spelt))))


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes a person out of texts. What comes in place of a record reads as a record, of an address as an address."""

    subject: Subject
    number: int  # of the erasure
    _pattern: re.Pattern[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        words = "|".join(re.escape(each) for each in sorted(self.subject.needles, key=len, reverse=True))
        if words:
            pattern = re.compile(rf"(?<!{_WORD})(?:{words})(?![\w]|[.-]\w)", re.IGNORECASE)
            object.__setattr__(self, "_pattern", pattern)

    @property
    def by_key(self) -> Scrubber:
        """One that looks for addresses, records and numbers alone, not for names."""
        return Scrubber(replace(self.subject, names=()), self.number)

    def mentions(self, text: str) -> bool:
        """Whether a text names the person, whole words only: `hubspot:contact:15` is not in `hubspot:contact:151`."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def scrubbed(self, text: str) -> str:
        """The text without the person."""
        return text if self._pattern is None else self._pattern.sub(self._instead, text)

    def places(self, text: str, around: int) -> list[str]:
        """Where it names the person, each with so many characters on both sides."""
        found = self._pattern.finditer(text) if self._pattern is not None else ()
        return [text[max(0, each.start() - around) : each.end() + around] for each in found]

    def _instead(self, found: re.Match[str]) -> str:
        word = found[0]
        if "@" in word:
            return f"erased-{self.number}@erased.invalid"
        if word.lower().startswith("person:"):
            return "person:erased"
        if word.startswith('"'):
            return '"person":null'
        return f"{NOBODY}{self.number}" if word.count(":") >= 2 else "erased"


def full_names(fields: Iterable[tuple[object, object]]) -> tuple[str, ...]:
    """`First Last` of these pairs, where both are known."""
    return tuple(
        dict.fromkeys(f"{first} {last}" for first, last in fields if first and last and isinstance(last, str))
    )
