"""Which records are one person: explicit ids, then addresses; in doubt nobody is joined, a human is asked."""

from datetime import UTC, datetime

import pytest

from connector.core.model import PersonRecord, RecordState, Ref
from connector.core.resolve import is_role_address, resolve, same_last_name

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def hub(n):
    return Ref("hubspot", "contact", str(n))


def lead(n):
    return Ref("salesforce", "Lead", f"00Q{n}")


def contact(n):
    return Ref("salesforce", "Contact", f"003{n}")


def record(ref, *emails, last=None, kind=None, **rest):
    fields = {"last_name": last, "email_kind": kind}
    return PersonRecord(ref=ref, fields=fields, emails=emails, changed_at=NOW, **rest)


def groups(*records, person_of=None, decided=None):
    return [set(g.refs) for g in resolve(records, person_of or {}, decided or {}).groups]


def reviews(*records, decided=None):
    return {(a, b) for a, b, _ in resolve(records, {}, decided or {}).reviews}


# ---------------------------------------------------------------------------------------- explicit ids


def test_counterparts_by_explicit_id_are_one_person_whatever_their_addresses():
    a = record(hub(1), "ada@example.com", same_as=(lead(1),))
    b = record(lead(1), "other@example.com")
    assert groups(a, b) == [{hub(1), lead(1)}]


def test_a_converted_lead_belongs_to_its_contact():
    a = record(lead(1), "ada@example.com", state=RecordState.CONVERTED, moved_to=contact(1))
    b = record(contact(1), "new@example.com")
    found = resolve([a, b], {}, {}).groups[0]
    assert set(found.refs) == {lead(1), contact(1)}
    assert found.targets == (contact(1),)


def test_a_chain_of_merges_ends_at_its_survivor():
    a = record(contact(1), state=RecordState.MERGED, moved_to=contact(2))
    b = record(contact(2), state=RecordState.MERGED, moved_to=contact(3))
    c = record(contact(3), "ada@example.com")
    assert groups(a, b, c) == [{contact(1), contact(2), contact(3)}]


def test_an_absorbed_record_that_merely_vanished_belongs_to_its_survivor_and_is_no_target():
    survivor = record(hub(9), "ada@example.com", last="Byron", same_as=(hub(1),))
    stale = record(hub(1), "old@example.com", last="Lovelace")
    found = resolve([survivor, stale], {}, {}).groups
    assert [set(g.refs) for g in found] == [{hub(1), hub(9)}]
    assert found[0].targets == (hub(9),)


def test_two_records_that_name_the_same_unseen_record_are_one_person():
    a = record(hub(1), "a@example.com", same_as=(contact(7),))
    b = record(lead(1), "b@example.com", state=RecordState.CONVERTED, moved_to=contact(7))
    assert groups(a, b) == [{hub(1), lead(1)}]


# ------------------------------------------------------------------------------------------- addresses


def test_a_shared_address_joins_across_crms():
    assert groups(record(hub(1), "ada@example.com"), record(lead(1), "ada@example.com")) == [
        {hub(1), lead(1)}
    ]


def test_every_address_of_a_record_counts():
    a = record(hub(1), "work@example.com", "home@example.com")
    b = record(lead(1), "home@example.com")
    c = record(contact(1), "work@example.com")
    assert groups(a, b, c) == [{hub(1), lead(1), contact(1)}]


def test_a_record_without_an_address_is_its_own_person():
    assert groups(record(hub(1)), record(lead(1))) == [{hub(1)}, {lead(1)}]


def test_an_address_never_joins_groups_whose_explicit_ids_contradict():
    a = record(hub(1), "ada@example.com", same_as=(contact(1),))
    b = record(hub(2), "ada@example.com", same_as=(contact(2),))
    c, d = record(contact(1), "x@example.com"), record(contact(2), "y@example.com")
    assert groups(a, b, c, d) == [{hub(1), contact(1)}, {hub(2), contact(2)}]
    assert reviews(a, b, c, d) == {(hub(1), hub(2))}


