"""`connector db upgrade`: the schema of the ledger's database."""

from __future__ import annotations

from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.app.settings import load_settings


def db_upgrade(*, json: bool) -> int:
    """Bring the database to this version's schema, and say what it came to."""
    from connector.ledger import upgrade

    version = upgrade(load_settings().database_url)
    if json:
        print_json({"schema": version})
    else:
        out.print(f"The ledger's schema is at {version}.")
    return OK
