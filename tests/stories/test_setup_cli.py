"""`connector setup`: from bare accounts to fields that are filled. Real processes, real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.hubspot.sandbox.gate import FULL_TOKEN, READ_ONLY_TOKEN
from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.stories.test_cli import answer, run

CRMS = tuple(plugins())


@pytest.fixture
def bare() -> Iterator[RunningSandboxes]:
    """Accounts in which nobody has set anything up."""
    clock = SandboxClock()
    population = make_population(30, 5, clock.now())
    with serve(
        [plugin.build_sandbox(population, clock, with_mql_fields=False) for plugin in plugins().values()]
    ) as up:
        yield up


@pytest.fixture
def environment(bare: RunningSandboxes, tmp_path: Path) -> dict[str, str]:
    return {
        **bare.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(shipped()),
    }


def states(document: dict[str, Any]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for step in document["steps"]:
        counted[step["state"]] = counted.get(step["state"], 0) + 1
    return counted


@pytest.mark.parametrize("crm", CRMS)
def test_from_a_bare_account_to_filled_fields(environment: dict[str, str], crm: str) -> None:
    looked = answer(environment, "setup", crm, "--dry-run", code=3)
    again = answer(environment, "setup", crm, "--dry-run", code=3)
    made = answer(environment, "setup", crm, code=3)  # clicks remain
    twice = answer(environment, "setup", crm, code=3)
    checked = answer(environment, "check", crm)
    synced = answer(environment, "sync", crm, "--yes", code=None)

    assert looked == again, "a dry run makes nothing"
    assert states(looked)["missing"] > 8
    assert states(made)["made"] > 8
    assert "missing" not in states(made)
    assert not {"made", "missing", "differs"} & set(states(twice))
    assert all(step["detail"] for step in made["steps"] if step["state"] == "by_hand")
    assert checked["problems"] == 0
    assert not [each for each in checked["crms"][crm]["findings"] if "not there yet" in each["what"]]
    assert synced["crms"][crm]["written"] > 0
    assert synced["crms"][crm]["rejected"] == synced["crms"][crm]["held_back"] == 0


def test_a_field_of_another_type_stops_set_up_before_anything_is_made(
    environment: dict[str, str], bare: RunningSandboxes
) -> None:
    def contact_properties() -> set[str]:
        found = httpx.get(
            f"{bare['hubspot'].url}/crm/v3/properties/contacts", headers=headers
        ).raise_for_status()
        return {each["name"] for each in found.json()["results"]}

    headers = {"authorization": f"Bearer {FULL_TOKEN}"}
    body = {
        "name": "mql_score",
        "label": "Score",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    httpx.post(
        f"{bare['hubspot'].url}/crm/v3/properties/contacts", json=body, headers=headers
    ).raise_for_status()
    before = contact_properties()

    done = run(environment, "setup", "hubspot", code=2)
    document = answer(environment, "setup", "hubspot", code=2)

    assert [step["what"] for step in document["steps"] if step["state"] == "differs"] == [
        "contact property mql_score"
    ]
    assert "Nothing was made" in done.stdout
    assert contact_properties() == before


def test_the_administrators_token_is_used_once_and_kept_nowhere(
    environment: dict[str, str], tmp_path: Path
) -> None:
    weak = {**environment, "HUBSPOT_ACCESS_TOKEN": READ_ONLY_TOKEN}

    refused = run(weak, "setup", "hubspot", "--json", code=2)
    done = run({**weak, "HUBSPOT_ADMIN_TOKEN": FULL_TOKEN}, "setup", "hubspot", "--json", code=3)
    answer(weak, "check", "hubspot", code=None)

    assert json.loads(refused.stdout)["error"]["next_step"]
    assert states(json.loads(done.stdout))["made"] > 8
    assert FULL_TOKEN not in done.stdout + done.stderr
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert FULL_TOKEN.encode() not in kept


@pytest.mark.parametrize("crm", CRMS)
def test_the_fields_as_files_go_into_a_new_folder_and_no_call_is_sent(
    environment: dict[str, str], bare: RunningSandboxes, tmp_path: Path, crm: str
) -> None:
    folder, mine = tmp_path / "source", tmp_path / "mine"
    mine.mkdir()
    (mine / "work.txt").write_text("of months")
    without = {name: value for name, value in environment.items() if name.startswith("CONNECTOR")}

    document = answer(without, "setup", crm, "--as-source", str(folder))
    refused = answer(without, "setup", crm, "--as-source", str(mine), code=2)
    twice = answer(without, "setup", crm, "--as-source", str(folder), code=2)

    assert len(document["files"]) > 8
    assert all((folder / name).is_file() for name in document["files"])
    assert "not empty" in refused["error"]["message"]
    assert "not empty" in twice["error"]["message"]
    assert [path.name for path in mine.iterdir()] == ["work.txt"]
    assert not bare[crm].log.calls()


def test_an_unconnected_crm_and_a_missing_mapping_are_exit_2(
    environment: dict[str, str], tmp_path: Path
) -> None:
    bare = {name: value for name, value in environment.items() if name.startswith("CONNECTOR")}

    no_credentials = answer(bare, "setup", "hubspot", code=2)
    no_file = answer({**environment, "CONNECTOR_MAPPINGS_DIR": str(tmp_path)}, "setup", "hubspot", code=2)
    no_crm = answer(environment, "setup", "hubpsot", code=2)

    assert "HUBSPOT_ACCESS_TOKEN" in no_credentials["error"]["next_step"]
    assert "connector init" in no_file["error"]["next_step"]
    assert "hubspot" in no_crm["error"]["next_step"]


@pytest.mark.parametrize(
    ("crm", "variable"),
    [("hubspot", "HUBSPOT_ADMIN_TOKEN"), ("salesforce", "SALESFORCE_ADMIN_CLIENT_SECRET")],
)
def test_a_refused_administrator_is_told_by_the_variable_that_is_wrong(
    environment: dict[str, str], crm: str, variable: str
) -> None:
    error = answer({**environment, variable: "opens-nothing"}, "setup", crm, code=2)["error"]

    assert variable in error["next_step"]
    assert "opens-nothing" not in json.dumps(error)


def test_before_set_up_the_fields_that_are_not_there_are_warned_of_once_an_object_and_nothing_is_called_applied(
    environment: dict[str, str],
) -> None:
    done = run(environment, "sync", "salesforce", "--plan-only", code=0)
    plans = answer(environment, "plan", "list")["plans"]

    assert done.stderr.count("salesforce_fields_hidden") == 2
    assert [plan["status"] for plan in plans] == ["empty"]
