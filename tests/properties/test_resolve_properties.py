"""Random populations: everybody is somebody, no order of records matters, what humans decided stays."""

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.model import PersonRecord, RecordState, Ref
from connector.core.resolve import resolve

PLACES = [("hubspot", "contact"), ("salesforce", "Lead"), ("salesforce", "Contact")]
REFS = [Ref(crm, name, str(n)) for crm, name in PLACES for n in range(4)]
ADDRESSES = ["a@example.com", "b@example.com", "c@example.com", "info@example.com"]


@st.composite
def populations(draw):
    records = []
    for ref in draw(st.lists(st.sampled_from(REFS), unique=True, max_size=8)):
        others = [other for other in REFS if other != ref]
        state = draw(st.sampled_from([RecordState.LIVE] * 5 + list(RecordState)))
        moved = state in (RecordState.MERGED, RecordState.CONVERTED)
        records.append(
            PersonRecord(
                ref=ref,
                fields={"last_name": draw(st.sampled_from(["Byron", "Babbage", None]))},
                emails=tuple(draw(st.lists(st.sampled_from(ADDRESSES), unique=True, max_size=2))),
                same_as=tuple(draw(st.lists(st.sampled_from(others), unique=True, max_size=1))),
                state=state,
                moved_to=draw(st.sampled_from(others)) if moved else None,
            )
        )
    pairs = st.tuples(st.sampled_from(REFS), st.sampled_from(REFS)).filter(lambda pair: pair[0] < pair[1])
    decided = draw(st.dictionaries(pairs, st.sampled_from(["join", "split"]), max_size=3))
    person_of = draw(st.dictionaries(st.sampled_from(REFS), st.integers(1, 4), max_size=6))
    return records, person_of, decided


@settings(max_examples=300, deadline=None)
@given(populations(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_decides_nothing(population, random):
    records, person_of, decided = population
    shuffled = random.sample(records, len(records))
    turned = {(b, a): verdict for (a, b), verdict in decided.items()}
    assert resolve(shuffled, dict(reversed(person_of.items())), turned) == resolve(
        records, person_of, decided
    )


@settings(max_examples=300, deadline=None)
@given(populations())
def test_everybody_is_in_one_group_and_no_person_id_is_used_twice(population):
    records, person_of, decided = population
    found = resolve(records, person_of, decided)
    assert sorted(ref for group in found.groups for ref in group.refs) == sorted(r.ref for r in records)
    kept = [group.person for group in found.groups if group.person is not None]
    assert len(kept) == len(set(kept))
    for group in found.groups:
        assert group.person is None or group.person in {person_of.get(ref) for ref in group.refs}


@settings(max_examples=300, deadline=None)
@given(populations())
def test_a_pair_that_a_human_split_is_never_together_and_never_asked_about(population):
    records, person_of, decided = population
    found = resolve(records, person_of, decided)
    for (a, b), verdict in decided.items():
        if verdict == "split":
            assert not any({a, b} <= set(group.refs) for group in found.groups)
            assert (a, b) not in {(x, y) for x, y, _ in found.reviews}


@settings(max_examples=300, deadline=None)
@given(populations())
def test_deciding_again_with_the_ids_just_kept_changes_nothing(population):
    records, person_of, decided = population
    first = resolve(records, person_of, decided)
    ids = {g.refs: g.person if g.person is not None else 100 + n for n, g in enumerate(first.groups)}
    again = resolve(records, {ref: person for refs, person in ids.items() for ref in refs}, decided)
    assert {g.refs: g.person for g in again.groups} == ids
