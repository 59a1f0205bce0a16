"""Reads who may own records, as far as a hand-off asks for it and the CRM tells. A few calls every some hours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from connector.core.criteria import Criteria
from connector.core.handoff import Users
from connector.errors import ConnectorError
from connector.ports import Adapter, Clock, Ledger

AGE = timedelta(hours=6)  # an owner who left is noticed within this time


def asks_for_owners(criteria: Criteria) -> bool:
    """Whether anybody is handed over at all."""
    return any(each.handoff is not None for each in criteria.variants())


async def known_owners(ledger: Ledger) -> Users:
    """Who may own records, as CRMs have told so far."""
    return {each.id: each for each in await ledger.users()}


async def read_owners(adapters: Mapping[str, Adapter], ledger: Ledger, clock: Clock) -> dict[str, str]:
    """Ask each CRM whose answer is old. Without the right to see it, or while a CRM is away, what was known stays;
    why, by CRM, is returned."""
    failed: dict[str, str] = {}
    for crm, adapter in adapters.items():
        read_at = await ledger.users_read_at(crm)
        if read_at is not None and clock.now() - read_at < AGE:
            continue
        try:
            await ledger.keep_users(crm, list(await adapter.users()), clock.now())
        except ConnectorError as error:
            failed[crm] = f"its owners are not known: {error}"
    return failed
