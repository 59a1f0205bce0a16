"""A plan as an admin reviews it at the console: head, groups, filters, exports, names. Real processes, real HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.app.commands.init import shipped
from connector.app.wiring import plugins
from connector.sandbox.clock import SandboxClock
from connector.sandbox.population import make_population
from connector.sandbox.server import serve
from tests.stories.test_cli import answer, run


@pytest.fixture
def rehearsed(sqlite_url: str) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
    """An environment in which a plan of each CRM waits."""
    clock = SandboxClock()
    population = make_population(40, 5, clock.now())
    with serve([plugin.build_sandbox(population, clock) for plugin in plugins().values()]) as up:
        environment = {
            **up.environment(), "CONNECTOR_DATABASE_URL": sqlite_url, "CONNECTOR_MAPPINGS_DIR": str(shipped())
        }  # fmt: skip
        yield environment, answer(environment, "sync", "--plan-only", code=3)["plans"]


def test_a_plan_is_shown_filtered_and_exported_with_everything(
    rehearsed: tuple[dict[str, str], dict[str, int]], tmp_path: Path
) -> None:
    environment, plans = rehearsed
    hubspot, salesforce = str(plans["hubspot"]), str(plans["salesforce"])

    whole = answer(environment, "plan", "show", hubspot, "--rows", "1000")
    assert (whole["status"], whole["kind"], whole["crm"]) == ("open", "sync", "hubspot")
    assert whole["asked_by"]
    assert whole["versions"]["criteria.yaml"] >= 1
    assert set(whole["versions"]) == {"criteria.yaml", "hubspot.yaml", "salesforce.yaml"}
    assert whole["expires_at"] > whole["created_at"]
    matching = whole["matching"]
    assert matching["records"] == len(whole["rows"]) == sum(matching["groups"].values())
    row = next(row for row in whole["rows"] if row["writes"] and row["rules"])
    line = row["fields"][0]
    assert {"stands_now", "would_stand", "write_rule", "rules", "because", "outcome", "name"} <= set(line)
    assert not any("email" in line for row in whole["rows"] for line in row["fields"])

    kind = next(kind for kind, count in matching["groups"].items() if 0 < count < matching["records"])
    some = answer(
        environment, "plan", "show", hubspot, "--rows", "1000", "--kind", kind, "--rule", row["rules"][0]
    )
    assert {each["kind"] for each in some["rows"]} <= {kind}
    assert all(row["rules"][0] in each["rules"] for each in some["rows"])
    assert some["matching"]["records"] == len(some["rows"]) < matching["records"]
    one = answer(
        environment, "plan", "show", hubspot, "--record", row["record"], "--field", line["field"], "--email"
    )
    assert [each["record"] for each in one["rows"]] == [row["record"]]
    assert [each["field"] for each in one["rows"][0]["fields"]] == [line["field"]]
    assert "email" in one["rows"][0]["fields"][0]
    leads = answer(environment, "plan", "show", salesforce, "--object", "Lead", "--rows", "1")
    assert leads["matching"]["records"] > len(leads["rows"]) == 1
    him = answer(
        environment, "plan", "show", hubspot, "--person", f"person:{row['person']}", "--status", "waiting"
    )
    assert {each["person"] for each in him["rows"]} == {row["person"]}
    assert (
        "promot"
        in answer(environment, "plan", "show", hubspot, "--kind", "promotions", code=2)["error"]["next_step"]
    )

    spoken = run(environment, "plan", "show", hubspot, "--rows", "5").stdout
    assert f"Plan {hubspot} for hubspot: open" in spoken
    assert "records" in spoken.split("Field by field")[0]

    told = answer(environment, "plan", "export", hubspot, "--out", str(tmp_path / "plan.csv"))
    lines = list(csv.DictReader(io.StringIO((tmp_path / "plan.csv").read_text(encoding="utf-8"))))
    fields = sum(len(each["fields"]) for each in whole["rows"])
    assert told["lines"] == len(lines) == fields
    assert told["records"] == len({each["record"] for each in lines}) == matching["records"]
    assert {each["email"] for each in lines} == {""}
    as_document = json.loads(run(environment, "plan", "export", hubspot, "--format", "json").stdout)
    assert len(as_document["lines"]) == fields
    assert as_document["plan"] == int(hubspot)
    assert json.loads(run(environment, "plan", "export", hubspot, "--json", "--kind", kind).stdout)["lines"]
    run(environment, "plan", "export", hubspot, "--out", str(tmp_path / "plan.csv"), code=2)


def test_approve_apply_and_discard_are_told_with_their_names(
    rehearsed: tuple[dict[str, str], dict[str, int]],
) -> None:
    environment, plans = rehearsed
    hubspot, salesforce = str(plans["hubspot"]), str(plans["salesforce"])

    approved = answer(environment, "plan", "approve", hubspot, "--as", "Grace", "--note", "looks right")
    listed = {each["plan"]: each for each in answer(environment, "plan", "list", "--open")["plans"]}
    applied = answer(environment, "plan", "apply", hubspot, "--as", "Ada", code=None)
    answer(environment, "plan", "discard", salesforce, "--as", "Sam")
    after = answer(environment, "plan", "show", hubspot, "--status", "written", "--rows", "3")
    spoken = run(environment, "plan", "show", hubspot, "--rows", "0").stdout

    assert (approved["approved_by"], approved["approval_note"]) == ("Grace", "looks right")
    assert listed.keys() == {plans["hubspot"], plans["salesforce"]}
    assert listed[plans["hubspot"]]["approved_by"] == "Grace"
    assert applied["by"] == "Ada"
    assert after["matching"]["records"] == applied["written"] > 3
    assert {each["act"] for each in after["acts"]} >= {"approve plan", "apply plan"}
    assert "approved by Grace" in spoken
    assert "apply plan, Ada" in spoken
    assert answer(environment, "plan", "list", "--open")["plans"] == []
    assert "applied, not open" in answer(environment, "plan", "apply", hubspot, code=2)["error"]["message"]
    assert "discarded" in answer(environment, "plan", "approve", salesforce, code=2)["error"]["message"]