def test_an_explicit_id_of_a_record_that_is_gone_contradicts_nothing():
    a = record(hub(1), "ada@example.com", same_as=(contact(1),))
    b = record(lead(2), "ada@example.com", same_as=(contact(2),))
    gone = record(contact(1), state=RecordState.GONE)
    assert {hub(1), lead(2)} in [g - {contact(1)} for g in groups(a, b, gone)]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Byron", "BYRON"), ("Müller", "muller "), ("O'Neil", "oneil"), ("Byron", None), ("", "  ")],
)
def test_one_address_twice_in_an_object_is_one_person_where_last_names_agree(one, other):
    assert same_last_name(one, other)
    a, b = record(lead(1), "ada@example.com", last=one), record(lead(2), "ada@example.com", last=other)
    assert groups(a, b) == [{lead(1), lead(2)}]
    assert reviews(a, b) == set()


def test_one_address_twice_with_different_last_names_goes_to_review_and_each_stays_alone():
    a = record(lead(1), "family@example.com", last="Byron")
    b = record(lead(2), "family@example.com", last="Babbage")
    assert groups(a, b) == [{lead(1)}, {lead(2)}]
    assert reviews(a, b) == {(lead(1), lead(2))}


def test_a_blank_name_between_two_different_ones_is_given_to_neither():
    a = record(lead(1), "family@example.com", last="Byron")
    b = record(lead(2), "family@example.com")
    c = record(lead(3), "family@example.com", last="Babbage")
    assert groups(a, b, c) == [{lead(1)}, {lead(2)}, {lead(3)}]
    assert reviews(a, b, c) == {(lead(1), lead(2)), (lead(1), lead(3)), (lead(2), lead(3))}


def test_twins_in_a_dispute_are_joined_and_the_stranger_is_not():
    a = record(lead(1), "family@example.com", last="Byron")
    b = record(lead(2), "family@example.com", last="byron")
    c = record(lead(3), "family@example.com", last="Babbage")
    assert groups(a, b, c) == [{lead(1), lead(2)}, {lead(3)}]


def test_a_record_in_the_other_crm_waits_until_the_dispute_is_settled():
    a = record(hub(1), "family@example.com", last="Byron")
    b = record(lead(1), "family@example.com", last="Byron")
    c = record(lead(2), "family@example.com", last="Babbage")
    assert groups(a, b, c) == [{hub(1)}, {lead(1)}, {lead(2)}]
    settled = {(lead(1), hub(1)): "join", (hub(1), lead(2)): "split"}
    assert groups(a, b, c, decided=settled) == [{hub(1), lead(1)}, {lead(2)}]
    assert reviews(a, b, c, decided=settled | {(lead(1), lead(2)): "split"}) == set()


@pytest.mark.parametrize("address", ["info@example.com", "sales+eu@example.com", "no-reply@example.com"])
def test_a_role_address_joins_nobody_and_goes_to_review(address):
    assert is_role_address(address)
    a, b = record(hub(1), address), record(lead(1), address)
    assert groups(a, b) == [{hub(1)}, {lead(1)}]
    assert reviews(a, b) == {(hub(1), lead(1))}


def test_an_address_that_normalize_calls_a_role_is_one_for_all_who_carry_it():
    a = record(hub(1), "pforte@example.com", kind="role")
    b = record(lead(1), "ada@example.com", "pforte@example.com")
    assert groups(a, b) == [{hub(1)}, {lead(1)}]


def test_a_role_address_keeps_nobody_apart_who_shares_another_one():
    a = record(hub(1), "ada@example.com", "info@example.com")
    b = record(lead(1), "ada@example.com", "info@example.com")
    assert groups(a, b) == [{hub(1), lead(1)}]
    assert reviews(a, b) == set()


