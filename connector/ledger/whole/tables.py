"""All tables of the ledger, in whichever module they are declared. Names none."""

from __future__ import annotations

import importlib
import pkgutil

from sqlalchemy import Table

import connector.ledger
from connector.ledger.tables import METADATA

_PREFIX = "tables"


def all_tables() -> list[Table]:
    """By name. Every module `tables*` of the ledger is loaded first."""
    for module in pkgutil.iter_modules(connector.ledger.__path__):
        if module.name.startswith(_PREFIX):
            importlib.import_module(f"connector.ledger.{module.name}")
    return sorted(METADATA.tables.values(), key=lambda table: table.name)
