"""HubSpot's own Salesforce integration beside us: whether it is on, and what it must not copy.

It keeps ids of Salesforce on contacts, copies activities both ways, and mapped properties by rules that only its
settings show. Whether it copies properties of ours is seen by who changed them last on some contacts, and by nothing
else.
Source: knowledge.hubspot.com, "Map HubSpot properties to Salesforce fields" (2026-03-27).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from adapters.hubspot.api import Api
from adapters.hubspot.changes import last_changes
from adapters.hubspot.errors import BadRequest
from adapters.hubspot.payload import CRM
from adapters.hubspot.rows import id_of, search_result
from connector.core.mapping import BOTH, CrmMapping
from connector.core.model import Ref
from connector.ports import Finding

SALESFORCE_IDS = ("salesforceleadid", "salesforcecontactid", "hs_salesforceleadid", "hs_salesforcecontactid")
LOOKED_AT = 50  # contacts whose properties are asked who changed them: one call
WHERE = "integration"
CLICKS = (
    "In HubSpot: Settings (the gear) > Integrations > Connected Apps > Salesforce > Contacts > Contact property"
    " mappings; hover over each of these that is listed, Edit mapping, sync rule `Don't sync`, Save. Turning on the"
    " sync of an object maps the fields that it finds: look again after `connector setup`."
)


async def salesforce_integration(api: Api, mapping: CrmMapping) -> list[Finding]:
    """Nothing where it is off; else a note that it is on, and a warning with our fields and the clicks. Four searches,
    and where it is on a call for the histories of 50 contacts."""
    carried, some = 0, set[str]()
    for name in SALESFORCE_IDS:
        body = {
            "filterGroups": [{"filters": [{"propertyName": name, "operator": "HAS_PROPERTY"}]}],
            "properties": ["hs_object_id"],
            "limit": LOOKED_AT,
        }
        with suppress(BadRequest):  # an account without the property
            answer = await api.post(f"{api.paths.objects('contacts')}/search", body, policy="search")
            total, hits = search_result(answer)
            carried = max(carried, total)
            some.update(id_of(hit, answer) for hit in hits)
    if not carried:
        return []
    what = (
        f"HubSpot's own Salesforce integration is at work here: {carried:,} contacts carry a Salesforce id. Activities"
        " that it copied to the other CRM are ignored by default, so that nothing counts twice."
    )
    return [Finding("note", WHERE, what), *await _fields(api, mapping, sorted(some)[:LOOKED_AT])]


async def _fields(api: Api, mapping: CrmMapping, ids: list[str]) -> list[Finding]:
    """Our properties of contacts in file order, those first that it was seen to write."""
    contact = mapping.objects.get("contact")
    lines = [line for line in contact.write if line.rule != "never"] if contact else []
    names = list(dict.fromkeys(line.to for line in lines))
    if not names:
        return []
    seen = await _seen(api, ids, names)
    caught = [f"{name} (on {seen[name]} of {len(ids)} contacts)" for name in names if name in seen]
    said = (
        f"It was the last to change {', '.join(caught)}, which this connector writes."
        if caught
        else "Its property mappings are not shown by the API."
    )
    stage = next((line.to for line in lines if line.result == "stage"), None)
    how = CLICKS
    if stage:
        how += f" {_stage_rule(stage, mapping.master)}"
    what = f"{said} None of these may be in them, or the two write against each other: {', '.join(names)}."
    return [Finding("warning", WHERE, what, how)]


def _stage_rule(stage: str, master: str | None) -> str:
    """What the declared master of the stage lets the integration do with it."""
    if master in (None, BOTH):
        return (
            f"If `{stage}` is to stay there, say `master: salesforce` or `master: {CRM}` in a mapping file: then one"
            " CRM alone is written, and the other follows."
        )
    rule = "Two-way" if master == CRM else "Always use Salesforce"
    return f"`{stage}` may stay there with the sync rule `{rule}`, since the mapping says `master: {master}`."


async def _seen(api: Api, ids: list[str], names: list[str]) -> Mapping[str, int]:
    """On how many of these contacts it was the last to change each."""
    refs = [Ref(CRM, "contact", id_) for id_ in ids]
    changes = await last_changes(api, refs, {"contact": frozenset(names)})
    return Counter(name for (_, name), change in changes.items() if "salesforce" in change.by.lower())
