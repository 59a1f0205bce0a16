"""Fixtures for every room: an empty database of each kind, and an open ledger on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connector.ledger import SqlLedger, open_ledger
from tests.databases import DATABASES, drop, fresh_url, ledger_url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    url = fresh_url(request.param, tmp_path)
    yield url
    drop(url)


@pytest.fixture(params=DATABASES)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """An open, empty ledger on each database."""
    opened = open_ledger(ledger_url(request.param, tmp_path))
    yield opened
    await opened.close()
