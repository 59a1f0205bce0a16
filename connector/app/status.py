"""The state of a sidecar and of each CRM, for whoever looks: the API and the plain page. Reads the ledger alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector import compare
from connector.app.sidecar import Sidecar
from connector.ports import Brake, PlanInfo, Pulse, RunInfo, serving

LATEST = 50  # runs among which the last one of a CRM is looked for


@dataclass(frozen=True, slots=True)
class CrmState:
    """One CRM. `ok`: it answered when it was last asked; None: nobody knows yet."""

    crm: str
    ok: bool | None
    error: str
    last_run: RunInfo | None
    next_sync: datetime | None
    served_by: str | None
    here: bool
    brake: Brake | None
    plan: PlanInfo | None


@dataclass(frozen=True, slots=True)
class State:
    """All of it, with the latest runs and the plans that are open."""

    crms: tuple[CrmState, ...]
    definition: int | None
    differs: str
    review: str
    pulse: Pulse
    runs: tuple[RunInfo, ...]
    plans: tuple[PlanInfo, ...]
    stopping: bool


async def state_of(side: Sidecar) -> State:
    """As it stands now."""
    ledger, now = side.parts.ledger, side.parts.clock.now()
    runs = await ledger.runs(LATEST)
    brakes, found = await ledger.brakes(), await ledger.plans_page(LATEST, at=now, open_only=True)
    plans = [plan for plan in found if plan.status == "open"]
    crms = [await _crm(side, crm, runs, brakes.get(crm), plans) for crm in side.parts.adapters]
    return State(
        tuple(crms), await ledger.version(), side.current.told, side.review(), await ledger.pulse(now), tuple(runs),
        tuple(plans), side.stopping,
    )  # fmt: skip


async def _crm(
    side: Sidecar, crm: str, runs: Sequence[RunInfo], brake: Brake | None, plans: Sequence[PlanInfo]
) -> CrmState:
    # A full compare counts and reads no stream: it cannot know whether a sync would.
    reading = (run for run in runs if run.kind != compare.KIND)
    last = next((run for run in reading if crm in run.crms and run.finished_at), None)
    ok, error = _answered(side, crm, last)
    here = crm in side.served.crms
    served_by = await side.parts.ledger.holder(serving(crm), side.parts.clock.now())
    next_sync = side.next_sync(crm) if here else None
    plan = next((plan for plan in plans if plan.crm == crm), None)
    return CrmState(crm, ok, error, last, next_sync, served_by, here, brake, plan)


def _answered(side: Sidecar, crm: str, last: RunInfo | None) -> tuple[bool | None, str]:
    """Whether it answered, by this process where it has asked, else by what the last run has left; and what is
    wrong."""
    if crm in side.health.crms and crm in side.served.crms:
        why = side.health.crms[crm]
        return why is None, why or ""
    if last is None:
        return None, ""
    told = last.document.get("crms", {}).get(crm, {})
    error = str(told.get("error") or last.document.get("error") or "")
    return (not error or bool(told.get("fetched"))), error
