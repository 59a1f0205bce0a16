"""`connector token`: let go of a refresh token that the ledger keeps."""

from __future__ import annotations

from connector.app.asking import ask_ledger
from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.app.wiring import SystemClock, chosen
from connector.ledger import SqlLedger


def token_forget(crm: str, *, json: bool) -> int:
    """From now on the refresh token of the settings is used. Harmless where none was kept."""
    plugin = chosen([crm])[0]

    async def question(ledger: SqlLedger) -> bool:
        kept = bool(await ledger.load_sealed(plugin.crm))
        if kept:
            await ledger.save_sealed(plugin.crm, "", SystemClock().now())
        return kept

    kept = ask_ledger(question)
    if json:
        print_json({"crm": plugin.crm, "forgotten": kept})
    else:
        what = "is forgotten; the one in the settings is used next" if kept else "was not kept"
        out.print(f"The refresh token of {plugin.title} {what}.")
    return OK
