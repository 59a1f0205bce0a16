"""Every column of the ledger is declared in one place: personal, about somebody, staff's, or neither."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import connector.ledger
from connector.ledger.personal import DECLARED, FINDS, QUOTES, Erase, Is
from connector.ledger.tables import METADATA

for module in pkgutil.iter_modules(connector.ledger.__path__):
    if module.name.startswith("tables"):
        importlib.import_module(f"connector.ledger.{module.name}")
TABLES = METADATA.tables


def test_every_table_of_the_ledger_is_declared_and_no_other():
    assert set(DECLARED) == set(TABLES)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_column_of_a_table_is_declared_once(name):
    declared = DECLARED[name].columns
    assert set(declared) == {column.name for column in TABLES[name].columns}


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_what_an_erasure_does_to_a_table_fits_what_its_columns_hold(name):
    table = DECLARED[name]
    if table.erase is Erase.KEEP:
        assert set(table.columns.values()) <= {Is.NEITHER, Is.STAFF}
    elif table.erase is Erase.SCRUB:
        assert table.of(*QUOTES)
        assert not table.of(*FINDS, Is.PERSONAL)
    else:
        assert table.of(*FINDS), "nothing says whom its rows are about"
    if table.of(Is.RECORD_ID):
        assert {"crm", "object"} <= set(table.columns)
