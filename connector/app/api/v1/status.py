"""How things stand: each CRM, the definition, the work that is left."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from connector.app.api.guard import Viewer
from connector.app.api.v1.answers_rules import Status
from connector.app.braking import document
from connector.app.run_document import run_document
from connector.app.sidecar import Sidecar
from connector.app.status import CrmState, state_of


def router(side: Sidecar) -> APIRouter:
    """`/status`."""
    app = APIRouter(tags=["status"])

    @app.get("/status")
    async def status(caller: Viewer) -> Status:
        """The state of each CRM (last run, error, brake, next sync, who serves it) and of the definition."""
        found = await state_of(side)
        return Status.model_validate(
            {
                "crms": [_crm(each) for each in found.crms],
                "definition": found.definition,
                "differs": found.differs or None,
                "review": found.review or None,
                "due": found.pulse.due,
                "due_since": found.pulse.oldest,
                "stopping": found.stopping,
            }
        )

    return app


def _crm(each: CrmState) -> dict[str, Any]:
    return {
        "crm": each.crm,
        "ok": each.ok,
        "error": each.error or None,
        "last_run": run_document(each.last_run) if each.last_run else None,
        "next_sync": each.next_sync,
        "served_by": each.served_by,
        "here": each.here,
        "brake": document(each.brake),
        "plan": each.plan.id if each.plan else None,
        "waits_because": each.plan.held or None if each.plan else None,
    }
