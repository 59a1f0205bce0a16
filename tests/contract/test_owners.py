"""Who may own records, as both CRMs tell it: addresses, who has left, managers, queues."""

from __future__ import annotations

import pytest

from adapters.hubspot import owners as hubspot_owners
from connector.errors import FixConfig
from tests.contract.test_hubspot_inspect import NEEDED, account
from tests.stories.world import world


async def test_both_tell_who_may_own_records_and_who_has_left(sqlite_url, monkeypatch):
    monkeypatch.setattr(hubspot_owners, "PAGE", 2)  # so that there are several
    async with world(sqlite_url, people=1) as made:
        made.hubspot.sandbox.store.owners[1]["archived"] = True
        made.hubspot.sandbox.store.owners[2]["email"] = " Sascha@Example.COM "
        users = made.salesforce.sandbox.store.tables["User"]
        robin = next(row for row in users.rows.values() if row["FirstName"] == "Robin")
        users.rows[robin["Id"]]["IsActive"] = False

        ours = {each.id: each for each in await made.adapters["hubspot"].users()}
        theirs = {each.id: each for each in await made.adapters["salesforce"].users()}

    assert list(ours) == ["80001", "80002", "80003", "80004", "80005"]
    assert [each.active for each in ours.values()] == [True, False, True, True, True]
    assert (ours["80003"].name, ours["80003"].email) == ("Sascha Accounts", "sascha@example.com")
    assert {(each.queue, each.manager) for each in ours.values()} == {(False, "")}
    kim = next(each for each in theirs.values() if each.name == "Kim Closer")
    assert (theirs[kim.manager].name, theirs[kim.manager].active, kim.active) == ("Robin Seller", False, True)
    queues = {each.name: each.email for each in theirs.values() if each.queue}
    assert set(queues) == {"Unassigned leads", "Round robin"}
    assert all("@" in email for email in queues.values())


async def test_a_token_that_may_not_see_owners_says_so():
    async with account(oauth=True, grants=NEEDED) as made:
        with pytest.raises(FixConfig, match="owners"):
            await made.adapter.users()
