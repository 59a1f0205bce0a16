"""Form spam is told by what was written, never by the length of a name or its script."""

from __future__ import annotations

import pytest

from connector.core.normalize.derive import derive
from connector.core.normalize.transforms import apply

PEOPLE = [
    ("O", ""), ("", "O"), ("Li", "Ng"),
    ("Yu", "Wu"), ("李", "伟"), ("李", ""),
    ("Владимир", "Петров"), ("محمد", "العربي"), ("Siobhán", "O'Neill"),
    ("Anne-Marie", "d'Arc"), ("J.", "R.R. Tolkien"), ("Ronald", "McDonald"),
    ("Juan", "DeLaCruz"), ("LaToya", "VanDerBergMcNeil"), ("ADA", "LOVELACE"),
    ("Grzegorz", "Brzęczyszczykiewicz"), ("Wolfeschlegelsteinhausen", "Bergerdorff"), ("Ngũgĩ", "wa Thiong'o"),
    ("X", "Æ"), ("Mary", "St.John"), ("Nguyễn", "Thị"),
    ("さくら", "田中"), ("김", "민"), ("Jr.", "Ph.D."),
    ("Ada", "Lovelace, M.Sc."), ("नमस्ते", "शर्मा"), ("MacKenzie", "FitzGerald"),
    ("Pro", "Com"), ("Zbigniew", "Szczepkowski"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "last"), PEOPLE)
def test_a_name_is_a_name_however_short_long_or_written(first, last):
    found = derive({"first_name": first or None, "last_name": last or None, "email": "ada@acme.example"})
    assert "spam_signs" not in found


@pytest.mark.parametrize(
    ("first", "last", "sign"),
    [
        ("https://win.example", "Ada", "a link in the name"),
        ("Ada", "visit www.win.example now", "a link in the name"),
        ("You won! bit.ly/3xYz", "Ada", "a link in the name"),
        ("cheap-pills.shop", "Ada", "a link in the name"),
        ("Вы выиграли http://x.example", "Ада", "a link in the name"),
        ("<a href=x>", "Ada", "markup in the name"),
        ("{{7*7}}", "Ada", "markup in the name"),
        ("xKqVbRtLmZ", "Ada", "random letters as a name"),
        ("Ada", "hGqWLRTmKpz", "random letters as a name"),
    ],
)
def test_what_no_name_holds_is_a_sign_of_spam(first, last, sign):
    assert derive({"first_name": first, "last_name": last})["spam_signs"] == sign


@pytest.mark.parametrize(
    ("message", "signs"),
    [
        ("Please call me about 200 seats. Our site is https://acme.example", None),
        ("Здравствуйте, хотим демо для 50 человек", None),
        ("请联系我", None),
        ("We compared https://a.example and https://b.example", None),
        ("We do SEO services ourselves and want a demo", None),
        ("https://a.example https://b.example http://c.example", "many links in the message"),
        ("[url=x]cheap[/url]", "markup in the message"),
        ("Cheap SEO services, see https://x.example", "an offer with a link in the message"),
    ],
)
def test_a_message_is_judged_by_links_and_offers_not_by_its_language(message, signs):
    assert apply("spam_signs", message) == signs


def test_signs_of_the_message_and_of_the_name_stand_together():
    found = derive({"first_name": "www.x.example", "spam_signs": "many links in the message"})
    assert found["spam_signs"] == "a link in the name; many links in the message"
