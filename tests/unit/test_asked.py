"""What was asked about records is remembered while the values that it is about stand."""

from connector.core import asked
from connector.core.asked import Asked


def test_an_answer_is_known_while_its_values_stand():
    known: Asked[str] = Asked()
    known.keep("1", ("Open",), "monday")
    assert known.of("1", ("Open",)) == "monday"
    assert known.of("1", ("Closed",)) is None
    assert known.of("2", ("Open",)) is None
    known.keep("1", ("Closed",), "tuesday")
    assert (known.of("1", ("Closed",)), known.of("1", ("Open",))) == ("tuesday", None)


def test_the_longest_known_goes_first(monkeypatch):
    monkeypatch.setattr(asked, "MOST", 2)
    known: Asked[int] = Asked()
    for number in (1, 2, 1, 3):
        known.keep(str(number), (), number)
    assert [known.of(str(number), ()) for number in (1, 2, 3)] == [1, None, 3]
