"""The docs are read by tests, so that they stay true."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest
import typer.main
import yaml

from connector import errors
from connector.app.cli import app
from connector.app.commands.init import shipped
from connector.app.files import Beside, load_criteria
from connector.app.settings import documented_settings
from connector.app.wiring import plugins
from connector.core.criteria import StageAny, StageEntry
from connector.core.criteria_file import parse_criteria

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("adapters/*/README.md")]
)


def commands(group: click.Group | None = None, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its full name, as a user types it."""
    group = group or typer.main.get_command(app)  # type: ignore[assignment]
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found.update(commands(command, f"{prefix}{name} "))
        else:
            found[f"{prefix}{name}"] = command
    return found


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_stands_in_the_reference(name: str) -> None:
    text = (DOCS / "reference/commands.md").read_text()

    assert re.search(rf"`(connector )?{name}\b", text), f"{name} is missing from docs/reference/commands.md"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = commands()[name]

    assert f"connector {name}" in (command.help or ""), f"{name} shows no example"


def test_every_option_stands_in_the_reference() -> None:
    text = (DOCS / "reference/commands.md").read_text()
    options = {
        opt
        for command in commands().values()
        for param in command.params
        for opt in param.opts
        if opt.startswith("--")
    }

    missing = sorted(option for option in options - {"--help"} if f"`{option}" not in text)

    assert not missing


def test_the_reference_names_no_option_that_is_not_there() -> None:
    text = (DOCS / "reference/commands.md").read_text()
    real = {opt for command in commands().values() for param in command.params for opt in param.opts}

    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))

    assert named - real <= {"--help", "--version"}


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    text = (DOCS / "reference/settings.md").read_text()

    for setting in documented_settings():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{setting.name}`")), None)
        assert row, f"{setting.name} is missing from docs/reference/settings.md"
        assert f"`{setting.default}`" in row or not setting.default, (
            f"{setting.name}: the default is {setting.default}"
        )


def test_every_variable_of_every_adapter_stands_in_the_reference() -> None:
    text = (DOCS / "reference/settings.md").read_text()

    missing = [
        variable.name
        for plugin in plugins().values()
        for variable in (*plugin.variables, *plugin.admin_variables)
        if f"`{variable.name}`" not in text
    ]

    assert not missing


def test_every_error_class_stands_in_the_reference() -> None:
    text = (DOCS / "reference/errors.md").read_text()
    classes = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]

    missing = [name for name in classes if f"`{name}`" not in text]

    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())

    broken = [target for target in targets if not (page.parent / target).exists()]

    assert not broken


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()

    missing = [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if str(page.relative_to(DOCS)) not in navigation
    ]

    assert not missing


def test_the_commands_that_the_docs_show_exist() -> None:
    known = commands()
    for page in PAGES:
        for line in re.findall(
            r"^\s*(?:\.venv/bin/)?connector ([a-z].*)$", page.read_text(), flags=re.MULTILINE
        ):
            words = line.split()
            assert words[0] in known or " ".join(words[:2]) in known, f"{page.name}: connector {line}"


def test_make_knows_the_verbs_that_the_docs_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {verb for page in PAGES for verb in re.findall(r"`?make ([a-z]+)`?", page.read_text())}
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))

    assert {"demo", "test", "check", "docs", "run", "bench"} <= targets
    assert named & {"demo", "test", "check", "docs", "run", "bench", "lock", "format"} <= targets
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("make test")


def test_the_stages_that_hold_when_the_file_says_nothing_are_those_of_the_reference() -> None:
    text = (DOCS / "reference/criteria.md").read_text()
    block = text[: text.index("This is also what holds when the file says nothing")].rpartition("```yaml")[2]

    assert parse_criteria(yaml.safe_load(block.partition("```")[0])).stages == parse_criteria({}).stages


def test_the_points_by_which_the_presets_let_in_stand_on_their_page() -> None:
    (row,) = re.findall(
        r"^\| Enters by points (\|.*)\|$", (DOCS / "explanation/presets.md").read_text(), re.MULTILINE
    )
    told = [cell.strip() for cell in row.strip("|").split("|")]
    found = []
    for file in ("presets/strict.yaml", "criteria.yaml", "presets/broad.yaml"):
        enter = load_criteria(shipped() / file, Beside(shipped())).stages.mql.enter
        assert isinstance(enter, StageAny)
        by_points, by_hand = enter.parts
        assert isinstance(by_points, StageEntry)
        assert by_points.when is not None  # who may be mailed
        assert by_hand == StageEntry(hand_raised=True)
        assert {test.op for test in by_points.tests} == {"gte"}
        found.append(", ".join(f"{test.measure} {test.value:g}" for test in by_points.tests))

    assert told == found
