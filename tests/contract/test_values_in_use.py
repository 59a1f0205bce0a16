"""Which values a field holds, and on how many records, by each vendor's own counts; and what `check` makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.hubspot import in_use as hubspot
from connector.app.commands.init import shipped
from connector.app.files import load_mapping
from connector.app.settings import variables_of
from connector.app.wiring import plugins
from connector.core.mapping import wanted_fields
from connector.insight.in_use import Asked, counted, findings, to_ask
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from tests.stories.world import START, QuickClock

FIELDS = {"hubspot": ("contact", "contacts", "hs_lead_status"), "salesforce": ("Lead", "Lead", "Status")}


@pytest.fixture(params=sorted(FIELDS))
def crm(request: Any) -> str:
    return str(request.param)


@pytest.fixture
def adapter(crm: str) -> Iterator[Any]:
    clock = QuickClock(START)
    plugin = plugins()[crm]
    with serve([plugin.build_sandbox(make_population(25, 11, START), clock)]) as up:
        yield plugin.connect(variables_of(plugin.variables, up.environment()), clock, None)


async def test_the_counts_are_those_of_the_records(crm: str, adapter: Any) -> None:
    object_, stream, field = FIELDS[crm]
    fields = wanted_fields(load_mapping(shipped() / f"{crm}.yaml"))
    told = [
        record.values[field]
        async for page in adapter.pull(stream, None, fields)
        for record in page.records
        if record.ref.object == object_ and record.values.get(field)
    ]
    held = Counter(told)
    found = await adapter.values_in_use(object_, field)

    assert len(held) > 1
    assert {each.value: each.records for each in found} == dict(held)
    assert list(await adapter.values_in_use(object_, "no_such_field")) == []
    rest = await adapter.values_in_use(object_, field, besides=[found[0].value])
    assert {each.value for each in rest} == set(held) - {found[0].value}
    if crm == "hubspot":  # more than a page: by the totals of searches
        schema = await adapter.schema(object_)
        by_totals = await hubspot.values_in_use(adapter._api, object_, field, schema, (), page=1)
        assert {each.value: each.records for each in by_totals} == dict(held)
        text = await hubspot.values_in_use(adapter._api, object_, "lastname", schema, (), page=1)
        assert [each.value for each in text] == [None]
    await adapter.close()


async def test_a_status_that_nobody_mapped_is_a_problem_with_its_count(crm: str, adapter: Any) -> None:
    object_, _, field = FIELDS[crm]
    mapping = load_mapping(shipped() / f"{crm}.yaml")
    asked = Asked(object_, field, "status")
    assert asked in to_ask(mapping)
    found = await adapter.values_in_use(object_, field)
    told = counted(mapping, asked, found)
    assert {each.counts_as.split(" ")[0] for each in told} <= {"accepted", "rejected", "working"}
    assert list(findings(told)) == []  # the starter names every status of a new account

    status = mapping.objects[object_].status
    assert status is not None
    target = replace(mapping.objects[object_], status=replace(status, working=()))
    bare = replace(mapping, objects={**mapping.objects, object_: target})
    lost = list(findings(counted(bare, asked, found)))
    working = [each for each in told if each.counts_as == "working"]
    assert working
    assert [each.level for each in lost] == ["problem"] * len(working)
    assert f"stands on {working[0].value.records:,} record" in lost[0].what

    # why sales says no is counted too, and whatever it is, it is a reason
    target = replace(target, status=replace(status, reason="city" if crm == "hubspot" else "City"))
    why = to_ask(replace(mapping, objects={**mapping.objects, object_: target}))
    [reason] = [each for each in why if (each.object, each.kind) == (object_, "reason")]
    given = counted(mapping, reason, await adapter.values_in_use(object_, reason.field))
    assert given
    assert {each.counts_as for each in given} == {"a reason"}
    assert list(findings(given)) == []
    await adapter.close()
