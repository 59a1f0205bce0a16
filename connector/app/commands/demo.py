"""`connector demo`: the whole product on a made-up world, told as a story. No account, no key, no file."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from connector.app.commands.explain import document as person_document
from connector.app.commands.explain import reasons
from connector.app.commands.init import shipped
from connector.app.commands.sandbox import started, until_stopped
from connector.app.commands.sync import exit_code, report, run_once
from connector.app.exits import FAILED, OK
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.settings import Settings, load_settings
from connector.app.wiring import chosen, plugins, wired
from connector.pipeline import RunResult
from connector.ports import PersonView
from connector.sandbox.server import RunningSandboxes

EXAMPLES = 3


def demo(*, people: int, seed: int, serve: bool, json: bool) -> int:
    """Both sandboxes, two syncs, what they found. 1 when the second sync wrote anything."""
    began = time.monotonic()
    with ExitStack() as stack:
        running = stack.enter_context(started(chosen([]), people=people, seed=seed))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-demo-")))
        settings = load_settings(database_url=f"sqlite:///{folder / 'demo.db'}", mappings_dir=shipped())
        configure(settings)
        if not json:
            _introduce(running, people, seed)
        first, second, mqls, writes, second_writes = asyncio.run(_story(settings, running, json))
        seconds = time.monotonic() - began
        if json:
            print_json(
                {
                    "first": first.document(),
                    "second": second.document(),
                    "examples": [person_document(person, []) for person in mqls[:EXAMPLES]],
                    "writes": {crm: dict(fields) for crm, fields in writes.items()},
                    "second_sync_writes": second_writes,
                    "seconds": round(seconds, 1),
                    "environment": running.environment() if serve else {},
                }
            )
        else:
            _tell(first, second, mqls, writes, second_writes, seconds)
        if serve:
            if not json:
                out.print("\nThe sandboxes stay up. In another shell:")
                for name, value in running.environment().items():
                    out.print(f"export {name}={value}")
                out.print("Stop with Ctrl-C.")
            until_stopped()
    calm = second_writes == 0 and exit_code(first) in (0, 3) and first.status == "succeeded"
    return OK if calm else FAILED


async def _story(
    settings: Settings, running: RunningSandboxes, json: bool
) -> tuple[RunResult, RunResult, list[PersonView], dict[str, Counter[str]], int]:
    async with wired(settings, environ=running.environment()) as parts:
        first = await run_once(parts, yes=True, quiet=json)
        writes = {crm: _written(running, crm) for crm in running.crms}
        before = {crm: len(running[crm].log.writes()) for crm in running.crms}
        second = await run_once(parts, yes=True, quiet=json)
        after = {crm: len(running[crm].log.writes()) for crm in running.crms}
        mqls = await parts.ledger.people(stage="mql", limit=200)
        return first, second, _varied(mqls), writes, sum(after[crm] - before[crm] for crm in after)


def _introduce(running: RunningSandboxes, people: int, seed: int) -> None:
    out.print(f"A made-up world (seed {seed}) is up on this machine:")
    titles = {crm: plugin.title for crm, plugin in plugins().items()}
    for crm in running.crms:
        counts = running[crm].counts()
        biggest = ", ".join(
            f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1])[:4]
        )
        out.print(f"  {titles[crm]:<11} {running.url(crm)}  {biggest}")
    out.print(
        f"\nFirst sync: read everything ({people:,} people in each), decide everybody, write what differs.\n"
    )


def _tell(
    first: RunResult,
    second: RunResult,
    mqls: list[PersonView],
    writes: dict[str, Counter[str]],
    second_writes: int,
    seconds: float,
) -> None:
    report(first)
    out.print(f"\nWho became an MQL, and why ({len(mqls[:EXAMPLES])} of {first.now:,}):")
    for person in mqls[:EXAMPLES]:
        name = (
            " ".join(str(person.fields.get(part) or "") for part in ("first_name", "last_name")).strip()
            or "(no name)"
        )
        company = person.fields.get("company_name")
        out.print(
            f"\n  {name}{f', {company}' if company else ''}  score {person.score.score:.0f}, grade {person.score.grade}"
        )
        for line in reasons(person):
            out.print(f"    {line}")
        out.print(f"    records: {', '.join(str(ref) for ref in person.refs)}")
    out.print("\nWhat was written where (fields changed, by the CRMs' own count):")
    for crm, fields in writes.items():
        said = ", ".join(f"{field} {count:,}" for field, count in fields.most_common(5))
        out.print(f"  {crm}: {said}{', ...' if len(fields) > 5 else ''}")
    verdict = "wrote nothing" if second_writes == 0 else f"wrote {second_writes:,} records: that is a defect"
    calls = ", ".join(f"{counts.calls} calls to {crm}" for crm, counts in second.crms.items())
    out.print(f"\nA second sync over the unchanged world {verdict} ({calls}).")
    out.print(f"All of it took {seconds:.0f} s.\n\nTry next:")
    out.print(
        "  connector demo --serve          leaves the sandboxes up: edit a record, run `connector sync`"
    )
    out.print("  connector explain ADDRESS       why somebody is an MQL, or why not yet")
    out.print("  connector sync --plan-only      what would be written, before it is")
    out.print(
        "  connector init mappings         your own copy of the definition; edit, `connector criteria test`"
    )


def _written(running: RunningSandboxes, crm: str) -> Counter[str]:
    """Fields that the CRM says have changed by API writes."""
    return Counter(
        field
        for write in running[crm].log.writes()
        if write.by == "api" and write.changed
        for field, (before, after) in write.fields.items()
        if before != after
    )


def _varied(people: list[PersonView]) -> list[PersonView]:
    """The highest scores first, but no two examples with the same main reason."""
    varied: list[PersonView] = []
    seen: set[str] = set()
    for person in people:
        reason = person.score.hand_raised or (
            max(person.score.contributions, key=lambda c: c.points).rule if person.score.contributions else ""
        )
        if reason not in seen and any(person.fields.get(name) for name in ("first_name", "last_name")):
            seen.add(reason)
            varied.append(person)
    return varied + [person for person in people if person not in varied]
