"""What humans do to a plan over HTTP: approve it, apply exactly it, drop it."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from connector.app.api.guard import Operator
from connector.app.api.v1.asking import Asked, left
from connector.app.api.v1.inputs import Body, InPath, Noted, as_things_stand
from connector.app.applying import approve, discard, open_plan, refuse_another_definition, refuse_unapproved
from connector.app.sidecar import Sidecar
from connector.ports import PlanInfo


class Apply(Body):
    """`during_freeze`: although the mapping says that nothing is written these days."""

    during_freeze: bool = False


class Settled(BaseModel):
    """How a plan stands now, and who approved of it."""

    plan: int
    crm: str
    status: str
    approved_by: str | None
    approval_note: str


def router(side: Sidecar) -> APIRouter:
    """`/plans/{plan}/approve|apply|discard`."""
    app = APIRouter(tags=["plans"], prefix="/plans/{plan}")
    ledger, clock, holder = side.parts.ledger, side.parts.clock, side.parts.holder

    async def known(number: int) -> PlanInfo:
        found = await ledger.plan(number, at=clock.now())
        if found is None:
            raise HTTPException(404, f"There is no plan {number}.")
        return found

    async def approval(crm: str) -> str:
        """Whether a second person has to approve, by the mapping in force."""
        definition = (await side.current.of(())).definition
        return definition.mappings[crm].approval if crm in definition.mappings else ""

    @app.post("/approve")
    async def approve_plan(plan: InPath, asked: Noted, caller: Operator) -> Settled:
        """Approve of an open plan as it stands. Nobody approves their own; a token of the environment and one of a
        program approve of nothing."""
        found = await known(plan)
        with as_things_stand():
            found = await approve(
                ledger, plan, by=caller.name, note=asked.note, holder=holder, at=clock.now(),
                approval=await approval(found.crm), proof=caller.proof,
            )  # fmt: skip
        return _settled(found)

    @app.post("/apply", status_code=202)
    async def apply_plan(plan: InPath, asked: Apply, caller: Operator, response: Response) -> Asked:
        """Send exactly this plan. Every record is read again first; a row that changed since is set aside."""
        found = await known(plan)
        with as_things_stand():
            await open_plan(ledger, plan, holder, clock.now())
            if found.undoes is None:
                await refuse_another_definition(found, ledger, (await side.current.of(())).definition.texts)
            refuse_unapproved(found, await approval(found.crm), caller.name)
        arguments = {"plan": plan, "during_freeze": asked.during_freeze}
        return await left(side, "apply", [found.crm], arguments, caller, response)

    @app.post("/discard")
    async def discard_plan(plan: InPath, asked: Body, caller: Operator) -> Settled:
        """Drop an open plan; its differences come back only when what is wanted changes."""
        await known(plan)
        with as_things_stand():
            await discard(ledger, plan, by=caller.name, holder=holder, at=clock.now())
        return _settled(await known(plan))

    return app


def _settled(plan: PlanInfo) -> Settled:
    return Settled(
        plan=plan.id, crm=plan.crm, status=plan.status, approved_by=plan.approved_by,
        approval_note=plan.approval_note or "",
    )  # fmt: skip
