"""Taking somebody out of a text: whole words, whatever the case, and nobody else's."""

from __future__ import annotations

import pytest

from connector.core.erasure import Scrubber, Subject, hashed

ADA = Subject(
    people=(7,),
    refs=("hubspot:contact:15", "salesforce:Lead:00Q1"),
    emails=("ada@byron.example",),
    visitors=("user:u-15",),
    names=("Ada Byron", "+44 20 7946 0958", "Al B"),
)
SCRUB = Scrubber(ADA, 3)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail to Ada@Byron.Example.", "mail to erased-3@erased.invalid."),
        ("ada@byron.example.org", None),
        ("not-ada@byron.example", None),
        ("hubspot:contact:15", "erased:person:3"),
        ("hubspot:contact:151 and hubspot:contact:15", "hubspot:contact:151 and erased:person:3"),
        ("SALESFORCE:LEAD:00Q1", "erased:person:3"),
        ("Met ADA BYRON at the fair", "Met erased at the fair"),
        ("Ada Byronson", None),
        ("Al B is too short to be looked for", None),
        ("call +44 20 7946 0958", "call erased"),
        ("person:7, person:70", "person:erased, person:70"),
        ('{"person":7,"other":{"person":71}}', '{"person":null,"other":{"person":71}}'),
        ("by user:u-15", "by erased"),
    ],
)
def test_a_person_is_taken_out_of_a_text_and_nobody_else_is(text: str, left: str | None) -> None:
    assert SCRUB.scrubbed(text) == (text if left is None else left)
    assert SCRUB.mentions(text) is (left is not None)


def test_names_are_left_where_they_are_of_who_works_with_this() -> None:
    assert SCRUB.by_key.scrubbed("agreed by Ada Byron, of ada@byron.example") == (
        "agreed by Ada Byron, of erased-3@erased.invalid"
    )


def test_somebody_of_whom_nothing_is_known_is_in_no_text() -> None:
    nobody = Scrubber(Subject(), 1)
    assert (nobody.mentions("anything"), nobody.scrubbed("anything"), nobody.places("any", 5)) == (
        False, "anything", [],
    )  # fmt: skip


def test_the_hash_of_an_address_knows_no_case_and_needs_its_key() -> None:
    assert hashed(b"k", " Ada@Byron.Example") == hashed(b"k", "ada@byron.example")
    assert hashed(b"k", "hubspot:contact:1A") != hashed(b"k", "hubspot:contact:1a")
    assert hashed(b"k", "ada@byron.example") != hashed(b"l", "ada@byron.example")
