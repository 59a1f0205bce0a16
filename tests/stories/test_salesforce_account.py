"""A ledger belongs to one org: what was learned of production never meets a sandbox."""

from __future__ import annotations

import pytest

from connector.errors import FixConfig
from tests.stories.world import world


async def test_credentials_of_another_org_are_refused_before_anything_is_read_or_written(database_url):
    async with world(database_url, people=30, seed=11) as production:
        await production.sync("salesforce")
    async with world(database_url, people=30, seed=12) as sandbox:
        with pytest.raises(FixConfig, match="00D"):
            await sandbox.sync("salesforce")

        queries = [str(call.path) for call in sandbox.salesforce.log.calls("query")]
        assert len(queries) <= 1  # the org's own row
        assert not sandbox.writes("salesforce")
