"""Signs of form spam in what a person wrote. Pure. Keeps none of the text, only which signs it shows.

No sign rests on how long a name is or in which script it is written: `O`, `Ng`, `李` and `Владимир` are names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.core.model import Value

NAMES = ("first_name", "last_name")
_ADDRESS = re.compile(r"(?i)https?:|hxxps?:|\bwww\.|//")
_SITE = re.compile(
    r"(?i)(?<![\w@.])[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*"
    r"\.(?:com|net|org|info|biz|xyz|top|click|link|shop|site|online|store|club|live|pro|ru|cn|tk|ly|io)\b(?:/|$|\s)"
)
_CODE = re.compile(r"(?i)\[(?:url|link|img)\b|<\s*(?:a|script|iframe|img)\b|\{\{|\$\{")
_LINK = re.compile(r"(?i)\bhttps?://|\bwww\.")
_CAPITAL_INSIDE = re.compile(r"[a-z](?=[A-Z])")
_CAPITALS_INSIDE = re.compile(r"[a-z][A-Z]{2,}[a-z]")
_SALES_TALK = (
    "backlink", "guest post", "seo service", "seo package", "first page of google", "rank your website",
    "casino", "viagra", "cialis", "payday loan", "crypto investment", "forex signal", "adult dating",
    "buy followers", "bulk email list",
)  # fmt: skip


def signs_in_names(fields: Mapping[str, Value]) -> list[str]:
    """Of first and last name: an address of the web, markup, a random mixture of capitals. Of the company: markup."""
    found: list[str] = []
    names = [value for name in NAMES if isinstance(value := fields.get(name), str)]
    if any(_ADDRESS.search(name) or _SITE.search(name) for name in names):
        found.append("a link in the name")
    company = fields.get("company_name")
    if any(_CODE.search(each) for each in (*names, *((company,) if isinstance(company, str) else ()))):
        found.append("markup in the name")
    if any(_random(word) for name in names for word in name.split()):
        found.append("random letters as a name")
    return found


def signs_in_message(message: str) -> list[str]:
    """Of a form's message: markup of links, three links or more, what spam offers together with a link."""
    found: list[str] = []
    links = len(_LINK.findall(message))
    if _CODE.search(message):
        found.append("markup in the message")
    if links >= 3:
        found.append("many links in the message")
    said = message.casefold()
    if links and any(phrase in said for phrase in _SALES_TALK):
        found.append("an offer with a link in the message")
    return found


def _random(word: str) -> bool:
    """Capitals where no spelling has them: `xKqVbRtLm`, not `McDonald`, `DeLaCruz`, `LaToya` or `O'NEILL`."""
    jumps = len(_CAPITAL_INSIDE.findall(word))
    return jumps >= 5 or (jumps >= 2 and _CAPITALS_INSIDE.search(word) is not None)
