"""Who is deleted in one CRM and lives on in another is reported, and RevOps are told of erasures once."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

from typer.testing import CliRunner

from connector.app.cli import app
from connector.app.telling import tell
from tests.stories.test_told_people import Board, board, side_of
from tests.stories.world import Somebody, World, somebody, world

__all__ = ["board"]  # a fixture


async def some(made: World, *others: Somebody) -> Somebody:
    """One more whom both CRMs know, with an address that nobody else has."""
    known = {other.view.id for other in others}
    return await somebody(made, where=lambda view: view.id not in known)


async def test_who_was_deleted_in_one_crm_and_lives_on_in_the_other_is_told(
    database_url: str, board: Board, tmp_path: Path
) -> None:
    async with world(database_url, people=30) as made:
        await made.sync()
        side = side_of(made, f"revops={board.url('revops')}")
        await tell(side)
        erased = await some(made)
        binned = await some(made, erased)
        lost_lead = await some(made, erased, binned)
        everywhere = await some(made, erased, binned, lost_lead)
        again = await some(made, erased, binned, lost_lead, everywhere)
        made.hubspot.act("contact", erased.contact, "gdpr_delete")
        made.hubspot.act("contact", binned.contact, "archive")
        made.salesforce.act("Lead", lost_lead.lead, "delete")
        made.hubspot.act("contact", everywhere.contact, "gdpr_delete")
        made.salesforce.act("Lead", everywhere.lead, "delete")
        made.hubspot.act("contact", again.contact, "archive")
        fields = {name: again.view.fields[name] for name in ("last_name", "email")}
        made.hubspot.create("contact", {"email": fields["email"], "lastname": fields["last_name"]})
        made.later(days=8)
        await made.sync()

        environment = {"CONNECTOR_DATABASE_URL": database_url}

        async def asked(*words: str) -> str:
            done = await asyncio.to_thread(
                CliRunner().invoke, app, ["report", "privacy", *words], env=environment
            )
            assert done.exit_code == 0, done.output
            return done.output

        rows = {row["deleted"]: row for row in json.loads(await asked("--json"))["deleted_elsewhere"]}
        assert {name: (row["how"], row["alive"]) for name, row in rows.items()} == {
            f"hubspot:contact:{erased.contact}": ("erased", [f"salesforce:Lead:{erased.lead}"]),
            f"hubspot:contact:{binned.contact}": ("deleted", [f"salesforce:Lead:{binned.lead}"]),
            f"salesforce:Lead:{lost_lead.lead}": ("deleted", [f"hubspot:contact:{lost_lead.contact}"]),
        }
        [living] = await made.ledger.find(f"salesforce:Lead:{erased.lead}")
        assert rows[f"hubspot:contact:{erased.contact}"]["person"] == living
        await asked("--csv", str(tmp_path / "deleted.csv"))
        with (tmp_path / "deleted.csv").open(encoding="utf-8", newline="") as lines:
            assert [row["deleted"] for row in csv.DictReader(lines)] == list(rows)
        told = await asked()
        assert f"hubspot:contact:{erased.contact} erased" in told
        assert "@" not in told

        for _ in range(2):
            await tell(side)
            made.later(days=2)
        [notice] = [each for each in board.on("revops") if each.startswith("Deleted in one CRM")]
        assert "1 erased in hubspot, alive in salesforce." in notice
        assert "@" not in notice
