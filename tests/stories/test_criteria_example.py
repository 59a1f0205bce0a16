"""A real person becomes an example of the agreement, at the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from connector.app.commands.init import shipped
from tests.stories.test_cli import run
from tests.stories.world import look, somebody, world


async def test_a_person_of_the_crm_is_frozen_into_the_file_and_the_agreement_still_holds(
    sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(shipped(), folder)
    async with world(sqlite_url, people=40) as made:
        await made.sync()
        who = await somebody(made, stage="mql")
        view = await look(made, who)
    environment = {"CONNECTOR_DATABASE_URL": sqlite_url, "CONNECTOR_MAPPINGS_DIR": str(folder)}

    shown = run(environment, "criteria", "example", f"hubspot:contact:{who.contact}", "--name", "One of ours")
    untouched = (folder / "criteria.yaml").read_text() == (shipped() / "criteria.yaml").read_text()
    run(environment, "criteria", "example", who.email, "--name", "One of ours", "--add")
    tested = json.loads(run(environment, "criteria", "test", "--json").stdout)

    assert untouched
    assert "Nothing was written" in shown.stdout
    assert not [word for word in (who.email, str(view.fields["last_name"])) if word in shown.stdout]
    assert tested["examples"][-1] == {"name": "One of ours", "ok": True, "differences": []}
    assert run(environment, "criteria", "example", "nobody@example.com", code=2).stderr
