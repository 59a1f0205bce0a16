"""A stage found in an account has its date: by the newest scheme of properties, by the older, or by the history."""

from __future__ import annotations

import pytest

from connector.sandbox.faults import Fault
from tests.contract.hubspot_account import FIELDS, HOUR, engaged


async def contacts(made):
    """As pulled, the live ones, by id."""
    pulled = [record async for page in made.pages("contacts") for record in page.records]
    return {record.ref.id: record for record in pulled if record.values.get("lifecyclestage")}


def entered(made):
    """When each contact truly entered its stage, by the population."""
    return {
        r.id: r.stages[-1][1] for r in made.population.records("hubspot") if r.state == "live" and r.stages
    }


def histories(made):
    return made.sandbox.log.calls("/contacts/batch/read")


@pytest.mark.parametrize("stage_dates", ["v2", "old", "none"])
async def test_every_scheme_of_dates_tells_the_same_entry_and_only_without_one_the_history_is_asked(
    stage_dates,
):
    async with engaged(people=120, stage_dates=stage_dates) as made:
        for row in made.sandbox.sandbox.store.tables["contacts"].rows.values():
            row.values["hs_lead_status"] = ""  # what is dated by its history alone
        found, truth = await contacts(made), entered(made)

        assert len(truth) > 50
        for id_, at in truth.items():
            assert abs((found[id_].stage_at - at).total_seconds()) < 1, id_
        assert bool(histories(made)) is (stage_dates == "none")


async def test_the_newest_scheme_wins_where_two_disagree():
    async with engaged(people=120) as made:
        id_, _ = next(iter(entered(made).items()))
        row = made.sandbox.sandbox.store.tables["contacts"].get(id_)
        row.values[f"hs_lifecyclestage_{row.values['lifecyclestage']}_date"] = "2019-01-01T00:00:00Z"

        assert (await contacts(made))[id_].stage_at == entered(made)[id_].replace(
            microsecond=entered(made)[id_].microsecond // 1000 * 1000
        )


async def test_a_contact_that_changes_is_dated_by_its_history_too_and_by_the_newest_entry():
    async with engaged(people=60, stage_dates="none") as made:
        await made.quiet("contacts")
        [(id_, _)] = made.people()
        for stage in ("customer", "lead"):
            made.sandbox.edit("contact", id_, {"lifecyclestage": stage})
            made.clock.advance(HOUR)
        moved = made.clock.now() - HOUR

        found = await contacts(made)

        assert found[id_].values["lifecyclestage"] == "lead"
        assert abs((found[id_].stage_at - moved).total_seconds()) < 60


async def test_what_sales_answered_is_dated_by_the_history_of_the_lead_status():
    async with engaged(people=60) as made:
        await made.quiet("contacts")
        (id_, _), (other, _) = made.people(2)
        made.sandbox.edit("contact", id_, {"hs_lead_status": "UNQUALIFIED"})
        made.sandbox.edit("contact", other, {"hs_lead_status": "", "jobtitle": "Analyst"})
        answered = made.clock.now()
        made.clock.advance(HOUR)
        made.sandbox.edit("contact", id_, {"city": "London"})  # long after the answer
        made.clock.advance(HOUR / 60)

        found = await contacts(made)

        assert abs((found[id_].status_at - answered).total_seconds()) < 1
        assert found[other].status_at is None
        made.sandbox.log.clear()
        again = await contacts(made)  # within the overlap, so it is read once more

        assert again[id_].status_at == found[id_].status_at
        assert len(histories(made)) == 1  # its values; its history is known


async def test_a_stage_newer_than_its_date_property_is_dated_by_the_history_alone():
    async with engaged(people=60) as made:
        await made.quiet("contacts")
        (id_, _), (other, _) = made.people(2)
        store = made.sandbox.sandbox.store
        for one in (id_, other):
            made.sandbox.edit("contact", one, {"lifecyclestage": "customer"})
        for name in ("hs_v2_date_entered_customer", "hs_lifecyclestage_customer_date"):
            store.tables["contacts"].get(id_).values[name] = ""
        made.clock.advance(HOUR / 60)
        made.sandbox.log.clear()

        found = await contacts(made)

        assert abs((found[id_].stage_at - found[other].stage_at).total_seconds()) < 5
        assert len(histories(made)) == 2  # the values of both, the history of one


async def test_a_history_that_has_moved_on_dates_nothing():
    async with engaged(people=60, stage_dates="none") as made:
        [(id_, _)] = made.people()
        later = {
            "results": [
                {
                    "id": id_,
                    "propertiesWithHistory": {
                        "lifecyclestage": [{"value": "evangelist", "timestamp": "2026-11-22T09:00:00Z"}]
                    },
                }
            ]
        }
        made.sandbox.faults.add(Fault(path="*/contacts/batch/read", status=200, json=later, times=None))

        assert (await contacts(made))[id_].stage_at is None


async def test_what_is_read_again_before_a_push_costs_no_history():
    async with engaged(people=60, stage_dates="none") as made:
        refs = [record.ref for record in (await contacts(made)).values()]
        made.sandbox.log.clear()

        await made.adapter.read(refs[:10], FIELDS)

        assert len(histories(made)) == 1
