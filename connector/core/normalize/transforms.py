"""Read one vendor value into one of ours. Pure and total: what cannot be read becomes missing (None), never
an error, and the raw text goes nowhere else. `docs/reference/mapping.md` documents each transform.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from urllib.parse import urlsplit

import idna
import phonenumbers
from babel import Locale
from babel.core import get_global

from connector.core.model import JsonValue, Value
from connector.core.normalize.spam import signs_in_message
from connector.core.titles import TitleRow, plain, read_title

_LANGUAGES = "en de fr es it pt nl ja ru zh ko ar el pl tr sv da nb fi cs hu uk ro"
NAME_LANGUAGES = tuple(_LANGUAGES.split())
"""Languages in which names of countries and languages are understood (Unicode CLDR's names, by Babel)."""

BLANKS = "\t\n\x0b\x0c\r \u00a0"
_ALIASES = files("connector.core.normalize").joinpath("countries.csv")
MAX_TEXT = 4_000  # characters kept of a text; nothing that decides about a lead is longer
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Around:
    """What some transforms need beside the value: an ISO alpha-2 country for national telephone numbers, and
    an admin's own title rows."""

    country: str | None = None
    titles: tuple[TitleRow, ...] = ()


def is_blank(raw: JsonValue) -> bool:
    """None, NaN, an empty list, or text that is empty after trimming."""
    if raw is None:
        return True
    if isinstance(raw, str):
        return not raw or not raw.strip(BLANKS)
    if isinstance(raw, float):
        return math.isnan(raw)
    return isinstance(raw, list | tuple | dict) and not raw


def apply(transform: str, raw: JsonValue, around: Around = Around()) -> Value:
    """The value that a transform reads, or None. KeyError only for a name that `parse_mapping` would have
    refused."""
    read = _BY_NAME[transform]
    if is_blank(raw):
        return None
    try:
        return read(raw, around)
    except (ValueError, OverflowError, ArithmeticError):
        return None  # an odd value in one field costs that field, not the record


# ------------------------------------------------------------------------------------------------------ texts


def text(raw: JsonValue) -> str | None:
    """Trimmed text. Whole numbers lose a `.0`, lists are joined with `; `, objects are no text."""
    if isinstance(raw, str):
        return (raw.replace("\x00", "") if "\x00" in raw else raw).strip(BLANKS)[:MAX_TEXT] or None
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float):
        return str(int(raw)) if raw.is_integer() else repr(raw)
    if isinstance(raw, int):
        return str(raw)
    if isinstance(raw, datetime):
        return raw.isoformat()
    if isinstance(raw, list | tuple):
        return "; ".join(part for part in map(text, raw) if part)[:MAX_TEXT] or None
    return None


def lower(raw: JsonValue) -> str | None:
    """Text in lower case."""
    found = text(raw)
    return found.lower() if found else None


def list_first(raw: JsonValue) -> str | None:
    """The first entry of a list, or of text that separates entries with semicolons."""
    if isinstance(raw, list | tuple):
        return next((found for found in map(text, raw) if found), None)
    found = text(raw)
    return next((part.strip(BLANKS) for part in (found or "").split(";") if part.strip(BLANKS)), None)


# ---------------------------------------------------------------------------------------------------- numbers

_SCALE = {"k": 1e3, "tsd": 1e3, "m": 1e6, "mio": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6, "mrd": 1e9}
_SCALE |= {"b": 1e9, "bn": 1e9, "billion": 1e9}
_PLAIN_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NUMBER = re.compile(r"([-+−(]?)\s*([0-9][0-9.,'’\s]*)\s*([^\W\d_]*)")


def number(raw: JsonValue) -> float | int | None:
    """A finite number. Of two kinds of separators the last is the decimal one; one kind that comes once and
    has not exactly three digits behind it is decimal; `1,234` and `1.234.567` are thousands, `1.234` is a
    decimal point.

    Exponents as in `1.5E6`, units and currency signs around it, and `k`, `M`, `Mio`, `bn` behind it are
    understood.
    """
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return raw if math.isfinite(raw) else None
    found = text(raw)
    if found is None:
        return None
    if _PLAIN_NUMBER.fullmatch(found):
        return _finite(float(found))
    ascii_digits = unicodedata.normalize("NFKC", found).strip(BLANKS)
    if _PLAIN_NUMBER.fullmatch(ascii_digits):
        return _finite(float(ascii_digits))
    match = _NUMBER.search(ascii_digits)
    if match is None or re.search(r"[0-9]", ascii_digits[match.end() :]):
        return None  # two numbers are a range, a date or a telephone number
    if re.search(r"[^\W\d_]-?$", ascii_digits[: match.start()]):
        return None  # digits inside a word, as in `B2B`, are no number
    sign, digits, unit = match.groups()
    bare = _plain_digits(re.sub(r"[\s'’]", "", digits))
    if bare is None:
        return None
    value = float(bare) * _SCALE.get(unit.casefold(), 1.0)
    return _finite(-value if sign in ("-", "−", "(") else value)


