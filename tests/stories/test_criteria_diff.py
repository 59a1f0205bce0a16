"""Two definitions compared over the people of the ledger."""

from __future__ import annotations

import json

from connector.app.commands.init import shipped
from tests.stories.test_cli import run
from tests.stories.world import world


async def test_strict_and_broad_differ_in_words_and_in_people(sqlite_url: str) -> None:
    environment = {"CONNECTOR_DATABASE_URL": sqlite_url, "CONNECTOR_MAPPINGS_DIR": str(shipped())}
    nobody = run(environment, "criteria", "diff", "strict", "broad")
    async with world(sqlite_url, people=60) as made:
        await made.sync(plan_only=True)
        known = len(await made.ledger.people(limit=1_000))

    told = json.loads(run(environment, "criteria", "diff", "strict", "broad", "--json").stdout)
    text = run(environment, "criteria", "diff", "1", "file").stdout

    people = told["people"]
    assert "the ledger knows nobody yet" in nobody.stdout
    assert (
        "`newsletter` (Subscribed to the newsletter) counts for 365 days (so far 90 days), gives 10 points"
        in (" ".join(told["words"]))
    )
    assert people["people"] == known > 50
    assert people["before"] < people["after"]
    assert people["both"] <= people["before"]
    assert len(people["gained"]) == min(5, people["after"] - people["both"])
    assert len(people["lost"]) == min(5, people["before"] - people["both"])
    assert all(
        each["before"]["stage"] == "lead" and each["after"]["stage"] == "mql" for each in people["gained"]
    )
    assert sum(people["scores"].values()) == sum(people["bands"]["after"].values()) == known
    assert "Nothing differs." in text
    assert run(environment, "criteria", "diff", "strict", "9", code=2).stderr
    assert run(environment, "criteria", "diff", "strickt", "broad", code=2).stderr
