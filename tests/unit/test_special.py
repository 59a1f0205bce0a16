"""Which tables are carried over when a ledger is copied or restored, and that each of their columns can be."""

from __future__ import annotations

import pytest
from sqlalchemy import Integer

from connector.ledger.types import KEY
from connector.ledger.whole.rows import shape_of
from connector.ledger.whole.special import ENDURES, NOT_CARRIED
from connector.ledger.whole.tables import all_tables

TABLES = {table.name: table for table in all_tables()}


def test_what_is_special_is_there() -> None:
    assert TABLES.keys() >= ENDURES | NOT_CARRIED
    assert not ENDURES & NOT_CARRIED


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_can_be_carried_to_the_other_database(name: str) -> None:
    table = TABLES[name]
    shape = shape_of(table)  # KeyError: a new type of column needs a line in `rows.KINDS`
    assert shape.key, "rows are read in the order of the key"
    for column in table.primary_key.columns:
        assert column.type is KEY or isinstance(column.type, Integer), "keys sort alike in both databases"


def test_somebody_has_asked_of_every_table_whether_an_older_state_may_come_back() -> None:
    may = {
        "account", "address", "audit", "audit_about", "awaited", "backfill", "backfill_stream", "bar",
        "company_domain", "crm_task", "crm_user", "daily", "delivery", "draft", "draft_approval", "due", "engagement",
        "file_version", "former", "hint", "hold", "job", "learned", "link", "notice", "override", "past_record",
        "person", "plan", "plan_row", "quarantine", "reading", "record", "refusal", "request", "review", "role",
        "run", "spell", "stage_history", "told", "visitor", "watermark", "written",
    }  # fmt: skip
    asked = may | ENDURES | NOT_CARRIED
    assert asked == TABLES.keys(), "a table that must not go back in time is named in ledger/whole/special.py"