def _plain_digits(digits: str) -> str | None:
    digits = digits.rstrip(".,")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and point >= 0:
        thousands = "," if point > comma else "."
        return (
            digits.replace(thousands, "").replace(",", ".")
            if digits.count("," if point < comma else ".") == 1
            else None
        )
    separator = "," if comma >= 0 else "." if point >= 0 else ""
    if not separator:
        return digits
    groups = digits.split(separator)
    if len(groups) > 2:
        return "".join(groups) if all(len(group) == 3 for group in groups[1:]) else None
    if separator == "," and len(groups[1]) == 3 and groups[0] != "0":
        return "".join(groups)
    return ".".join(groups)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def integer(raw: JsonValue) -> int | None:
    """A whole number, halves away from zero."""
    found = number(raw)
    return None if found is None else int(math.copysign(math.floor(abs(found) + 0.5), found))


_RANGE = re.compile(
    r"^\D*?([0-9][0-9.,'’ ]*k?)\s*(?:-|–|—|~|〜|to|bis|à|a|bis zu)\s*([0-9][0-9.,'’ ]*k?)\D*$", re.IGNORECASE
)


def employees(raw: JsonValue) -> int | None:
    """Number of employees. A range (`51-200`, `1.001 bis 5.000`) gives its lower end, `10,000+` its number,
    `<10` and `up to 10` one: a range promises no more than its lower end."""
    found = text(raw)
    if found is None or isinstance(raw, int | float):
        return _headcount(integer(raw))
    span = _RANGE.match(found)
    if span:
        return _headcount(_thousands(span[1]))
    if re.match(
        r"^\s*(<|≤|under|less than|fewer than|up to|unter|bis|moins de|menos de|meno di)",
        found,
        re.IGNORECASE,
    ):
        return 1 if _thousands(re.sub(r"^\D*", "", found)) else None
    return _headcount(_thousands(found))


def _thousands(found: str) -> int | None:
    # People come whole: a point or comma with three digits behind it separates thousands, whichever it is.
    return integer(re.sub(r"(?<=[0-9])[.,](?=[0-9]{3}(?![0-9]))", "", found))


