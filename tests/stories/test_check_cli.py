"""`connector check`: everything that is wrong at once, each with the next step. Real processes, real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import RunningSandboxes, serve
from tests.stories.test_cli import answer, run

WRONG_TOKEN = "pat-na1-11111111-2222-3333-4444-555555555555"


@pytest.fixture
def running() -> Iterator[RunningSandboxes]:
    clock = SandboxClock()
    population = make_population(30, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        yield up


@pytest.fixture
def environment(running: RunningSandboxes, tmp_path: Path) -> dict[str, str]:
    """Connected to both, with a copy of the shipped files to spoil."""
    run({}, "init", str(tmp_path / "mine"))
    return {
        **running.environment(),
        "CONNECTOR_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "CONNECTOR_MAPPINGS_DIR": str(tmp_path / "mine"),
    }


def spoil(environment: dict[str, str], file: str, find: str, replace: str) -> None:
    path = Path(environment["CONNECTOR_MAPPINGS_DIR"]) / file
    text = path.read_text()
    assert find in text
    path.write_text(text.replace(find, replace, 1))


def findings(document: dict[str, Any], crm: str | None = None) -> list[dict[str, str]]:
    found: list[dict[str, str]] = document["crms"][crm]["findings"] if crm else document["findings"]
    return found


def test_the_shipped_files_hold_against_both_crms(environment: dict[str, str]) -> None:
    document = answer(environment, "check")

    assert document["problems"] == 0
    assert all(each["connected"] and each["account"]["id"] for each in document["crms"].values())
    for crm, status in (("hubspot", "hs_lead_status"), ("salesforce", "Status")):
        used = [each for each in document["crms"][crm]["values"] if each["field"] == status]
        assert {each["counts_as"] for each in used} >= {"working", "rejected"}
        assert all(each["records"] > 0 for each in used)


def test_everything_that_is_wrong_is_told_in_one_go(environment: dict[str, str]) -> None:
    spoil(environment, "criteria.yaml", "weights:", "wieghts:")
    spoil(environment, "salesforce.yaml", "to: MQL_Score__c", "to: MQL_Scoer__c")
    spoil(environment, "salesforce.yaml", "title: Title", "title: Titel")
    spoil(environment, "salesforce.yaml", "accepted: [Closed - Converted]", "accepted: [Closed - Convertet]")
    wrong = {**environment, "HUBSPOT_ACCESS_TOKEN": WRONG_TOKEN, "CONNECTOR_TIMEZONE": "Mars/Olympus"}

    done = run(wrong, "check", "--json", code=2)

    document = json.loads(done.stdout)
    assert any("CONNECTOR_TIMEZONE" in each["what"] for each in findings(document))
    assert any("wieghts" in each["what"] and "weights" in each["what"] for each in findings(document))
    [refused] = [each for each in findings(document, "hubspot") if each["level"] == "problem"]
    assert "token" in (refused["what"] + refused["next_step"]).lower()
    told = {each["where"]: each["what"] for each in findings(document, "salesforce")}
    assert "MQL_Score__c" in told["Lead.MQL_Scoer__c"]
    assert "Title" in told["Lead.Titel"]
    assert "Closed - Converted" in told["Lead.Status"]
    assert document["problems"] == sum(
        each["level"] == "problem"
        for each in [*findings(document), *findings(document, "hubspot"), *findings(document, "salesforce")]
    )
    everything = [each for crm in document["crms"] for each in findings(document, crm)]
    assert all(each["next_step"] for each in everything if each["level"] != "note")
    assert WRONG_TOKEN not in done.stdout + done.stderr


def test_people_read_the_same_problems_first_and_the_next_step_below(environment: dict[str, str]) -> None:
    spoil(environment, "hubspot.yaml", "to: mql_score", "to: mql_scoer")

    said = run(environment, "check", "hubspot", code=2).stdout

    assert "problem  contact.mql_scoer" in said
    assert "-> `connector setup hubspot`" in said
    assert re.search(r"in use   contact.hs_lead_status UNQUALIFIED: \d+ -> rejected", said)
    assert "Salesforce (" not in said


def test_results_that_a_field_cannot_take_are_problems(environment: dict[str, str]) -> None:
    spoil(environment, "hubspot.yaml", "to: mql_score", "to: jobtitle")
    spoil(environment, "hubspot.yaml", "{result: since, to: mql_since", "{result: since, to: country")

    document = answer(environment, "check", "hubspot", code=2)

    told = {
        each["where"]: each["what"] for each in findings(document, "hubspot") if each["level"] == "problem"
    }
    assert "we write whole numbers" in told["contact.jobtitle"]
    assert "we write date and time" in told["contact.country"]


def test_a_stage_that_the_account_has_not_is_told_with_the_nearest(environment: dict[str, str]) -> None:
    spoil(environment, "hubspot.yaml", "mql: marketingqualifiedlead", "mql: marketingqualifiedlaed")

    document = answer(environment, "check", "hubspot", code=2)

    told = [each for each in findings(document, "hubspot") if each["where"] == "contact.lifecyclestage"]
    [stage] = [each for each in told if each["level"] == "problem"]
    assert any(
        "`marketingqualifiedlead` stands on" in each["what"] for each in told
    )  # what is in use instead
    assert "nearest: marketingqualifiedlead" in stage["what"]


def test_a_clock_that_is_off_is_told(environment: dict[str, str], running: RunningSandboxes) -> None:
    running["salesforce"].clock.advance(timedelta(minutes=10))

    document = answer(environment, "check", "salesforce")

    [clock] = [each for each in findings(document, "salesforce") if each["where"] == "clock"]
    assert clock["level"] == "warning"
    assert "NTP" in clock["next_step"] or "clock" in clock["next_step"]


def test_files_that_differ_from_the_version_in_force_are_told(environment: dict[str, str]) -> None:
    answer(environment, "sync", "--plan-only", code=None)
    assert not [each for each in findings(answer(environment, "check")) if each["where"] == "files"]

    spoil(environment, "criteria.yaml", "min_change: 3", "min_change: 4")
    document = answer(environment, "check")
    by_console = answer({**environment, "CONNECTOR_CONFIG_OWNER": "console"}, "check")

    [told] = [each for each in findings(document) if each["where"] == "files"]
    assert (told["level"], "criteria.yaml" in told["what"]) == ("note", True)
    assert [each["level"] for each in findings(by_console) if each["where"] == "files"] == ["warning"]


def test_a_ledger_of_another_account_is_told_and_nothing_is_bound_by_looking(
    environment: dict[str, str],
) -> None:
    clock = SandboxClock()
    with serve(
        [plugins()["salesforce"].build_sandbox(make_population(5, 99, clock.now()), clock)]
    ) as another:
        other = {**environment, **another.environment()}
        assert answer(other, "check", "salesforce")["problems"] == 0  # looking does not bind

        answer(environment, "sync", "salesforce", "--plan-only", code=None)
        document = answer(other, "check", "salesforce", code=2)

    [told] = [each for each in findings(document, "salesforce") if each["where"] == "account"]
    assert "belongs to account" in told["what"]


def test_a_database_that_is_away_hides_no_crm(environment: dict[str, str]) -> None:
    away = {**environment, "CONNECTOR_DATABASE_URL": "postgresql+psycopg://u:pa55word@127.0.0.1:9/ledger"}

    done = run(away, "check", "--json", code=2)

    document = json.loads(done.stdout)
    assert any("CONNECTOR_DATABASE_URL" in each["where"] for each in findings(document))
    assert document["crms"]["salesforce"]["account"]
    assert "pa55word" not in done.stdout + done.stderr


def test_a_crm_without_credentials_is_a_note_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    half = {name: value for name, value in environment.items() if not name.startswith("SALESFORCE")}

    everything = answer(half, "check")
    named = answer(half, "check", "salesforce", code=2)

    assert [each["level"] for each in findings(everything, "salesforce")] == ["note"]
    assert [each["level"] for each in findings(named, "salesforce")] == ["problem"]


def test_the_request_for_access_needs_no_credentials_and_sends_nothing(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    bare = {name: value for name, value in environment.items() if name.startswith("CONNECTOR")}

    document = answer(bare, "check", "--access")
    said = run({}, "check", "hubspot", "--access").stdout

    assert set(document["crms"]) == set(running.crms)
    assert "Access to HubSpot" in said
    assert not any(running[crm].log.calls() for crm in running.crms)


def test_a_misspelt_variable_is_told_and_others_variables_are_not(environment: dict[str, str]) -> None:
    more = {
        "CONNECTOR_TIMEZON": "UTC",
        "HUBSPOT_DAILYSHARE": "0.2",
        "HUBSPOT_PORTAL": "1",
        "CONNECTOR_XYZ": "1",
    }

    document = answer({**environment, **more}, "check", "hubspot")

    told = [each["what"] for each in findings(document) if each["where"] == "settings"]
    assert len(told) == 2
    assert "CONNECTOR_TIMEZONE" in told[0]
    assert "HUBSPOT_DAILY_SHARE" in told[1]


def test_a_deep_check_picks_no_record_by_itself(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    for words in (["--deep"], ["hubspot", "--deep"], ["hubspot", "--record", "1"]):
        error = answer(environment, "check", *words, code=2)["error"]
        assert "--record" in error["next_step"]
    two = answer(environment, "check", "--deep", "--record", "1", code=2)["error"]
    unclear = answer(environment, "check", "salesforce", "--deep", "--record", "00Q000000000001AAA", code=2)[
        "error"
    ]
    gone = answer(environment, "check", "hubspot", "--deep", "--record", "999999999", code=2)["error"]

    assert "one CRM" in two["message"]
    assert "Lead:00Q" in unclear["next_step"]
    assert "There is no contact" in gone["message"]
    assert not [write for crm in running.crms for write in running[crm].log.writes() if write.by == "api"]


def values(running: RunningSandboxes, crm: str, object: str, id: str) -> dict[str, Any]:
    raw = running[crm].raw(object, id)
    return {**raw, **raw.get("properties", {})}


@pytest.mark.parametrize("crm", sorted(plugins()))
def test_what_a_deep_check_finds_is_kept_and_the_record_is_as_before(
    environment: dict[str, str], running: RunningSandboxes, crm: str
) -> None:
    rehearsed = answer(environment, "sync", "--plan-only", code=None)
    plan = answer(environment, "plan", "show", str(rehearsed["plans"][crm]))
    ref = plan["rows"][0]["record"]
    _, object, id = ref.split(":")
    before = values(running, crm, object, id)

    probed = answer(environment, "check", crm, "--deep", "--record", ref, code=None)["probed"]
    after = values(running, crm, object, id)
    touched = {write.id for write in running[crm].log.writes() if write.by == "api"}
    document = answer(environment, "check", crm, code=None)["crms"][crm]

    assert probed
    assert {each["probe"] for each in document["learned"]} == {each["probe"] for each in probed}
    switched = {each["switch"]: each["value"] for each in probed if each["switch"]}
    assert switched, "a probe that changes nothing need not be kept"
    for switch in document["switches"]:
        if switch["switch"] in switched:
            assert switch["value"] == switched[switch["switch"]]
            assert switch["learned_at"]
    written = ("lifecyclestage", "lifecycle_stage__c")  # the dates that a vendor keeps of its stages do move
    ours = [name for name in before if name.lower().startswith("mql_") or name.lower() in written]
    assert ours
    assert {name: before.get(name) for name in ours} == {name: after.get(name) for name in ours}
    assert touched <= {id}, "no record but the one named"


def test_mapping_check_tells_the_fields_alone(environment: dict[str, str]) -> None:
    spoil(environment, "hubspot.yaml", "to: mql_score", "to: mql_scoer")

    document = answer(environment, "mapping", "check", code=2)

    assert document["checked_live"] == ["hubspot", "salesforce"]
    assert [line for line in document["problems"]["hubspot"] if "mql_scoer" in line]
    assert document["problems"]["salesforce"] == []
    assert not Path(environment["CONNECTOR_DATABASE_URL"].removeprefix("sqlite:///")).exists()


def test_names_that_an_import_left_are_problems(environment: dict[str, str]) -> None:
    spoil(
        environment,
        "hubspot.yaml",
        "    source_of: [meeting_booked]\n",
        '    source_of: [meeting_booked]\n    ignore: [{field: formId, is: "${form:Gone}"}]\n',
    )

    document = answer(environment, "check", "hubspot", code=2)

    assert any("${form:Gone}" in each["what"] for each in findings(document, "hubspot"))


def test_that_no_crm_is_connected_is_a_problem_and_not_all_well(environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if name.startswith("CONNECTOR")}

    document = answer(bare, "check", code=2)

    [told] = [each for each in findings(document) if each["level"] == "problem"]
    assert (told["where"], told["what"]) == ("credentials", "No CRM is connected.")
    assert told["next_step"]


def test_a_mapping_that_cannot_be_read_is_not_called_all_well(environment: dict[str, str]) -> None:
    spoil(environment, "hubspot.yaml", "rule: always", "rule: allways")

    document = answer(environment, "check", code=2)

    [wrong] = [each for each in findings(document) if each["level"] == "problem"]
    place, line, column = wrong["where"].rsplit(":", 2)
    assert place.endswith("hubspot.yaml")
    assert int(line) > 1
    assert int(column) > 1
    assert "Did you mean `always`?" in wrong["what"]
    assert [each["where"] for each in findings(document, "hubspot")] == ["hubspot.yaml"]
    assert not [each for each in findings(document, "salesforce") if each["level"] == "problem"]


def test_an_address_that_is_refused_is_not_answered_with_advice_about_tokens(
    environment: dict[str, str],
) -> None:
    wrong = {**environment, "HUBSPOT_BASE_URL": "http://hubspot.example"}

    [told] = findings(answer(wrong, "check", "hubspot", code=2), "hubspot")

    assert told["what"].startswith("HUBSPOT_BASE_URL: would send credentials to hubspot.example")
    assert "https://" in told["what"]
    assert "TOKEN" not in told["next_step"]


def test_a_rule_about_a_field_that_no_mapping_fills_is_told(environment: dict[str, str]) -> None:
    for crm in ("hubspot", "salesforce"):
        path = Path(environment["CONNECTOR_MAPPINGS_DIR"]) / f"{crm}.yaml"
        path.write_text("".join(line for line in path.open() if not line.strip().startswith("country:")))
    spoil(
        environment,
        "criteria.yaml",
        "\nfit:\n",
        "\nfit:\n  - {id: far, when: {field: country, is: NZ}, points: 1}\n"
        "  - {id: slip, when: {field: citty, is: Kiel}, points: 1}\n",
    )

    document = answer(environment, "check", code=None)

    silent, slip = (
        next(
            each
            for each in findings(document)
            if f"`{name}`" in each["what"] and "no mapping" in each["what"]
        )
        for name in ("country", "citty")
    )
    assert (silent["level"], slip["level"]) == ("note", "warning")
    assert "nearest: city" in slip["what"]
    assert silent["next_step"]


def test_workflows_that_write_our_fields_are_warnings_and_those_that_listen_are_notes(
    environment: dict[str, str], running: RunningSandboxes
) -> None:
    for name, given in (
        ("Tug", {"when": "mql_status", "equals": "qualified", "sets": "mql_score", "to": "0"}),
        ("Mailer", {"when": "mql_band", "sets": "jobtitle", "to": "x"}),
    ):
        running["hubspot"].create("workflows", {"name": name, **given})

    told = findings(answer(environment, "check", "hubspot"), "hubspot")

    [tug] = [each for each in told if each["level"] == "warning" and "Tug" in each["what"]]
    assert tug["where"] == "contact.mql_score"
    assert "there may be others" in tug["what"]
    assert "Automation > Workflows" in tug["next_step"]
    listening = {each["where"] for each in told if each["level"] == "note" and "acts on" in each["what"]}
    assert listening == {"contact.mql_status", "contact.mql_band"}
    assert any(each["where"] == "automations" and "no scoring" in each["what"] for each in told)


def test_workflows_that_may_not_be_looked_into_are_a_note_and_no_problem(environment: dict[str, str]) -> None:
    lacking = {**environment, "HUBSPOT_ACCESS_TOKEN": "pat-eu1-sandbox-no-automation"}

    told = findings(answer(lacking, "check", "hubspot"), "hubspot")

    assert any(each["level"] == "note" and "lacks the scope `automation`" in each["what"] for each in told)
    assert not any("automation" in each["what"] for each in told if each["level"] != "note")
