"""`connector undo` and `connector holds` as people type them. Real processes, real HTTP."""

from __future__ import annotations

from tests.stories.test_cli import answer, environment, run, running

__all__ = ["environment", "running"]


def test_an_undo_waits_says_what_comes_back_and_what_cannot_and_is_applied(
    environment: dict[str, str],
) -> None:
    first = answer(environment, "sync", "--yes", code=None)["run"]

    told = run(environment, "undo", str(first), "--as", "Ada", "--why", "wrong segment", code=3).stdout

    assert "go back to what stood there before run" in told
    assert "does not come back: mails" in told
    assert "`connector plan apply" in told
    plans = [plan for plan in answer(environment, "plan", "list")["plans"] if plan["status"] == "open"]
    assert {(plan["kind"], plan["undoes"], plan["asked_by"]) for plan in plans} == {("undo", first, "Ada")}
    for plan in plans:
        shown = answer(environment, "plan", "show", str(plan["plan"]))
        assert shown["rows"][0]["because"] == f"undo of run {first} by Ada: wrong segment"
        assert {write["rule"] for write in shown["rows"][0]["writes"]} == {"undo"}
        done = answer(environment, "plan", "apply", str(plan["plan"]))
        assert done["written"] == sum(plan["counts"].values())
    assert "nothing to take back" in run(environment, "undo", str(first), "--yes").stdout


def test_an_undo_with_yes_holds_its_fields_until_they_are_released(environment: dict[str, str]) -> None:
    first = answer(environment, "sync", "--yes", code=None)["run"]

    undone = answer(environment, "undo", str(first), "--crm", "hubspot", "--yes")

    assert undone["crms"].keys() == {"hubspot"}
    assert undone["crms"]["hubspot"]["written"] == undone["undo"]["crms"]["hubspot"]["records"] > 0
    held = answer(environment, "holds", "list", "--kind", "undone")["holds"]
    assert {hold["run"] for hold in held} == {first}
    record = held[0]["record"]
    fields = [hold["field"] for hold in held if hold["record"] == record]
    explained = answer(environment, "explain", record)
    assert {hold["field"] for hold in explained["holds"] if hold["record"] == record} == set(fields)
    assert "left alone:" in run(environment, "explain", record).stdout

    one = answer(environment, "holds", "release", "--record", record, "--field", fields[0], "--as", "Grace")
    assert [hold["field"] for hold in one["released"]] == [fields[0]]
    all_ = answer(environment, "holds", "release", "--run", str(first))
    assert len(all_["released"]) == len(held) - 1
    assert answer(environment, "holds", "list")["holds"] == []
    again = answer(environment, "sync", "--yes", code=None)
    assert again["crms"]["hubspot"]["written"] == undone["crms"]["hubspot"]["written"]


def test_what_makes_no_sense_is_refused_with_the_next_step(environment: dict[str, str]) -> None:
    assert "connector runs list" in run(environment, "undo", "99", code=2).stderr
    first = answer(environment, "sync", "hubspot", "--yes", code=None)["run"]
    assert "It was of hubspot" in run(environment, "undo", str(first), "--crm", "salesforce", code=2).stderr
    assert "Give --run RUN" in run(environment, "holds", "release", code=2).stderr
    assert "crm:object:id" in run(environment, "holds", "list", "--record", "151", code=2).stderr
