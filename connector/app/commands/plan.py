"""`connector plan`: look at what would be written, apply exactly it, or drop it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from connector.app import exits
from connector.app.asking import ask_ledger
from connector.app.log import configure
from connector.app.output import out, print_json, when
from connector.app.running import run
from connector.app.settings import load_settings
from connector.app.wiring import wired
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.phases.push import Terms, push
from connector.phases.settle import settle
from connector.pipeline import live_schemas
from connector.ports import PlanInfo, PlanRow

OUTCOMES = ("written", "rejected", "unknown", "set_aside", "waiting")
LIFE = timedelta(hours=24)  # a plan older than this is stale: its before-images say little about today


def plan_list(*, json: bool) -> int:
    """The latest plans, newest first."""
    found = ask_ledger(lambda ledger: ledger.plans())
    if json:
        print_json({"plans": [_info(plan) for plan in found]})
        return exits.OK
    from rich.table import Table

    table = Table("plan", "run", "CRM", "status", "made (UTC)", "records")
    for plan in found:
        counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in plan.counts.items())
        table.add_row(
            str(plan.id), str(plan.run), plan.crm, plan.status, when(plan.created_at), counts or "none"
        )
    out.print(table if found else "No plan yet.")
    return exits.OK


def plan_show(number: int, *, rows: int, json: bool) -> int:
    """A plan in numbers, then record by record."""

    async def question(ledger: SqlLedger) -> tuple[PlanInfo, list[PlanRow]]:
        return await _find(ledger, number), await ledger.plan_rows(number)

    plan, all_rows = ask_ledger(question)
    if json:
        print_json(
            {
                **_info(plan),
                "fields": _fields(all_rows),
                "rows": [row_document(row) for row in all_rows[:rows]],
            }
        )
        return exits.OK
    from rich.table import Table

    out.print(
        f"Plan {plan.id} for {plan.crm}, of run {plan.run}, made {when(plan.created_at)} UTC: {plan.status}"
    )
    for status, count in plan.counts.items():
        out.print(f"  {count:,} {status.replace('_', ' ')}")
    table = Table("record", "field", "stands there", "would stand", "rule", "outcome", title="Field by field")
    for row in all_rows[:rows]:
        for write in row.writes:
            table.add_row(
                f"{row.ref.object} {row.ref.id}",
                write.field,
                _shown(write.before),
                _shown(write.after),
                write.rule,
                row.status,
            )
        for held in row.held_back:
            table.add_row(
                f"{row.ref.object} {row.ref.id}",
                held.field,
                _shown(held.before),
                _shown(held.wanted),
                "held back",
                held.why,
            )
    out.print(table)
    if len(all_rows) > rows:
        out.print(f"{len(all_rows) - rows:,} more records; `--rows {len(all_rows)}` shows all.")
    return exits.OK


def plan_apply(number: int, *, json: bool) -> int:
    """Send exactly this plan. Every record is read again first; what changed since is set aside."""
    settings = load_settings()
    configure(settings)
    crm = ask_ledger(lambda ledger: _find(ledger, number)).crm

    async def go() -> dict[str, object]:
        async with wired(settings, [crm]) as parts:
            plan = await _find(parts.ledger, number)
            if plan.status != "open":
                raise FixConfig(
                    f"Plan {number} is {plan.status}, not open.",
                    next_step="Run `connector sync` for a new one.",
                )
            if parts.clock.now() - plan.created_at > LIFE:
                raise FixConfig(
                    f"Plan {number} is older than a day and has expired.",
                    next_step="Run `connector sync` for a new one.",
                )
            adapter = parts.adapters[plan.crm]
            await parts.ledger.bind(plan.crm, (await adapter.account()).id, parts.clock.now())
            mapping = parts.definition.mappings[plan.crm]
            await settle(adapter, mapping, parts.ledger, parts.clock, holder=parts.holder)
            terms = Terms(
                mapping,
                await live_schemas(parts.adapters, parts.definition),
                parts.definition.criteria.min_change,
            )
            pushed = await push(adapter, terms, parts.ledger, parts.clock, plan=number, holder=parts.holder)
            return {
                "plan": number,
                "crm": plan.crm,
                **{name: getattr(pushed, name) for name in OUTCOMES},
                "error": pushed.error,
            }

    done = run(go())
    if json:
        print_json(done)
    else:
        out.print(
            ", ".join(
                f"{name.replace('_', ' ')}: {value}" for name, value in done.items() if value is not None
            )
        )
    return (
        exits.LOOK
        if any(done[name] for name in ("rejected", "unknown", "set_aside", "waiting", "error"))
        else exits.OK
    )


def plan_discard(number: int, *, json: bool) -> int:
    """Drop an open plan."""

    async def question(ledger: SqlLedger) -> None:
        from connector.app.wiring import SystemClock, holder

        plan = await _find(ledger, number)
        if plan.status != "open":
            raise FixConfig(f"Plan {number} is {plan.status}, not open.")
        now = SystemClock().now()
        lease = await ledger.acquire(f"push:{plan.crm}", holder(), now)
        await ledger.close_plan(number, "discarded", lease, now)
        await ledger.release(lease)

    ask_ledger(question)
    if json:
        print_json({"plan": number, "status": "discarded"})
    else:
        out.print(f"Plan {number} is discarded; its differences come back only when what is wanted changes.")
    return exits.OK


async def _find(ledger: SqlLedger, number: int) -> PlanInfo:
    for plan in await ledger.plans(limit=1_000_000):
        if plan.id == number:
            return plan
    raise FixConfig(f"There is no plan {number}.", next_step="`connector plan list` shows them.")


def _info(plan: PlanInfo) -> dict[str, object]:
    return {
        "plan": plan.id, "run": plan.run, "crm": plan.crm, "status": plan.status,
        "created_at": plan.created_at, "counts": dict(plan.counts),
    }  # fmt: skip


def row_document(row: PlanRow) -> dict[str, object]:
    """A planned write as `plan show --json` prints it."""
    return {
        "record": str(row.ref), "status": row.status, "reason": row.reason, "because": row.because,
        "writes": [{"field": w.field, "before": w.before, "after": w.after, "rule": w.rule} for w in row.writes],
        "held_back": [{"field": h.field, "before": h.before, "wanted": h.wanted, "why": h.why} for h in row.held_back],
    }  # fmt: skip


def _fields(rows: list[PlanRow]) -> dict[str, int]:
    return dict(Counter(write.field for row in rows for write in row.writes))


def _shown(value: object) -> str:
    text = "(blank)" if value in (None, "") else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
