"""A made-up Salesforce org over real HTTP, awkward parts included. `build` makes one; connector/sandbox serves it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from adapters.salesforce.sandbox import permissions, persons, record_types, setup_objects, shared
from adapters.salesforce.sandbox.org import (
    ADMIN_CLIENT_ID,
    ADMIN_CLIENT_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    Options,
    Org,
)
from adapters.salesforce.sandbox.rows import fill, organization_id
from adapters.salesforce.sandbox.schema import make_schema
from adapters.salesforce.sandbox.server import routes
from adapters.salesforce.sandbox.soql import wire_time
from adapters.salesforce.sandbox.store import TRACKED, Store
from connector.sandbox.clock import SandboxClock
from connector.sandbox.log import SandboxLog
from connector.sandbox.population import Population, salesforce_id
from connector.sandbox.server import SandboxApp, sandbox_app

__all__ = ["build"]


def build(
    population: Population,
    clock: SandboxClock,
    *,
    strict_limits: bool = True,
    with_mql_fields: bool = True,
    hidden_fields: Iterable[str] = (),
    commit_lag: timedelta = timedelta(),
    person_accounts: int = 0,
    shared_activities: bool = False,
    latency: float = 0.0,
    tracked: Iterable[str] = TRACKED,
    **options: Any,
) -> SandboxApp:
    """An org that holds the population.

    `hidden_fields`: `Object.Field` names that field-level security hides from the API user. `commit_lag`: edits by
    people become visible to queries that much after their stamp. `person_accounts`: so many Contacts are the people of
    person accounts. `shared_activities`: a Task or Event may be about several people, and some are. `latency`: seconds
    per call. `tracked`: `Object.Field` names whose changes are kept as history. `options` are those of org.Options.
    Raises TypeError for an unknown option, ValueError for a field that does not exist.
    """
    log = SandboxLog()
    kinds: dict[str, Any] = {
        "with_mql_fields": with_mql_fields,
        "person_accounts": person_accounts > 0,
        "shared_activities": shared_activities,
        "record_types": bool(options.get("record_types")),
    }
    told = {name: kind for name, kind in setup_objects.objects().items() if name in setup_objects.BY_QUERY}
    store = Store({**make_schema(**kinds), **told}, clock, log, commit_lag=commit_lag, tracked=tracked)
    fill(store, population, with_mql_fields=with_mql_fields)
    persons.fill(store, person_accounts)
    if shared_activities:
        shared.fill(store)
    if options.get("record_types"):
        record_types.fill(store)
    visible = {**make_schema(**kinds, hidden=hidden_fields), **told}
    org = Org(
        organization_id(population.seed),
        store,
        dict(visible),
        Options(strict_limits=strict_limits, **options),
    )
    store.set_visible = org.set_visible
    permissions.fill(org)
    rule = {"Id": salesforce_id("01Q", 1), "Name": "Round robin", "SobjectType": "Lead"}
    made = {"CreatedDate": wire_time(population.now), "SystemModstamp": wire_time(population.now)}
    store.tables["AssignmentRule"].fill([{**rule, **made, "Active": org.options.assignment_rule}])
    return sandbox_app(
        "salesforce",
        routes(org),
        store=store,
        clock=clock,
        log=log,
        environment=environment,
        empty_page={"totalSize": 0, "done": True, "records": []},
        request_id_header="x-sfdc-request-id",
        latency=latency,
    )


def environment(base_url: str) -> dict[str, str]:
    """What a connector needs to reach this org by client credentials, and an administrator to set it up."""
    return {
        "SALESFORCE_LOGIN_URL": base_url,
        "SALESFORCE_CLIENT_ID": CLIENT_ID,
        "SALESFORCE_CLIENT_SECRET": CLIENT_SECRET,
        "SALESFORCE_ADMIN_CLIENT_ID": ADMIN_CLIENT_ID,
        "SALESFORCE_ADMIN_CLIENT_SECRET": ADMIN_CLIENT_SECRET,
    }
