"""Record ids as Salesforce spells them: 15 case-sensitive characters, or 18 with a checksum. Pure."""

from __future__ import annotations

import re

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?")


def full_id(given: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None when it is not shaped like one.

    Each of three groups of five characters gives one letter: bit i is set when character i is upper case
    (Salesforce help, "Understanding 15- and 18-character record ids").
    """
    if not _SHAPE.fullmatch(given):
        return None
    short = given[:15]
    letters = ""
    for start in (0, 5, 10):
        group = short[start : start + 5]
        letters += _ALPHABET[sum(1 << i for i, char in enumerate(group) if "A" <= char <= "Z")]
    return short + letters
