"""A set of very many records: exactly a set, in a tenth of the memory."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from connector.core.model import Ref
from connector.core.refs import RefSet

IDS = st.one_of(
    st.integers(0, 10**13).map(str),
    st.sampled_from(["1", "01", "001", "00Q5g00000ABCDEFGH", "00Q5g00000ABCDEFGh", "", "ünïcode", "\ud800"]),
    st.text(max_size=20),
)
REFS = st.builds(Ref, st.sampled_from(["hubspot", "salesforce"]), st.sampled_from(["contact", "Lead"]), IDS)


@given(st.lists(REFS), st.lists(REFS), st.lists(REFS))
def test_it_counts_as_a_set_does(some, others, more):
    plain = set(some)
    refs, first, second = RefSet(some), RefSet(others), RefSet(more)
    assert len(refs) == len(plain)
    assert all((ref in refs) == (ref in plain) for ref in (*some, *others, *more))
    assert refs.beside(first, second) == len(plain - set(others) - set(more))
    assert refs.beside(crm="hubspot") == len({ref for ref in plain if ref.crm == "hubspot"})


def test_each_is_new_once_in_whatever_order_they_come():
    numbers = [random.Random(4).randrange(10**11, 10**11 + 50_000) for _ in range(30_000)]
    refs = RefSet()
    new = [refs.add(Ref("hubspot", "contact", str(number))) for number in (*numbers, *numbers)]
    assert (sum(new), len(refs)) == (len(set(numbers)), len(set(numbers)))
    assert all(Ref("hubspot", "contact", str(number)) in refs for number in numbers)
    assert Ref("hubspot", "contact", str(10**11 + 50_001)) not in refs


def test_a_hundred_thousand_records_take_little_more_than_a_megabyte():
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        refs = RefSet(Ref("hubspot", "contact", str(151_000_000_000 + 7 * n)) for n in range(100_000))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(refs) == 100_000
    assert after - before < 1_500_000
