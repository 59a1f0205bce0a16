"""What humans do to a plan: approve it, apply exactly it, drop it. Says who may; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.app.wiring import Wired
from connector.core.approval import Proof, why_not_second
from connector.core.mapping import SECOND_PERSON
from connector.core.model import OUTCOMES
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.phases.push import Terms, push
from connector.phases.settle import settle
from connector.pipeline import Watching, live_schemas
from connector.ports import PlanInfo


async def find_plan(ledger: SqlLedger, number: int, at: datetime) -> PlanInfo:
    """The plan as it stands at this moment. Raises FixConfig where there is none."""
    found = await ledger.plan(number, at=at)
    if found is None:
        raise FixConfig(f"There is no plan {number}.", next_step="`connector plan list` shows them.")
    return found


async def open_plan(ledger: SqlLedger, number: int, holder: str, at: datetime) -> PlanInfo:
    """The plan, if something may still come of it. Raises FixConfig otherwise; one that expired ends for good, and its
    people are due again."""
    plan = await find_plan(ledger, number, at)
    if plan.status == "expired":
        await _end(ledger, plan, "expired", holder, at)
        raise FixConfig(
            f"Plan {number} was made over a day ago and has expired.",
            next_step=f"Run `connector sync {plan.crm}` for a new one.",
        )
    if plan.status != "open":
        after = f" by plan {plan.superseded_by}" if plan.superseded_by else ""
        raise FixConfig(
            f"Plan {number} is {plan.status}{after}, not open.",
            next_step=f"See `connector plan show {plan.superseded_by}`."
            if plan.superseded_by
            else f"Run `connector sync {plan.crm}` for a new one.",
        )
    made_by = await ledger.run(plan.run)
    if made_by is not None and made_by.status == "running":
        raise FixConfig(
            f"Run {plan.run} is still at work on plan {number}.",
            next_step=f"Wait until it has ended (`connector runs show {plan.run}`); a dead one's is planned anew.",
        )
    return plan


async def approve(
    ledger: SqlLedger,
    number: int,
    *,
    by: str,
    note: str,
    holder: str,
    at: datetime,
    approval: str = "",
    proof: Proof = Proof.CLAIMED,
) -> PlanInfo:
    """Somebody approves of an open plan as it stands; `proof`: how they are known. Raises FixConfig for a plan that is
    not open, and for whoever cannot be the second person (`approval`, of the mapping: whether there must be one)."""
    plan = await open_plan(ledger, number, holder, at)
    if why := why_not_second(plan.asked_by, by, proof, "plan", required=approval == SECOND_PERSON):
        raise FixConfig(
            f"Plan {number} is not approved: {why}",
            next_step=f"Somebody else approves it (`connector plan approve {number} --as NAME`).",
            where=f"{plan.crm}.yaml",
        )
    await ledger.approve_plan(plan.id, by, note, at, proof=proof)
    return await find_plan(ledger, number, at)


async def discard(ledger: SqlLedger, number: int, *, by: str, holder: str, at: datetime) -> None:
    """Drop an open plan; its differences are not proposed again until what is wanted changes."""
    plan = await find_plan(ledger, number, at)
    if plan.status != "open":
        raise FixConfig(f"Plan {number} is {plan.status}, not open.")
    await _end(ledger, plan, "discarded", holder, at, by=by)


async def _end(
    ledger: SqlLedger, plan: PlanInfo, status: str, holder: str, at: datetime, *, by: str = ""
) -> None:
    lease = await ledger.acquire(f"push:{plan.crm}", holder, at)
    try:
        await ledger.close_plan(plan.id, status, lease, at, by=by)
    finally:
        await ledger.release(lease)


async def apply_plan(
    parts: Wired, number: int, *, by: str, during_freeze: bool = False, watching: Watching | None = None
) -> dict[str, Any]:
    """Send exactly this plan, and tell what came of it: `plan`, `crm`, `by`, the outcomes in records, `error`.

    Raises FixConfig before anything is sent where the plan has ended, the definition is another by now, or somebody
    else has to approve it first.
    """
    ledger, clock, watching = parts.ledger, parts.clock, watching or Watching()
    plan = await open_plan(ledger, number, parts.holder, clock.now())
    if plan.undoes is None:  # what an undo puts back was never the definition's
        await refuse_another_definition(plan, ledger, parts.definition.texts)
    mapping = parts.definition.mappings[plan.crm]
    refuse_unapproved(plan, mapping.approval, by)
    adapter = parts.adapters[plan.crm]
    await ledger.bind(plan.crm, (await adapter.account()).id, clock.now())
    await settle(adapter, mapping, ledger, clock, holder=parts.holder)
    schemas = await live_schemas({plan.crm: adapter}, parts.definition)
    terms = Terms(mapping, schemas, parts.definition.criteria.smallest_change, exact=True)
    detail = {"during_freeze": True} if during_freeze else {}
    await ledger.note(f"plan:{number}", "apply plan", by, detail, clock.now())
    pushed = await push(
        adapter, terms, ledger, clock, plan=number, holder=parts.holder, during_freeze=during_freeze,
        progress=watching.pushed, stopping=watching.stopping,
    )  # fmt: skip
    if pushed.waiting:
        watching.stop_here()  # whoever comes next sends the rest
    counts = {name: getattr(pushed, name) for name in OUTCOMES}
    return {
        "plan": number,
        "crm": plan.crm,
        "by": by,
        **counts,
        "read_back": dict(pushed.read_back),
        "error": pushed.error or pushed.differs or pushed.stopped or None,
    }


async def refuse_another_definition(plan: PlanInfo, ledger: SqlLedger, texts: Mapping[str, str]) -> None:
    """A plan says what one version of criteria and mappings makes of the people. Raises FixConfig where the version in
    force, or the files, are another by now."""
    made_by = await ledger.files(plan.definition)
    for now, whose in ((texts, "in the files"), (await ledger.files(), "in force")):
        changed = sorted(name for name in {*made_by, *now} if made_by.get(name) != now.get(name))
        if changed:
            raise FixConfig(
                f"Plan {plan.id} was made by version {plan.definition} of the definition; {whose} there is another:"
                f" {', '.join(changed)} changed since.",
                next_step=f"Run `connector sync {plan.crm}` for a new plan, or put the files back as they were.",
            )


def refuse_unapproved(plan: PlanInfo, approval: str, by: str) -> None:
    """Where a second person must approve: that somebody did who is neither who asked for the run nor who applies."""
    if approval != SECOND_PERSON:
        return
    if not plan.approved_by:
        raise FixConfig(
            f"Plan {plan.id} needs the approval of a second person (`approval: second_person`).",
            next_step=f"Somebody else runs `connector plan approve {plan.id} --as NAME`.",
            where=f"{plan.crm}.yaml",
        )
    for name, what in ((plan.asked_by, "asked for its run"), (by, "applies it")):
        if why_not_second(name, plan.approved_by, plan.approval_proof, "plan"):
            raise FixConfig(
                f"Plan {plan.id} was approved by {plan.approved_by}, who also {what}: a second person has to approve.",
                next_step=f"Somebody else runs `connector plan approve {plan.id} --as NAME`.",
                where=f"{plan.crm}.yaml",
            )
