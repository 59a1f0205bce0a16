"""Write plans: what would be written, why it waits, and what came of it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from connector.app.api.guard import Viewer
from connector.app.api.paging import Page
from connector.app.api.v1.answers_work import PlanRowsPage, PlansPage, WholePlan
from connector.app.api.v1.inputs import InPath
from connector.app.api.v1.words import AskedFor, Given, ShowEmail
from connector.app.plans import head_document, info_document, piece, row_document, versions_in
from connector.app.sidecar import Sidecar
from connector.insight.planned import Filter, name_of
from connector.ports import PlanInfo

PLANS, ROWS = "plans", "rows of plan {}"
Status = Literal["planned", "held_back", "sending", "written", "rejected", "unknown", "set_aside", "waiting"]
Group = Literal["promotion", "demotion", "clearing", "score", "held_back"]


def router(side: Sidecar) -> APIRouter:
    """`/plans`, `/plans/{plan}`, `/plans/{plan}/rows`."""
    app = APIRouter(tags=["plans"])
    ledger, clock = side.parts.ledger, side.parts.clock

    async def known(number: int) -> PlanInfo:
        found = await ledger.plan(number, at=clock.now())
        if found is None:
            raise HTTPException(404, f"There is no plan {number}.")
        return found

    @app.get("/plans")
    async def plans(
        caller: Viewer, page: Page, crm: Given = None, run: AskedFor = None, open: bool = False
    ) -> PlansPage:
        """Write plans, the newest first. `open`: only those that may still be applied."""
        rows = await ledger.plans_page(
            page.limit + 1, page.number(PLANS), at=clock.now(), crm=crm, run=run, open_only=open
        )
        found, more = page.cut(PLANS, rows, lambda plan: plan.id)
        told = [info_document(each) for each in found if each.status == "open" or not open]
        return PlansPage.model_validate({"plans": told, "next": more})

    @app.get("/plans/{plan}")
    async def one_plan(caller: Viewer, plan: InPath) -> WholePlan:
        """A plan as a whole: what it means in numbers, what is worth knowing of it, what was done with it."""
        found = await known(plan)
        versions = versions_in(await ledger.files(found.definition))
        head = head_document(found, versions, await ledger.acts(f"plan:{plan}"))
        return WholePlan.model_validate({**head, "kinds": dict(found.kinds)})

    @app.get("/plans/{plan}/rows")
    async def rows(
        caller: Viewer,
        page: Page,
        plan: InPath,
        kind: Group | None = None,
        status: Status | None = None,
        field: Given = None,
        object: Given = None,
        record: Given = None,
        rule: Given = None,
        person: AskedFor = None,
        email: ShowEmail = False,
    ) -> PlanRowsPage:
        """Its records, each with what stands now and what would stand. All that is given must hold; `field`: as the CRM
        names it; `record`: an id or `crm:object:id`; `rule`: of the criteria."""
        await known(plan)
        people = frozenset({person}) if person is not None else None
        wanted = Filter(kind, field, status, object, people, record, rule)
        name = ROWS.format(plan)
        found, last = await piece(ledger, plan, wanted, page.limit, page.number(name) or 0)
        names = await ledger.names([row.person for row in found])
        wished = await ledger.overridden([row.person for row in found])
        told = [
            {
                **row_document(row),
                "name": name_of(names.get(row.person, {})),
                "email": str(names.get(row.person, {}).get("email") or "") if email else None,
                "by_override": row.person in wished,
            }
            for row in found
        ]
        more = page.next(name, last) if last is not None else None
        return PlanRowsPage.model_validate({"rows": told, "next": more})

    return app
