"""`connector config`: a definition moves between accounts in which the same things have other ids. Real processes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from connector.app.wiring import plugins
from connector.sandbox import words
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, SandboxApp, serve
from tests.stories.test_cli import answer, run

GONE = words.FORMS[-1][0]  # a form that production has not


def account(*, production: bool) -> tuple[SandboxApp, dict[str, str]]:
    """A HubSpot account, and the ids of its forms by name; in production every form has another id."""
    clock = SandboxClock()
    app = cast("SandboxApp", plugins()["hubspot"].build_sandbox(make_population(10, 5, clock.now()), clock))
    store: Any = app.store
    if production:
        moved = {f"ffff{guid[4:]}": form for guid, form in store.forms.items() if form.name != GONE}
        store.forms = {guid: replace(form, guid=guid) for guid, form in moved.items()}
    return app, {form.name: guid for guid, form in store.forms.items()}


@pytest.fixture
def here() -> Iterator[tuple[RunningSandboxes, dict[str, str]]]:
    app, forms = account(production=False)
    with serve([app]) as up:
        yield up, forms


@pytest.fixture
def there() -> Iterator[tuple[RunningSandboxes, dict[str, str]]]:
    app, forms = account(production=True)
    with serve([app]) as up:
        yield up, forms


Account = tuple[RunningSandboxes, dict[str, str]]


@pytest.fixture
def environment(here: Account, tmp_path: Path) -> dict[str, str]:
    """Connected to the first account, with a mapping that names one of its forms by id."""
    up, forms = here
    run({}, "init", str(tmp_path / "mine"))
    name_a_form(tmp_path / "mine", next(iter(forms.values())))
    return {
        **up.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'here.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(tmp_path / "mine"),
    }


@pytest.fixture
def other(there: Account, tmp_path: Path) -> dict[str, str]:
    """Connected to the second account, with a folder that does not exist yet."""
    return {
        **there[0].environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'there.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(tmp_path / "theirs"),
    }


def name_a_form(folder: Path, guid: str) -> None:
    """Let the mapping ignore this form; a form named before is forgotten."""
    path = folder / "hubspot.yaml"
    line = "    types:                                  # the first line that holds"
    text = re.sub(r"    ignore: \[\{field: formId.*\n", "", path.read_text())
    assert line in text
    path.write_text(
        text.replace(line, f"    ignore: [{{field: formId, is: {guid}}}]   # not a lead\n{line}", 1)
    )


def env_file(environment: dict[str, str], path: Path) -> Path:
    """As `connector sandbox` prints them."""
    path.write_text(
        "# production\n" + "".join(f"export {name}={value}\n" for name, value in environment.items())
    )
    return path


def test_ids_become_those_of_the_account_that_imports(
    environment: dict[str, str], other: dict[str, str], here: Account, there: Account, tmp_path: Path
) -> None:
    archive = tmp_path / "definition.zip"

    exported = answer(environment, "config", "export", str(archive), code=3)  # Salesforce is not connected
    imported = answer(other, "config", "import", str(archive), code=3)

    with zipfile.ZipFile(archive) as packed:
        between = packed.read("hubspot.yaml").decode()
        names = set(packed.namelist())
    mine = (tmp_path / "mine" / "hubspot.yaml").read_text()
    theirs = (tmp_path / "theirs" / "hubspot.yaml").read_text()
    [guid] = [guid for guid in here[1].values() if guid in mine]
    [name] = [name for name, each in here[1].items() if each == guid]
    assert {"criteria.yaml", "salesforce.yaml", "lists/competitors.csv", "manifest.json"} <= names
    assert guid not in between
    assert f"${{form:{name}}}" in between
    assert guid not in theirs
    assert there[1][name] in theirs
    assert "# not a lead" in theirs  # comments stay
    assert "# Without a scope every contact is in scope" in theirs
    assert exported["ids_kept"] == imported["not_connected"] == ["salesforce"]
    assert answer(other, "check")["problems"] == 0


def test_what_the_other_account_lacks_stops_the_import_until_it_is_wanted_so(
    environment: dict[str, str], other: dict[str, str], here: Account, tmp_path: Path
) -> None:
    name_a_form(tmp_path / "mine", here[1][GONE])
    answer(environment, "config", "export", str(tmp_path / "export"), code=None)

    stopped = answer(other, "config", "import", str(tmp_path / "export"), code=2)
    nothing = not (tmp_path / "theirs").exists()
    partial = answer(other, "config", "import", str(tmp_path / "export"), "--partial", code=3)
    checked = answer(other, "check", "hubspot", code=2)

    [gap] = stopped["gaps"]["hubspot"]
    assert (gap["kind"], gap["name"]) == ("form", GONE)
    assert stopped["written"] == []
    assert nothing
    assert "hubspot.yaml" in partial["written"]
    told = [each["what"] for each in checked["crms"]["hubspot"]["findings"] if each["level"] == "problem"]
    assert any(f"${{form:{GONE}}}" in what for what in told)


def test_files_that_are_there_are_replaced_only_when_told(
    environment: dict[str, str], other: dict[str, str], tmp_path: Path
) -> None:
    answer(environment, "config", "export", str(tmp_path / "export"), code=None)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "criteria.yaml").write_text("mine: own\n")

    refused = answer(other, "config", "import", str(tmp_path / "export"), code=2)
    kept = (tmp_path / "theirs" / "criteria.yaml").read_text()
    answer(other, "config", "import", str(tmp_path / "export"), "--overwrite", code=None)

    assert "criteria.yaml" in refused["error"]["message"]
    assert kept == "mine: own\n"
    assert (tmp_path / "theirs" / "criteria.yaml").read_text() == (
        tmp_path / "mine" / "criteria.yaml"
    ).read_text()
    again = answer(environment, "config", "export", str(tmp_path / "export"), code=2)
    assert "there already" in again["error"]["message"]


def test_both_accounts_are_compared_before_anything_moves(
    environment: dict[str, str], other: dict[str, str], here: Account, tmp_path: Path
) -> None:
    production = env_file(other, tmp_path / "production.env")

    alike = answer(environment, "config", "check", "--against", str(production))
    name_a_form(tmp_path / "mine", here[1][GONE])
    done = run(environment, "config", "check", "--against", str(production), "--json", code=2)
    said = run(environment, "config", "check", "--against", str(production), code=2).stdout

    assert alike["crms"]["hubspot"]["gaps"] == []
    assert [named["label"] for named in alike["crms"]["hubspot"]["only_here"]] == [GONE]
    assert f"form `{GONE}` is not there" in said
    for value in (other["HUBSPOT_ACCESS_TOKEN"], environment["HUBSPOT_ACCESS_TOKEN"]):
        assert value not in done.stdout + done.stderr + said


def test_a_file_that_is_no_environment_or_no_export_is_exit_2(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "prose.env").write_text("this is a letter to a friend")
    (tmp_path / "empty.env").write_text("")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("manifest.json", '{"format": 1}')
        archive.writestr("../criteria.yaml", "x: 1")
    (tmp_path / "not.zip").write_text("no archive")

    for command in (
        ("check", "--against", "prose.env"),
        ("check", "--against", "empty.env"),
        ("check", "--against", "missing.env"),
        ("import", "evil.zip"),
        ("import", "not.zip"),
        ("import", "missing"),
    ):
        path = str(tmp_path / command[-1])
        error = answer(environment, "config", *command[:-1], path, code=2)["error"]
        assert error["message"], command
    assert not (tmp_path.parent / "criteria.yaml").exists()


def test_the_version_in_force_is_what_travels(environment: dict[str, str], tmp_path: Path) -> None:
    answer(environment, "sync", "--plan-only", code=None)
    path = tmp_path / "mine" / "criteria.yaml"
    path.write_text(path.read_text().replace("min_change: 3", "min_change: 9"))

    document = answer(environment, "config", "export", str(tmp_path / "export"), code=None)

    assert document["version"] == 1
    assert "min_change: 3" in (tmp_path / "export" / "criteria.yaml").read_text()


def test_a_campaign_of_an_org_travels_by_its_name(tmp_path: Path) -> None:
    clock = SandboxClock()
    app = plugins()["salesforce"].build_sandbox(make_population(10, 5, clock.now()), clock)
    store: Any = cast("SandboxApp", app).store
    campaign = next(iter(store.tables["Campaign"].rows.values()))
    run({}, "init", str(tmp_path / "mine"))
    (tmp_path / "mine" / "hubspot.yaml").unlink()
    path = tmp_path / "mine" / "salesforce.yaml"
    line = "      - {all: [{field: HasResponded, is: false}"
    assert line in path.read_text()
    path.write_text(
        path.read_text().replace(line, f"      - {{field: CampaignId, is: {campaign['Id']}}}\n{line}", 1)
    )
    with serve([cast("SandboxApp", app)]) as up:
        environment = {
            **up.environment(),
            "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
            "CONNECTOR_MAPPINGS_DIR": str(tmp_path / "mine"),
        }
        answer(environment, "config", "export", str(tmp_path / "export"))
        answer(
            environment, "config", "import", str(tmp_path / "export"), "--mappings", str(tmp_path / "again")
        )

    between = (tmp_path / "export" / "salesforce.yaml").read_text()
    assert campaign["Id"] not in between
    assert f"${{campaign:{campaign['Name']}}}" in between
    assert campaign["Id"] in (tmp_path / "again" / "salesforce.yaml").read_text()
