"""Runs, work that was left to the sidecar, and backfills: what ran, how far it is, and what came of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from connector.app.api.guard import Viewer
from connector.app.api.paging import MOST, Page
from connector.app.api.v1.answers_work import (
    BackfillsPage,
    BackfillTold,
    RequestsPage,
    RequestTold,
    RunsPage,
    WholeRun,
)
from connector.app.api.v1.inputs import InPath
from connector.app.backfill_document import backfill_of_run
from connector.app.run_document import run_document, whole_run
from connector.app.sidecar import Sidecar
from connector.ports import Request

RUNS, REQUESTS, BACKFILLS = "runs", "requests", "backfills"


def router(side: Sidecar) -> APIRouter:
    """`/runs`, `/runs/{run}`, `/requests`, `/requests/{request}`, `/backfills`, `/backfills/{run}`."""
    app = APIRouter(tags=["runs"])
    ledger = side.parts.ledger

    @app.get("/runs")
    async def runs(caller: Viewer, page: Page) -> RunsPage:
        """What ran, the newest first."""
        found, more = page.cut(
            RUNS, await ledger.runs_page(page.limit + 1, page.number(RUNS)), lambda run: run.id
        )
        return RunsPage.model_validate({"runs": [run_document(each) for each in found], "next": more})

    @app.get("/runs/{run}")
    async def one_run(caller: Viewer, run: InPath) -> WholeRun:
        """One run with its counts, which add up, what went wrong with how many records, and the last 200 things that
        somebody is told of it (`/notices?run=` has all)."""
        found = await ledger.run(run)
        if found is None:
            raise HTTPException(404, f"There is no run {run}.")
        notices = await ledger.notices(limit=MOST, run=run)
        return WholeRun.model_validate(whole_run(found, notices, await ledger.troubles(run)))

    @app.get("/requests")
    async def requests(caller: Viewer, page: Page) -> RequestsPage:
        """Work that was left to the sidecar, the newest first: what waits, what is under way, what was done."""
        rows = await ledger.requests_page(page.limit + 1, page.number(REQUESTS))
        found, more = page.cut(REQUESTS, rows, lambda each: each.id)
        return RequestsPage.model_validate({"requests": [_line(each) for each in found], "next": more})

    @app.get("/requests/{request}")
    async def one_request(caller: Viewer, request: InPath) -> RequestTold:
        """How far work is that was left to the sidecar, and its answer."""
        found = await ledger.request(request)
        if found is None:
            raise HTTPException(404, f"There is no request {request}.")
        return RequestTold.model_validate(_request(found))

    @app.get("/backfills")
    async def backfills(caller: Viewer, page: Page) -> BackfillsPage:
        """Backfills and how far they are, the newest first."""
        rows = await ledger.backfills_page(page.limit + 1, page.number(BACKFILLS))
        found, more = page.cut(BACKFILLS, rows, lambda each: each.id)
        return BackfillsPage.model_validate(
            {"backfills": [backfill_of_run(each) for each in found], "next": more}
        )

    @app.get("/backfills/{run}")
    async def one_backfill(caller: Viewer, run: InPath) -> BackfillTold:
        """The backfill that this run worked on, and how far it is."""
        found = await ledger.backfill(run)
        if found is None:
            raise HTTPException(404, f"Run {run} is no backfill, or there is no such run.")
        return BackfillTold.model_validate(backfill_of_run(found))

    return app


def _request(found: Request) -> dict[str, Any]:
    answer = dict(found.answer)
    return {
        **_line(found),
        "answer": answer if found.status == "done" else None,
        "error": answer.get("error") if found.status == "failed" else None,
    }


def _line(found: Request) -> dict[str, Any]:
    plan = found.arguments.get("plan")
    return {
        "request": found.id,
        "kind": found.kind,
        "crms": list(found.crms),
        "status": found.status,
        "asked_by": found.asked_by,
        "asked_at": found.asked_at,
        "changed_at": found.changed_at,
        "run": found.run,
        "plan": plan if isinstance(plan, int) else None,
        "progress": found.answer.get("progress") if found.status == "running" else None,
    }
