"""Commands leave their work to a sidecar that is alive, and follow it: the same document, the same exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import typer

from connector.app.commands.init import shipped
from connector.app.definition import load_definition, read_texts
from connector.app.error_document import error_of
from connector.app.exits import FAILED, guarded
from connector.app.in_force import InForce, in_force
from connector.app.requests import carried_out
from connector.app.serving import Current, Requests, Served, Work
from connector.app.sidecar import Sidecar
from connector.app.wiring import Wired, plugins
from connector.errors import FixConfig, LeaseBusy, RetryLater, StopRun
from connector.pipeline import Watching
from connector.ports import Request, request_lease, serving
from tests.stories.world import START, QuickClock, World, world

BOTH = frozenset({"hubspot", "salesforce"})


def parts_of(world: World, holder: str, *crms: str) -> Wired:
    """What a process of this name has wired."""
    adapters = {crm: adapter for crm, adapter in world.adapters.items() if not crms or crm in crms}
    return Wired(adapters, world.definition, world.ledger, world.clock, holder)  # type: ignore[arg-type]


def side_of(parts: Wired, work: Work) -> Requests:
    """A sidecar that knows one kind of work."""
    return Requests(parts, Current(parts), {"sync": work, "apply": work}, asyncio.Lock())


async def nobody() -> dict[str, Any]:
    raise AssertionError("it was done here")


async def asked_for(world: World) -> Request:
    """The request, once it is there."""
    for _ in range(1_000):
        if found := await world.ledger.open_requests():
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was asked for")


def says(document: Mapping[str, Any]) -> Work:
    """Work that comes to this."""

    async def work(
        parts: Wired, arguments: Mapping[str, Any], asked_by: str, watching: Watching
    ) -> dict[str, Any]:
        return {**document, "by": parts.holder, "for": asked_by, "crms": sorted(parts.adapters)}

    return work


def fails(error: Exception) -> Work:
    """Work that fails so."""

    async def work(
        parts: Wired, arguments: Mapping[str, Any], asked_by: str, watching: Watching
    ) -> dict[str, Any]:
        raise error

    return work


async def test_without_a_sidecar_the_work_is_done_at_once_by_the_command_itself(database_url: str) -> None:
    async def here() -> dict[str, Any]:
        return {"done": "here"}

    async with world(database_url, people=1) as w:
        document = await carried_out(parts_of(w, "command"), "sync", {}, asked_by="ada", here=here)

        assert document == {"done": "here"}
        assert await w.ledger.open_requests() == []


async def test_with_a_sidecar_alive_the_work_is_left_to_it_and_its_document_comes_back(
    database_url: str,
) -> None:
    async with world(database_url, people=1) as w:
        parts = parts_of(w, "sidecar")
        served = Served(parts)
        await served.look()
        command = asyncio.create_task(
            carried_out(parts_of(w, "command", "hubspot"), "apply", {"plan": 7}, asked_by="ada", here=nobody)
        )
        asked = await asked_for(w)
        task = await side_of(parts, says({"plan": 7, "run": 3})).look(served.crms)
        assert task is not None
        await task

        document = await command
        kept = await w.ledger.request(asked.id)

        assert document == {"plan": 7, "run": 3, "by": "sidecar", "for": "ada", "crms": ["hubspot"]}
        assert kept is not None
        assert (kept.status, kept.run, kept.arguments["plan"]) == ("done", 3, 7)
        assert await w.ledger.holder(request_lease(asked.id), w.clock.now()) is None


@pytest.mark.parametrize(
    "error",
    [
        FixConfig("Plan 7 is applied, not open.", next_step="Run `connector sync`.", where="ledger"),
        LeaseBusy("`push:hubspot` is being done by another.", next_step="Wait for it."),
        RuntimeError("nobody foresaw that"),
    ],
    ids=["the configuration", "a busy lease", "an unforeseen one"],
)
async def test_an_error_of_the_sidecar_is_raised_by_the_command_as_if_it_were_its_own(
    database_url: str, error: Exception
) -> None:
    async with world(database_url, people=1) as w:
        parts = parts_of(w, "sidecar")
        served = Served(parts)
        await served.look()
        command = asyncio.create_task(
            carried_out(parts_of(w, "command"), "apply", {"plan": 7}, asked_by="ada", here=nobody)
        )
        await asked_for(w)
        task = await side_of(parts, fails(error)).look(served.crms)
        assert task is not None
        await task

        with pytest.raises(Exception) as caught:  # noqa: PT011  its class is the question
            await command

        if isinstance(error, RuntimeError):
            assert "nobody foresaw" in str(caught.value)
            assert "RuntimeError" in str(caught.value)
        else:
            assert type(caught.value) is type(error)
            assert str(caught.value) == str(error)


async def test_one_that_a_dead_sidecar_was_at_is_taken_up_by_the_next_one(database_url: str) -> None:
    async with world(database_url, people=1) as w:
        asked = await w.ledger.ask_request("sync", ["hubspot"], {"definition": ""}, "ada", w.clock.now())
        lease = await w.ledger.acquire(request_lease(asked.id), "dead", w.clock.now())
        await w.ledger.take_request(asked.id, lease, w.clock.now())
        parts = parts_of(w, "sidecar")
        side = side_of(parts, says({}))

        while_alive = await side.look(BOTH)
        w.later(seconds=46)
        task = await side.look(BOTH)
        assert task is not None
        await task

        kept = await w.ledger.request(asked.id)
        assert while_alive is None
        assert kept is not None
        assert kept.status == "failed", "by a definition that is not the one asked for, nothing is done"
        told = error_of(kept.answer["error"])
        assert type(told) is StopRun, "nobody can say that nothing was written"
        assert "A sidecar died at it" in str(told)
        with pytest.raises(LeaseBusy):
            await w.ledger.settle_request(asked.id, "done", {}, lease, w.clock.now())


async def test_a_sidecar_that_is_stopped_at_it_leaves_it_to_whoever_comes_next(database_url: str) -> None:
    async with world(database_url, people=1) as w:
        begun = asyncio.Event()

        async def long(*_: Any) -> dict[str, Any]:
            begun.set()
            await asyncio.Event().wait()
            return {}

        served = Served(parts_of(w, "sidecar"))
        await served.look()
        command = asyncio.create_task(
            carried_out(parts_of(w, "command"), "sync", {}, asked_by="ada", here=nobody)
        )
        side = side_of(parts_of(w, "sidecar"), long)
        asked = await asked_for(w)
        await side.look(served.crms)
        await begun.wait()

        await side.tasks.stop()
        stopped = await w.ledger.request(asked.id)
        task = await side_of(parts_of(w, "next"), says({})).look(served.crms)
        assert task is not None
        await task

        assert stopped is not None
        assert stopped.status == "queued"
        assert (await command)["by"] == "next"


async def test_when_nobody_comes_for_over_a_minute_a_sync_is_done_here_and_the_rest_is_withdrawn(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def here() -> dict[str, Any]:
        return {"done": "here"}

    async with world(database_url, people=1, clock=QuickClock()) as w:
        began = w.clock.now()
        await Served(parts_of(w, "dies now")).look()
        document = await carried_out(parts_of(w, "command"), "sync", {}, asked_by="ada", here=here)
        waited = w.clock.now() - began
        await Served(parts_of(w, "dies too")).look()
        with pytest.raises(RetryLater, match="withdrawn") as caught:
            await carried_out(parts_of(w, "command"), "apply", {"plan": 7}, asked_by="ada", here=here)

        assert document == {"done": "here"}
        assert timedelta(seconds=105) <= waited < timedelta(seconds=130), "45 s of its lease, and 60 s more"
        assert "It is done here" in capsys.readouterr().err
        assert "same command again" in caught.value.next_step
        assert await w.ledger.open_requests() == []


async def test_whoever_stops_following_leaves_the_request_where_it_is(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(sqlite_url, people=1) as w:
        await Served(parts_of(w, "sidecar")).look()
        command = asyncio.create_task(
            carried_out(parts_of(w, "command"), "sync", {}, asked_by="ada", here=nobody)
        )
        asked = await asked_for(w)
        await asyncio.sleep(0.05)

        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command

        assert [each.id for each in await w.ledger.open_requests()] == [asked.id]
        assert f"Request {asked.id} stays with the sidecar" in capsys.readouterr().err


async def test_crms_in_different_hands_are_asked_for_one_at_a_time(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w:
        await Served(parts_of(w, "one", "hubspot")).look()

        with pytest.raises(FixConfig, match="hubspot by one, salesforce by nobody") as caught:
            await carried_out(parts_of(w, "command"), "sync", {}, asked_by="ada", here=nobody)

        assert "one CRM at a time" in caught.value.next_step


async def test_of_two_sidecars_one_serves_all_and_the_other_takes_over_when_it_dies(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, people=1) as w:
        first, second = Served(parts_of(w, "first")), Served(parts_of(w, "second"))

        await asyncio.gather(first.look(), second.look())
        begun = (first.crms, second.crms)
        for _ in range(3):
            await first.look()
            await second.look()
        settled = (first.crms, second.crms)
        w.later(seconds=46)
        for _ in range(3):
            await second.look()

        assert sorted(map(len, begun)) in ([0, 1], [0, 2], [1, 1])
        assert {*map(len, settled)} in ({0, 2}, {1})
        assert second.crms == BOTH
        assert first.crms == frozenset()


async def test_a_sidecar_leaves_to_another_the_rest_of_what_it_has_begun_to_take(sqlite_url: str) -> None:
    async with world(sqlite_url, people=1) as w:
        await w.ledger.acquire(serving("hubspot"), "first", w.clock.now())
        second = Served(parts_of(w, "second"))

        await second.look()
        at_once = second.crms
        await second.look()

        assert at_once == frozenset()
        assert second.crms == {"salesforce"}, "which the first has no use for, else it would have taken it"


async def test_a_sidecar_syncs_only_what_it_serves(sqlite_url: str) -> None:
    async with world(sqlite_url, people=20) as w:
        await Served(parts_of(w, "other", "salesforce")).look()
        side = Sidecar(parts_of(w, "sidecar"))
        for _ in range(2):
            await side.served.look()

        await side.sync(BOTH)
        await Sidecar(parts_of(w, "standby")).sync(BOTH)

        [only] = await w.ledger.runs()
        assert only.crms == ("hubspot",)
        assert only.asked_by == "schedule"


async def test_files_that_go_wrong_leave_the_last_good_ones_in_force(sqlite_url: str, tmp_path: Any) -> None:
    for path in shipped().rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(shipped())).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(shipped())).write_bytes(path.read_bytes())
    criteria = tmp_path / "criteria.yaml"
    good = criteria.read_text()
    async with world(sqlite_url, people=1) as w:

        async def look() -> InForce:
            return await in_force(
                lambda: load_definition(tmp_path, plugins()), lambda texts: read_texts(texts, plugins()), w.ledger,
                w.clock, owner="files", strict=False,
            )  # fmt: skip

        current = Current(replace(parts_of(w, "sidecar"), look=look))

        criteria.write_text(good.replace("min_change: 3", "min_change: 4"))
        parts = await current.of(BOTH)
        criteria.write_text(good.replace("min_change: 3", "min_change: many"))
        unheard_of = await current.of(BOTH)  # nothing is in force yet: the last that was right
        await w.ledger.adopt_files(parts.definition.texts, w.clock.now())
        broken = await current.of(BOTH)

        changes = [each.definition.criteria.min_change for each in (parts, unheard_of, broken)]
        assert changes == [4, 4, 4]
        assert "Version 1 stays in force" in current.told


@pytest.mark.parametrize("lease", ["pull:hubspot", "decide", "push:hubspot"])
async def test_work_that_another_process_holds_for_over_a_minute_is_exit_1(
    sqlite_url: str, lease: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(sqlite_url, people=10, clock=QuickClock(START)) as w:
        began = w.clock.now()
        held = await w.ledger.acquire(lease, "another process", began + timedelta(days=1))
        with pytest.raises(LeaseBusy) as caught:
            await w.sync("hubspot")
        waited = w.clock.now() - began
        await w.ledger.release(held)
        after = await w.sync("hubspot")

        def body() -> int:
            raise caught.value

        with pytest.raises(typer.Exit) as left:
            guarded(False, body)

        assert left.value.exit_code == FAILED
        assert "another process" in capsys.readouterr().err
        assert timedelta(seconds=60) <= waited < timedelta(minutes=5)
        assert after.status == "succeeded"
