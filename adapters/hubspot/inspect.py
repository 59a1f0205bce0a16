"""Look at a HubSpot account before it is relied on: scopes, what the token may do too much, another integration.
Reads only; where a scope can be seen only by a write, the write is an empty batch.

An OAuth token tells its scopes (`.../token/introspect`); a static token does not, so each scope is tried with the
cheapest call that takes it, and a 403 names what is missing (developers.hubspot.com, "OAuth tokens", "Scopes").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adapters.hubspot import access
from adapters.hubspot.api import EMAIL_EVENTS, FORMS, Api
from adapters.hubspot.auth import OAuth
from adapters.hubspot.beside import salesforce_integration
from adapters.hubspot.errors import BadRequest, MissingScopes
from adapters.hubspot.segments import list_id
from connector.core.mapping import CrmMapping
from connector.errors import ConnectorError, FixConfig
from connector.ports import Finding
from connector.transport import Auth

GRANT = "Add it to the private app or service key in HubSpot (Settings > Integrations), then check again."


@dataclass(frozen=True, slots=True)
class _Rights:
    """What a token may do, as far as it could be found out."""

    missing: frozenset[str]
    too_much: frozenset[str]
    unknown: Mapping[str, str]  # scope: why it could not be tried


async def inspect(api: Api, auth: Auth, mapping: CrmMapping) -> Sequence[Finding]:
    """See connector.ports.CrmInspector. Some 15 calls with a static token, seven with OAuth."""
    rights = await _rights(api, auth, mapping)
    findings = _scope_findings(rights, mapping)
    if "crm.objects.contacts.read" not in rights.missing:
        findings += await salesforce_integration(api, mapping)
    if access.LISTS not in rights.missing:
        findings += await _segments(api, mapping)
    return [*findings, *await _account(api)]


async def _segments(api: Api, mapping: CrmMapping) -> list[Finding]:
    """The lists by which sales says something above the rules: whether each is there, and is one list."""
    found: list[Finding] = []
    for name, each in mapping.objects.items():
        for listed in each.override.segments.values() if each.override else ():
            for segment in listed:
                try:
                    await list_id(api, segment)
                except MissingScopes:
                    continue  # told as a right that is missing
                except FixConfig as error:
                    found.append(
                        Finding("problem", f"{name}.override.segments", error.message, error.next_step or "")
                    )
    return found


# -------------------------------------------------------------------------------------------------------- scopes


async def _rights(api: Api, auth: Auth, mapping: CrmMapping) -> _Rights:
    needed = frozenset(access.needed(mapping))
    if isinstance(auth, OAuth):
        granted = await auth.scopes(api.paths.introspect)
        if granted:
            return _Rights(needed - granted, granted - access.useful(mapping), {})
    tried: dict[str, str | None] = {}
    missing: set[str] = set()
    for scope, ask in _TRIES.items():
        if scope in needed or scope in TOO_MUCH:
            try:
                await ask(api)
            except MissingScopes:
                missing.add(scope)
            except BadRequest:
                pass  # it read the call, so it may make it: an empty batch is no valid one
            except ConnectorError as error:
                tried[scope] = error.message
    unknown = {scope: why for scope, why in tried.items() if why}
    too_much = frozenset(TOO_MUCH) - missing - unknown.keys() - needed
    return _Rights(frozenset(missing) & needed, too_much, unknown)


def _get(path: Callable[[Api], str], **params: Any) -> Callable[[Api], Awaitable[Any]]:
    return lambda api: api.get(path(api), params)


def _empty(path: Callable[[Api], str]) -> Callable[[Api], Awaitable[Any]]:
    return lambda api: api.post(path(api), {"inputs": []})


async def _email_events(api: Api) -> Any:
    end = await api.now()
    moments = {"startTimestamp": end - timedelta(minutes=1), "endTimestamp": end}
    params = {name: int(moment.timestamp() * 1000) for name, moment in moments.items()}
    return await api.get(EMAIL_EVENTS, {"limit": 1, **params})


_TRIES: Mapping[str, Callable[[Api], Awaitable[Any]]] = {
    access.READ_CONTACTS: _get(lambda api: api.paths.objects("contacts"), limit=1),
    access.READ_COMPANIES: _get(lambda api: api.paths.objects("companies"), limit=1),
    access.READ_DEALS: _get(lambda api: api.paths.objects("deals"), limit=1),
    access.CONTACT_SCHEMA: _get(lambda api: f"{api.paths.properties('contacts')}/email"),
    access.COMPANY_SCHEMA: _get(lambda api: f"{api.paths.properties('companies')}/domain"),
    access.FORMS: _get(lambda api: FORMS, limit=1),
    access.EMAIL: _email_events,
    access.EVENTS: _get(lambda api: api.paths.marketing_events, limit=1),
    access.LISTS: lambda api: api.post(f"{api.paths.lists}/search", {"query": "", "offset": 0, "count": 1}),
    access.WRITE_CONTACTS: _empty(lambda api: f"{api.paths.objects('contacts')}/batch/update"),
    access.CHANGE_SCHEMA: _empty(lambda api: f"{api.paths.properties('contacts')}/batch/create"),
    "crm.objects.companies.write": _empty(lambda api: f"{api.paths.objects('companies')}/batch/update"),
}
# Rights that a run never uses, worth trying for because they could do harm.
TOO_MUCH = (access.CHANGE_SCHEMA, "crm.objects.companies.write")


def _scope_findings(rights: _Rights, mapping: CrmMapping) -> list[Finding]:
    features = access.needed(mapping)
    findings: list[Finding] = []
    for scope in features:
        if scope in rights.missing:
            stops = ", ".join(features[scope])
            if scope == access.WRITE_CONTACTS:
                what = f"The token lacks {scope}: plans can be made, and none can be sent."
                findings.append(Finding("warning", "scopes", what, GRANT))
            elif scope in access.OPTIONAL:
                what = f"The token lacks {scope}: {stops}. The run goes on without."
                findings.append(Finding("warning", "scopes", what, GRANT))
            else:
                how = f" Or take what needs it out of mappings/hubspot.yaml ({stops})."
                findings.append(
                    Finding("problem", "scopes", f"The token lacks {scope}: {stops}.", GRANT + how)
                )
    for scope, why in rights.unknown.items():
        what = f"Whether the token has {scope} could not be found out: {why}"
        findings.append(Finding("warning", "scopes", what, "Check again later."))
    if rights.too_much:
        names = ", ".join(sorted(rights.too_much))
        findings.append(
            Finding(
                "warning",
                "scopes",
                f"The token may do more than a run needs: {names}.",
                "Give the connector a token without them; `connector setup` may use one of its own"
                " (HUBSPOT_ADMIN_TOKEN).",
            )
        )
    return findings


# -------------------------------------------------------------------------------------------------- what else is there


async def _account(api: Api) -> list[Finding]:
    try:
        account = await api.account()
    except FixConfig:
        return []  # whoever called has asked before, and tells it better
    where = account.name or "unknown host"
    what = f"Portal {account.id} at {where}, {account.timezone}, {account.currency or 'no currency told'}."
    how = "Is this the account you mean? The ledger belongs to the first one that it is run with."
    return [Finding("note", "account", what, how)]
