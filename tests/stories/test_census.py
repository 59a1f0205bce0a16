"""What leaves no trace in any list is missed in the next full look, and only then taken for gone."""

from __future__ import annotations

import pytest

from connector.core.model import Census, RecordState, Ref
from tests.stories.world import world


@pytest.fixture
async def settled(database_url):
    """Everybody read, no full look due for another week."""
    async with world(database_url, people=140) as here:
        await here.sync("hubspot")
        yield here


def live(here):
    return [str(id_) for id_ in here.hubspot.sandbox.store.tables["contacts"].live]


async def state_of(here, id_):
    (facts,) = await here.ledger.facts([[Ref("hubspot", "contact", id_)]])
    return facts.records[0].state


async def test_a_contact_erased_under_privacy_law_is_gone_within_a_week_and_its_values_with_it(settled):
    erased, other = live(settled)[5:7]
    settled.hubspot.act("contact", erased, "gdpr_delete")
    settled.later(days=6)
    await settled.sync("hubspot")
    assert await state_of(settled, erased) is RecordState.LIVE  # no search and no bin tells

    settled.later(days=1, hours=1)
    await settled.sync("hubspot")

    (facts,) = await settled.ledger.facts([[Ref("hubspot", "contact", erased)]])
    assert facts.records[0].state is RecordState.GONE
    assert facts.records[0].emails == ()
    assert await state_of(settled, other) is RecordState.LIVE


@pytest.mark.parametrize("which", ["the first", "the last"])
async def test_erasures_at_either_end_of_the_ids_are_found_too(database_url, which):
    async with world(database_url, people=140) as here:
        await here.sync("hubspot")
        erased = live(here)[0 if which == "the first" else -1]
        here.hubspot.act("contact", erased, "gdpr_delete")
        here.later(days=8)

        await here.sync("hubspot")

        assert await state_of(here, erased) is RecordState.GONE


async def test_a_list_that_leaves_somebody_out_makes_nobody_gone(settled):
    here = live(settled)[5]
    table = settled.hubspot.sandbox.store.tables["contacts"]
    table.live.remove(int(here))  # the list skips it; asked by id, it is there
    settled.later(days=8)

    await settled.sync("hubspot")

    assert await state_of(settled, here) is RecordState.LIVE


async def test_an_absorbed_contact_becomes_merged_and_is_not_asked_about_again(settled):
    lost, kept = live(settled)[5:7]
    survivor = settled.hubspot.act("contact", kept, "merge", other=lost)["id"]
    settled.later(days=8)

    await settled.sync("hubspot")

    (facts,) = await settled.ledger.facts([[Ref("hubspot", "contact", lost)]])
    assert (facts.records[0].state, facts.records[0].moved_to) == (
        RecordState.MERGED,
        Ref("hubspot", "contact", survivor),
    )
    settled.later(days=8)
    settled.hubspot.log.clear()
    await settled.sync("hubspot")
    assert not [call for call in settled.hubspot.log.calls() if call.path.endswith(f"/contacts/{lost}")]


async def test_a_call_that_was_deleted_for_good_counts_no_more(settled):
    calls = settled.hubspot.sandbox.store.tables["calls"]
    erased = calls.live[3]
    settled.hubspot.act("calls", str(erased), "gdpr_delete")
    settled.later(days=8)

    result = await settled.sync("hubspot")

    assert result.status != "failed"
    everything = Census("", frozenset(), None, None)
    known = await settled.ledger.absent("hubspot", "calls", everything)
    assert str(erased) not in known
    assert len(known) == len(calls.live)


async def test_a_deleted_contact_that_is_then_erased_loses_its_values_too(settled):
    erased, restored = live(settled)[5:7]
    for id_ in (erased, restored):
        settled.hubspot.act("contact", id_, "archive")
    settled.later(days=1, hours=1)
    await settled.sync("hubspot")
    assert await state_of(settled, erased) is RecordState.ARCHIVED
    settled.hubspot.act("contact", erased, "gdpr_delete")
    settled.hubspot.act("contact", restored, "restore")
    settled.later(days=1, hours=1)

    await settled.sync("hubspot")

    (facts,) = await settled.ledger.facts([[Ref("hubspot", "contact", erased)]])
    assert (facts.records[0].state, facts.records[0].emails) == (RecordState.GONE, ())
    assert await state_of(settled, restored) is RecordState.LIVE
