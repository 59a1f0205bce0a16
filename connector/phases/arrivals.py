"""Names in a plan the imports by which many of its people came, so that nobody takes a list for interest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.core.arrivals import Arrivals, told
from connector.core.mapping import CameInMap, CrmMapping
from connector.core.model import JsonValue
from connector.ports import Ledger

IMPORTS = "imports"  # their name in a run's document and in a plan's summary
PAGE = 2_000  # people at a time


async def tell_of_imports(
    ledger: Ledger, plan: int, mappings: Mapping[str, CrmMapping], at: datetime
) -> tuple[str, ...]:
    """A line for each import by which many people of the plan came, by their records in whatever CRM; kept with the
    plan."""
    shapes: dict[tuple[str, str], CameInMap] = {
        (crm, name): shape.came_in
        for crm, mapping in mappings.items()
        for name, shape in mapping.objects.items()
        if shape.came_in is not None
    }
    if not shapes:
        return ()
    found, after = Arrivals(), 0
    while page := await ledger.planned_values(plan, PAGE, after=after):
        for records in page.values():
            found.add((ref.crm, values, shapes.get((ref.crm, ref.object))) for ref, values in records)
        after = max(page)
    lines = [told(bulk, found.people) for bulk in found.bulks()]
    if lines:
        summary: dict[str, JsonValue] = {"title": "Many came at once", "lines": [*lines]}
        await ledger.tell_of_plan(plan, IMPORTS, summary, at)
    return tuple(lines)
