"""`connector demo`: the whole product on a made-up world, told as a story. No account, no key, no file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from connector.app.commands.init import shipped
from connector.app.commands.sandbox import until_stopped
from connector.app.commands.sync import exit_code, report
from connector.app.exits import FAILED, OK
from connector.app.explain_lines import reasons
from connector.app.explaining import as_decided
from connector.app.log import configure
from connector.app.output import out, print_json
from connector.app.settings import Settings, load_settings
from connector.app.syncing import run_once
from connector.app.wiring import plugins, wired
from connector.core.criteria import Criteria
from connector.errors import StopRun
from connector.pipeline import RunResult
from connector.ports import PersonView

EXAMPLES = 3
BEST = 2_000  # leads by score from the top: whoever qualifies is among them


@dataclass(frozen=True, slots=True)
class World:
    """Both sandboxes in a process of their own, asked over their control surface."""

    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    urls: Mapping[str, str]

    def ask(self, crm: str, what: str) -> Any:
        """One question to a sandbox's control surface."""
        answer = httpx.get(f"{self.urls[crm]}/_sandbox/{what}", timeout=60)
        return orjson.loads(answer.raise_for_status().content)

    def writes(self, crm: str) -> list[dict[str, Any]]:
        """Record-level writes that came over the API, oldest first."""
        written: list[dict[str, Any]] = self.ask(crm, "writes?by=api")
        return written


@dataclass(frozen=True, slots=True)
class Story:
    """What the two syncs came to."""

    first: RunResult
    second: RunResult
    mqls: list[PersonView]
    kept: Counter[str]  # by which guard somebody who qualifies is kept from sales
    writes: dict[str, Counter[str]]
    second_writes: int
    criteria: Criteria


@contextmanager
def made_up_world(people: int, seed: int) -> Iterator[World]:
    """`connector sandbox` as a process of its own, so that two cores share the work. Stopped at the end."""
    words = ["sandbox", "--people", str(people), "--seed", str(seed), "--json"]
    process = subprocess.Popen(  # noqa: S603 (our own command, our own numbers)
        [sys.executable, "-m", "connector", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.rstrip() == "}":
                break
        else:
            raise StopRun("The sandboxes did not start.", next_step="`connector sandbox` says why.")
        document = orjson.loads(said)
        yield World(process, document["environment"], document["urls"])
    finally:
        process.terminate()
        process.wait(timeout=10)


def demo(*, people: int, seed: int, serve: bool, json: bool) -> int:
    """Both sandboxes, two syncs, what they found. 1 when the second sync wrote anything."""
    began = time.monotonic()
    with (
        made_up_world(people, seed) as world,
        tempfile.TemporaryDirectory(prefix="connector-demo-") as folder,
    ):
        settings = load_settings(database_url=f"sqlite:///{Path(folder) / 'demo.db'}", mappings_dir=shipped())
        configure(settings)
        if not json:
            _introduce(world, people, seed)
        story = asyncio.run(_story(settings, world, json))
        seconds = time.monotonic() - began
        if json:
            print_json(
                {
                    "first": story.first.document(),
                    "second": story.second.document(),
                    "kept": dict(story.kept),
                    "examples": [as_decided(person) for person in story.mqls[:EXAMPLES]],
                    "writes": {crm: dict(fields) for crm, fields in story.writes.items()},
                    "second_sync_writes": story.second_writes,
                    "seconds": round(seconds, 1),
                    "environment": dict(world.environment) if serve else {},
                }
            )
        else:
            _tell(story, seconds)
        if serve:
            if not json:
                out.print("\nThe sandboxes stay up. In another shell:")
                for name, value in world.environment.items():
                    out.print(f"export {name}={value}")
                out.print("Stop with Ctrl-C.")
            until_stopped()
    calm = story.second_writes == 0 and exit_code(story.second) == OK and story.first.status == "succeeded"
    return OK if calm else FAILED


async def _story(settings: Settings, world: World, json: bool) -> Story:
    ours_alone = {
        "HUBSPOT_RATE_SHARE": "1",
        "SALESFORCE_RATE_SHARE": "1",
    }  # nobody else calls a made-up account
    async with wired(settings, environ={**world.environment, **ours_alone}) as parts:
        first = await run_once(parts, asked_by="demo", yes=True, quiet=json)
        before = {crm: world.writes(crm) for crm in world.urls}
        second = await run_once(parts, asked_by="demo", yes=True, quiet=json)
        written_since = sum(len(world.writes(crm)) - len(before[crm]) for crm in world.urls)
        mqls = await parts.ledger.people(stage="mql", limit=200)
        leads = await parts.ledger.people(stage="lead", limit=BEST)
        kept = Counter(person.guarded for person in leads if person.guarded)
        fields = {crm: _written(writes) for crm, writes in before.items()}
        return Story(first, second, _varied(mqls), kept, fields, written_since, parts.definition.criteria)


def _introduce(world: World, people: int, seed: int) -> None:
    out.print(f"A made-up world (seed {seed}) is up on this machine:")
    titles = {crm: plugin.title for crm, plugin in plugins().items()}
    for crm, url in world.urls.items():
        counts = world.ask(crm, "counts")
        biggest = ", ".join(
            f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1])[:4]
        )
        out.print(f"  {titles[crm]:<11} {url}  {biggest}")
    out.print(
        f"\nFirst sync: read everything ({people:,} people in each), decide everybody, write what differs.\n"
    )


def _tell(story: Story, seconds: float) -> None:
    first, second, mqls, second_writes = story.first, story.second, story.mqls, story.second_writes
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
        for line in reasons(person, story.criteria):
            out.print(f"    {line}")
        out.print(f"    records: {', '.join(str(ref) for ref in person.refs)}")
    if story.kept:
        said = ", ".join(f"{guard} ({many:,})" for guard, many in story.kept.most_common())
        out.print(f"\nWho qualifies by points and is kept from sales: {said}.")
    out.print("\nWhat was written where (fields changed, by the CRMs' own count):")
    for crm, fields in story.writes.items():
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


def _written(writes: list[dict[str, Any]]) -> Counter[str]:
    """Fields that the CRM says these writes have changed."""
    return Counter(
        field for write in writes for field, (before, after) in write["fields"].items() if before != after
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