def test_an_address_in_a_crowd_joins_nobody_and_asks_nobody():
    many = [record(lead(n), "none@example.com") for n in range(51)]
    found = resolve(many, {}, {})
    assert len(found.groups) == 51
    assert found.reviews == ()
    pair = [record(hub(1), "none@example.com"), record(lead(1), "none@example.com")]
    assert len(resolve(pair, {}, {}, crowded={"none@example.com"}).groups) == 2


# ---------------------------------------------------------------------------------------- dead records


@pytest.mark.parametrize("state", [RecordState.ARCHIVED, RecordState.GONE])
def test_a_dead_record_joins_nobody_by_address_but_stays_findable(state):
    a = record(hub(1), "ada@example.com", state=state)
    b = record(lead(1), "ada@example.com")
    found = resolve([a, b], {}, {}).groups
    assert [g.refs for g in found] == [(hub(1),), (lead(1),)]
    assert found[0].targets == ()


def test_a_dead_record_stays_with_its_explicit_counterpart_and_bridges_nobody():
    dead = record(hub(1), state=RecordState.ARCHIVED, same_as=(contact(1), lead(1)))
    a, b = record(lead(1), "a@example.com"), record(contact(1), "b@example.com")
    assert groups(dead, a, b) == [{hub(1), contact(1)}, {lead(1)}]


def test_a_link_whose_ground_vanished_is_dissolved_and_facts_follow_their_records():
    a, b = record(hub(1), "new@example.com"), record(lead(1), "ada@example.com")
    found = resolve([a, b], {hub(1): 5, lead(1): 5}, {}).groups
    assert [(g.refs, g.person) for g in found] == [((hub(1),), 5), ((lead(1),), None)]


# ---------------------------------------------------------------------------------- humans, person ids


def test_a_human_join_wins_over_different_addresses():
    a, b = record(hub(1), "a@example.com"), record(lead(1), "b@example.com")
    assert groups(a, b, decided={(lead(1), hub(1)): "join"}) == [{hub(1), lead(1)}]


def test_a_human_split_wins_over_address_and_explicit_id():
    a = record(hub(1), "ada@example.com", same_as=(lead(1),))
    b = record(lead(1), "ada@example.com")
    assert groups(a, b, decided={(lead(1), hub(1)): "split"}) == [{hub(1)}, {lead(1)}]
    assert reviews(a, b, decided={(lead(1), hub(1)): "split"}) == set()


def test_decisions_of_humans_that_contradict_are_put_to_review():
    a, b, c = record(hub(1)), record(lead(1)), record(contact(1))
    decided = {(hub(1), lead(1)): "join", (hub(1), contact(1)): "join", (lead(1), contact(1)): "split"}
    found = resolve([a, b, c], {}, decided)
    assert len(found.groups) == 2
    assert len(found.reviews) == 1


def test_the_id_most_records_had_is_kept_and_none_is_used_twice():
    a = record(hub(1), "ada@example.com")
    b = record(lead(1), "ada@example.com")
    c = record(contact(1), "ada@example.com")
    alone = record(lead(2), "b@example.com")
    found = resolve([a, b, c, alone], {hub(1): 7, lead(1): 3, contact(1): 7, lead(2): 7}, {}).groups
    assert [(len(g.refs), g.person) for g in found] == [(3, 7), (1, None)]


def test_between_equal_claims_the_smallest_id_is_kept():
    a, b = record(hub(1), "ada@example.com"), record(lead(1), "ada@example.com")
    assert resolve([a, b], {hub(1): 9, lead(1): 4}, {}).groups[0].person == 4


def test_the_ground_of_a_link_is_told_without_the_address():
    a, b = record(hub(1), "ada@example.com"), record(lead(1), "ada@example.com")
    ground = resolve([a, b], {}, {}).groups[0].ground
    assert ground == (f"{hub(1)} and {lead(1)} share an address",)
