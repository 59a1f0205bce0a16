"""Every quirk and trap on `docs/explanation/quirks.md` has a test of its name, and no test names another."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/explanation/quirks.md").read_text()
LATER = "Not in this release"


def part(heading: str) -> str:
    """What stands under a heading of the page."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(crm: str) -> dict[int, str]:
    """The rows of a CRM's table by number."""
    found = re.findall(r"^\| (\d+) \| (.+) \|$", part(crm), flags=re.MULTILINE)
    assert len({number for number, _ in found}) == len(found), f"a number of {crm} stands twice"
    return {int(number): text for number, text in found}


def traps() -> dict[str, list[str]]:
    """What the names of a trap's tests begin with, by trap."""
    lines = [line for line in part("Traps").splitlines() if line.startswith("| ")][1:]
    return {line.split("|")[1].strip(): re.findall(r"`(test_trap_\w+)`", line) for line in lines}


def names() -> list[str]:
    """Of all tests, this file's left out."""
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    return [
        name
        for file in files
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.M)
    ]


def by_number(crm: str) -> dict[int, list[str]]:
    """Tests of a CRM's quirks by number; `_12_and_13_` carries both."""
    found: dict[int, list[str]] = defaultdict(list)
    for name in names():
        if told := re.match(rf"test_quirk_{crm.lower()}_((?:\d+_(?:and_)?)+)", name):
            for number in re.findall(r"\d+", told[1]):
                found[int(number)].append(name)
    return found


def test_the_page_numbers_its_quirks_without_a_gap() -> None:
    for crm, at_least in (("HubSpot", 31), ("Salesforce", 36)):
        assert sorted(rows(crm)) == list(range(1, len(rows(crm)) + 1)), crm
        assert len(rows(crm)) >= at_least, crm
    assert len(traps()) >= 16


def test_every_quirk_of_this_release_has_a_test_of_its_number() -> None:
    for crm in ("HubSpot", "Salesforce"):
        due = {number for number, text in rows(crm).items() if LATER not in text}
        assert sorted(due - by_number(crm).keys()) == [], f"{crm}: no test"
        assert sorted(by_number(crm).keys() - due) == [], f"{crm}: a test, and no row of this release"


def test_what_is_not_in_this_release_is_streaming_alone() -> None:
    later = {(crm, n) for crm in ("HubSpot", "Salesforce") for n, text in rows(crm).items() if LATER in text}

    assert later == {("Salesforce", 34)}


def test_every_trap_has_a_test_and_every_test_of_a_trap_stands_on_the_page() -> None:
    of_traps = [name for name in names() if name.startswith("test_trap_")]
    told = [prefix for prefixes in traps().values() for prefix in prefixes]

    assert [trap for trap, prefixes in traps().items() if not prefixes] == []
    assert [prefix for prefix in told if not any(name.startswith(prefix) for name in of_traps)] == []
    assert [name for name in of_traps if not name.startswith(tuple(told))] == []


def test_every_test_of_a_quirk_names_a_crm_of_the_page() -> None:
    crms = ("test_quirk_hubspot_", "test_quirk_salesforce_")

    assert [name for name in names() if name.startswith("test_quirk_") and not name.startswith(crms)] == []