def _headcount(count: int | None) -> int | None:
    return count if count is not None and count >= 0 else None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount and its ISO 4217 currency, where one is known."""

    amount: float | int
    currency: str | None


_SIGNS = {
    "€": "EUR",
    "£": "GBP",
    "$": "USD",
    "US$": "USD",
    "¥": "JPY",
    "￥": "JPY",
    "円": "JPY",
    "CHF": "CHF",
    "₹": "INR",
}
_CODE = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?![A-Za-z])")


def money(raw: JsonValue, currency: str | None = None) -> Money | None:
    """An amount with its currency: what the text says (a code or an unmistakable sign), else `currency`."""
    amount = number(raw)
    if amount is None and isinstance(raw, str):
        bare = _CODE.sub(" ", raw)
        for sign in _SIGNS:
            bare = bare.replace(sign, " ")
        amount = number(bare)
    if amount is None:
        return None
    return Money(amount, _currency_in(raw) or currency)


def _currency_in(raw: JsonValue) -> str | None:
    if not isinstance(raw, str):
        return None
    known = get_global("all_currencies")
    code = next((each for each in _CODE.findall(raw) if each in known), None)
    return code or next((code for sign, code in _SIGNS.items() if sign != "$" and sign in raw), None)


# ------------------------------------------------------------------------------------------ yes, no, and when

_YES = frozenset(
    [
        "true",
        "yes",
        "y",
        "1",
        "on",
        "x",
        "checked",
        "ja",
        "j",
        "oui",
        "o",
        "si",
        "sí",
        "sim",
        "wahr",
        "vrai",
        "verdadero",
        "vero",
        "はい",
        "有",
    ]
)
_NO = frozenset(
    [
        "false",
        "no",
        "n",
        "0",
        "off",
        "unchecked",
        "nein",
        "non",
        "não",
        "nao",
        "nee",
        "falsch",
        "faux",
        "falso",
        "いいえ",
        "無",
    ]
)


def boolean(raw: JsonValue) -> bool | None:
    """True or false, also from words in eight languages; other text and other numbers are neither."""
    if isinstance(raw, bool):
        return raw
    word = (text(raw) or "").casefold()
    return True if word in _YES else False if word in _NO else None


_ISO_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


def moment(raw: JsonValue) -> datetime | None:
    """An instant in UTC. Without an offset the text is UTC; epoch numbers are seconds, or milliseconds from
    1e11 on.

    Reads ISO 8601 with `T` or a space, with or without seconds and fractions, `Z`, `+00:00`, `+0000` (as
    Salesforce writes), and a date alone (its midnight). Years outside 1900 to 2200 are mistakes and read as
    missing.
    """
    if isinstance(raw, bool):
        return None
    if isinstance(raw, datetime):
        return _sane(raw if raw.tzinfo else raw.replace(tzinfo=UTC))
    if isinstance(raw, date):
        return _sane(datetime(raw.year, raw.month, raw.day, tzinfo=UTC))
    if isinstance(raw, int | float):
        return _of_epoch(float(raw))
    found = text(raw)
    if found is None:
        return None
    if _ISO_INSTANT.fullmatch(found):  # as both vendors write it, and Python reads it at once
        return _sane(datetime.fromisoformat(found))
    if re.fullmatch(r"[-+]?[0-9]{9,}(\.[0-9]+)?([eE]\+?[0-9]+)?", found):
        return _of_epoch(float(found))
    if not re.match(r"[0-9]{4}-[0-9]{2}", found):
        return None
    iso = re.sub(r"([+-][0-9]{2})([0-9]{2})$", r"\1:\2", found.replace(" UTC", "Z").replace(" ", "T", 1))
    parsed = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", iso))
    return _sane(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def _of_epoch(epoch: float) -> datetime | None:
    if not math.isfinite(epoch):
        return None
    return _sane(_EPOCH + timedelta(milliseconds=epoch if abs(epoch) >= 1e11 else epoch * 1000))


def _sane(when: datetime) -> datetime | None:
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    return utc if 1900 <= utc.year <= 2200 else None


_DAY_FIRST = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")


def day(raw: JsonValue) -> datetime | None:
    """A date as its midnight in UTC: ISO, an instant's UTC date, or `31.12.2026` (slashes could be either
    way round)."""
    dotted = _DAY_FIRST.fullmatch(raw.strip(BLANKS)) if isinstance(raw, str) else None
    if dotted:
        return _sane(datetime(int(dotted[3]), int(dotted[2]), int(dotted[1]), tzinfo=UTC))
    when = moment(raw)
    return when.replace(hour=0, minute=0, second=0, microsecond=0) if when else None


# ------------------------------------------------------------------------------------------ places, languages


def country(raw: JsonValue) -> str | None:
    """ISO 3166 alpha-2 from an alpha-2 or alpha-3 code, or a name in many languages; None for anything
    else."""
    found = text(raw)
    return _country(found[:100]) if found else None


@lru_cache(maxsize=10_000)
def _country(found: str) -> str | None:
    code = found.upper().replace(".", "")
    if re.fullmatch(r"[A-Z]{2}", code) and code in _territories():
        return code
    words = plain(found)
    alias = _country_aliases().get(words) or _country_names(("en",)).get(words)
    if alias:
        return alias
    if re.fullmatch(r"[A-Z]{2,3}", code):
        # CLDR keeps withdrawn and three-letter codes as aliases of today's territories.
        aliases = get_global("territory_aliases").get(code)
        if aliases and aliases[0] in _territories():
            return str(aliases[0])
    inner = re.fullmatch(r"(.+?)\s*[(\[](.+)[)\]]", found)
    if inner:
        return _country(inner[1]) or _country(inner[2])
    # Last, because loading the other languages costs a second and some memory, once.
    return _country_names(NAME_LANGUAGES).get(words.removeprefix("the "))


@lru_cache(maxsize=1)
def _territories() -> frozenset[str]:
    names = Locale("en").territories
    no_country = {"EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"}
    return frozenset(
        code for each in names if re.fullmatch(r"[A-Z]{2}", code := str(each)) and code not in no_country
    )


@lru_cache(maxsize=2)
def _country_names(languages: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for language in languages:
        for code, name in Locale(language).territories.items():
            if code in _territories():
                found.setdefault(plain(name), str(code))
    return found


@lru_cache(maxsize=1)
def _country_aliases() -> dict[str, str]:
    """What people write that is no name in CLDR, or another country's there."""
    rows = csv.DictReader(io.StringIO(_ALIASES.read_text(encoding="utf-8")))
    return {plain(row["name"]): row["country"] for row in rows}


def language(raw: JsonValue) -> str | None:
    """ISO 639 code of a language from a code, a locale (`pt-BR`, `de_DE`) or a name in many languages."""
    found = text(raw)
    return _language(found[:100]) if found else None


