"""A list that was imported is named in the plan that it makes."""

from datetime import timedelta

from connector.phases.arrivals import IMPORTS
from tests.stories.world import world

FILE = {"id": 123, "file": "newsletter-list.csv"}


async def test_a_bulk_import_is_named_in_the_plan_of_each_crm(sqlite_url: str, capsys) -> None:
    async with world(sqlite_url, people=12) as made:
        await made.sync()
        made.later(hours=1)
        await made.sync()  # what sales answers of itself has come to rest
        imported = made.clock.now() + timedelta(days=1)
        made.later(days=1)
        for number in range(11):
            email = f"reader{number}@firm{number}.example"
            made.hubspot.create(
                "contacts", {"email": email, "lastname": f"Reader {number}", "imported": FILE}
            )
        made.hubspot.create("contacts", {"email": "one@typed.example", "lastname": "Typed"})
        for number in range(14):
            lead = {"LastName": f"Guest {number}", "Company": "Guests", "LeadSource": "Trade Show"}
            made.salesforce.create("Lead", {**lead, "Email": f"guest{number}@guests.example"})
        made.later(minutes=30)
        result = await made.sync(plan_only=True)

        [told] = result.more[IMPORTS]["hubspot"]
        count, rest = told.split(" of ", 1)
        assert count == "11"
        day = f"{imported:%Y-%m-%d}"
        assert rest.endswith(f"people came with an import on {day}: newsletter-list.csv (hubspot IMPORT 123)")
        [made_at_once] = result.more[IMPORTS]["salesforce"]
        assert made_at_once.startswith("14 of ")
        assert f"were made at once on {day}" in made_at_once
        assert ": Trade Show (salesforce, by 005" in made_at_once

        plan = await made.ledger.plan(result.plans["hubspot"])
        assert plan is not None
        assert plan.summary[IMPORTS] == {
            "title": "Many came at once",
            "lines": [told],
        }  # `plan show` prints these

        await made.sync()
        assert [told] in [[line for line in asked.opens_with if "import" in line] for asked in made.asked]
        made.later(minutes=30)
        again = await made.sync(plan_only=True)
        assert IMPORTS not in again.more, "they came once"
