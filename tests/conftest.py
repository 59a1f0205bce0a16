"""Fixtures for every room: an empty database of each kind, and an open ledger on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from connector.ledger import SqlLedger, open_ledger
from tests.databases import DATABASES, drop, fresh_url, ledger_url

# In CI the same examples every time, so that a red run is about the change; at a desk new ones with every run.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


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


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For many combinations in which the database plays no part: one of them runs on both."""
    return ledger_url("sqlite", tmp_path)
