"""`connector db upgrade`: the schema of the ledger's database."""

from __future__ import annotations

from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.app.settings import load_settings


def db_upgrade(*, json: bool) -> int:
    """Bring the database to this version's schema, and say from where to where."""
    from connector.ledger import upgrade

    before, after = upgrade(load_settings().database_url)
    if json:
        print_json({"from": before, "to": after, "changed": before != after})
    elif before == after:
        out.print(f"The ledger is at {after}, nothing to do.")
    else:
        out.print(f"The ledger went from {before or 'empty'} to {after}.")
    return OK