@lru_cache(maxsize=10_000)
def _language(found: str) -> str | None:
    code = re.split(r"[-_.]", found.lower())[0]
    if (
        re.fullmatch(r"[a-z]{2,3}", code)
        and code in Locale("en").languages
        and re.fullmatch(r"[\w.-]+", found)
    ):
        return code
    words = plain(found)
    names = _language_names()
    inner = re.fullmatch(r"(.+?)\s*[(\[-].*", found)
    return names.get(words) or (names.get(plain(inner[1])) if inner else None)


@lru_cache(maxsize=1)
def _language_names() -> dict[str, str]:
    found: dict[str, str] = {}
    for spoken in NAME_LANGUAGES:
        for code, name in Locale(spoken).languages.items():
            if re.fullmatch(r"[a-z]{2,3}", code):
                found.setdefault(plain(name), code)
    return found


# ----------------------------------------------------------------------------------------------- to reach one


def phone(raw: JsonValue, region: str | None = None) -> str | None:
    """E.164 of a possible telephone number. A national number needs the region (ISO alpha-2) it is dialled
    in."""
    found = text(raw)
    return None if found is None else _phone(found[:100], region)


@lru_cache(maxsize=20_000)
def _phone(found: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(found, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


LONGEST_ADDRESS = 254  # RFC 5321 with its erratum 1690
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@([A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,})")
_ADDRESS = re.compile(r"[^\s@<>,;:()\"\[\]\\]+@[^\s@<>,;:()\"\[\]\\]+")


def email(raw: JsonValue) -> str | None:
    """One address: trimmed, lower-cased, domain in IDNA; tags and dots stay. None when it is no address.

    `mailto:`, angle brackets and a display name around it are taken off.
    """
    found = text(raw)
    if found is None:
        return None
    plain_one = _PLAIN_ADDRESS.fullmatch(found)
    if (
        plain_one and len(found) <= LONGEST_ADDRESS
    ):  # nearly all are; the rest of this reads what people paste
        host_name = _idna(plain_one[1])
        return None if host_name is None else f"{found[: plain_one.start(1) - 1].lower()}@{host_name}"
    bracketed = re.search(r"<([^<>]+)>\s*$", found)
    candidate = (bracketed[1] if bracketed else found).strip(BLANKS)
    candidate = re.sub(r"^mailto:", "", candidate, flags=re.IGNORECASE)
    if not _ADDRESS.fullmatch(candidate) or len(candidate) > LONGEST_ADDRESS:
        return None
    local, _, host = candidate.rpartition("@")
    domain_name = _idna(host)
    if domain_name is None or "." not in domain_name:
        return None
    return f"{unicodedata.normalize('NFC', local).lower()}@{domain_name}"


def domain(raw: JsonValue) -> str | None:
    """The domain of a URL or an address, in IDNA, lower-cased, without `www.`; None for IP addresses and
    bare words."""
    found = text(raw)
    return None if found is None else _domain(found)


@lru_cache(maxsize=20_000)
def _domain(found: str) -> str | None:
    if "@" in found and "/" not in found:
        host: str | None = found.rpartition("@")[2]
    else:
        try:
            host = urlsplit(found if "//" in found else f"//{found}").hostname
        except ValueError:  # a bracket without its other half
            return None
    name = _idna(host or "")
    if name is None or "." not in name or re.fullmatch(r"[0-9.]+", name):
        return None
    return name.removeprefix("www.") if name.count(".") > 1 else name


@lru_cache(maxsize=50_000)
def _idna(host: str) -> str | None:
    host = host.strip(BLANKS + ".>")
    if host.isascii():
        bare = host.lower()
        labels = re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", bare)
        return bare if labels and len(bare) <= 253 else None
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        return None


# ---------------------------------------------------------------------------------------------------- by name

_BY_NAME: Mapping[str, Callable[[JsonValue, Around], Value]] = {
    "text": lambda raw, _: text(raw),
    "lower": lambda raw, _: lower(raw),
    "number": lambda raw, _: number(raw),
    "integer": lambda raw, _: integer(raw),
    "boolean": lambda raw, _: boolean(raw),
    "date": lambda raw, _: day(raw),
    "datetime": lambda raw, _: moment(raw),
    "country": lambda raw, _: country(raw),
    "language": lambda raw, _: language(raw),
    "phone": lambda raw, around: phone(raw, around.country),
    "email": lambda raw, _: email(raw),
    "domain": lambda raw, _: domain(raw),
    "money": lambda raw, _: found.amount if (found := money(raw)) else None,
    "seniority": lambda raw, around: read_title(text(raw) or "", around.titles)[0],
    "job_function": lambda raw, around: read_title(text(raw) or "", around.titles)[1],
    "employees": lambda raw, _: employees(raw),
    "spam_signs": lambda raw, _: "; ".join(signs_in_message(text(raw) or "")) or None,
    "list_first": lambda raw, _: list_first(raw),
}
NAMES = frozenset(_BY_NAME)
