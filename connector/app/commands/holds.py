"""`connector holds`: fields of records that are left alone: undone, or changed back again and again by somebody."""

from __future__ import annotations

from connector.app.asking import ask_ledger, asked_audience
from connector.app.exits import OK
from connector.app.hold_document import hold_document
from connector.app.output import out, print_json, when
from connector.app.who import actor
from connector.app.wiring import SystemClock
from connector.core.model import Ref
from connector.errors import FixConfig
from connector.ledger import SqlLedger
from connector.ports import TUGGED, UNDONE, Hold


def holds_list(*, kind: str | None, record: str | None, audience: str | None, json: bool) -> int:
    """Every hold, those that only count so far included."""
    if kind not in (None, UNDONE, TUGGED):
        raise FixConfig(f"There is no kind of hold `{kind}`.", next_step=f"Known: {UNDONE}, {TUGGED}.")

    async def question(ledger: SqlLedger) -> list[Hold]:
        holds = await ledger.holds([_ref(record)] if record else None, kind=kind)
        if audience is None:
            return holds
        of = await ledger.records_about(await asked_audience(ledger, audience), [hold.ref for hold in holds])
        return [hold for hold in holds if hold.ref in of]

    found = ask_ledger(question)
    if json:
        print_json({"holds": [hold_document(hold) for hold in found]})
        return OK
    from rich.table import Table

    table = Table("record", "field", "kind", "value", "since (UTC)", "why")
    for hold in found:
        times = "" if hold.holds else f" ({hold.times} times so far; not held yet)"
        table.add_row(
            str(hold.ref), hold.field, hold.kind, str(hold.value), when(hold.at), f"{hold.why}{times}"
        )
    out.print(table if found else "No field is held back.")
    return OK


def holds_release(
    *, run: int | None, record: str | None, field: str | None, given: str | None, json: bool
) -> int:
    """Leave these fields alone no longer: the next run writes what is wanted."""
    if (run is None) == (record is None):
        raise FixConfig("Which holds?", next_step="Give --run RUN, or --record crm:object:id (and --field).")

    async def question(ledger: SqlLedger) -> list[Hold]:
        chosen = [
            hold
            for hold in await ledger.holds([_ref(record)] if record else None)
            if (run is None or hold.run == run) and (field is None or hold.field == field)
        ]
        await ledger.release_holds(chosen, actor(given), SystemClock().now())
        return chosen

    released = ask_ledger(question)
    if json:
        print_json({"released": [hold_document(hold) for hold in released]})
    else:
        out.print(f"{len(released):,} fields are held back no longer; the next sync writes what is wanted.")
    return OK


def _ref(text: str) -> Ref:
    parts = text.split(":", 2)
    if len(parts) != 3:
        raise FixConfig(
            f"`{text}` names no record.", next_step="Write crm:object:id, as `connector holds list` does."
        )
    return Ref(*parts)
