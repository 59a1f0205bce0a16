"""Which scopes of HubSpot each feature needs, and what stops without. Pure: asks nobody.

Scopes: developers.hubspot.com "Scopes", and the `security` of each endpoint in HubSpot's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.hubspot.payload import NEEDS, TYPES
from connector.core.mapping import COUNTERS, CrmMapping, wanted_fields
from connector.ports import Access

READ_CONTACTS = "crm.objects.contacts.read"
WRITE_CONTACTS = "crm.objects.contacts.write"
READ_COMPANIES = "crm.objects.companies.read"
READ_DEALS = "crm.objects.deals.read"
CONTACT_SCHEMA = "crm.schemas.contacts.read"
COMPANY_SCHEMA = "crm.schemas.companies.read"
CHANGE_SCHEMA = "crm.schemas.contacts.write"
OWNERS = "crm.objects.owners.read"
LISTS = "crm.lists.read"
FORMS = "forms"
EMAIL = "content"
EVENTS = "crm.objects.marketing_events.read"
AUTOMATION = "automation"
STREAMS: Mapping[str, tuple[str, ...]] = {  # beside READ_CONTACTS, which covers logged activities
    "form_submissions": (FORMS,),
    "email_events": (EMAIL,),
    "marketing_events": (EVENTS,),
}
OPTIONAL = frozenset(
    {EVENTS, READ_DEALS}
)  # without it the stream is passed over and says so; the run is whole all the same
SET_UP, NAMES = "set-up", "names for `config export` and `check`"
WORKFLOWS = "workflows that listen to what is written, or write it, for `check` and before a backfill"


def access(mapping: CrmMapping) -> Sequence[Access]:
    """What this mapping needs, feature by feature. Set-up and names are asked for apart: a run needs neither."""
    wanted = wanted_fields(mapping)
    written = {
        name: tuple(line.to for line in each.write if line.rule != "never")
        for name, each in mapping.objects.items()
    }
    found: list[Access] = []
    for name, rights, without in (
        ("contact", (READ_CONTACTS, CONTACT_SCHEMA), "nobody is read, scored or written"),
        (
            "company",
            (READ_COMPANIES, COMPANY_SCHEMA),
            "people lack what their company tells (size, industry ...)",
        ),
        (
            "deal",
            (READ_DEALS,),
            "whether a deal of the account is open, won or lost is unknown: guards that ask are silent. Optional",
        ),
    ):
        if name in mapping.objects:
            targets = frozenset(written.get(name, ()))
            reads = sorted((wanted.get(name, frozenset()) - targets) | NEEDS[name])
            found.append(Access(f"read {TYPES[name]}", rights, tuple(reads), without=without))
    for name in mapping.engagement:
        if name != COUNTERS:
            types = ", ".join(sorted(mapping.engagement[name].source_of)) or "its events"
            found.append(
                Access(
                    f"read {name}",
                    (READ_CONTACTS, *STREAMS.get(name, ())),
                    tuple(sorted(wanted.get(name, frozenset()))),
                    without=f"not counted: {types}",
                )
            )
    targets = frozenset(written.get("contact", ()))
    if any(each.override and each.override.segments for each in mapping.objects.values()):
        found.append(
            Access(
                "read who is on the lists of `override.segments`",
                (LISTS,),
                without="what sales says by lists is not heard",
            )
        )
    if targets:
        found.append(
            Access(
                "write scores and stages to contacts",
                (WRITE_CONTACTS,),
                writes=tuple(sorted(targets)),
                without="plans are made and shown, and none is sent",
            )
        )
        found.append(
            Access(
                SET_UP,
                (CONTACT_SCHEMA, CHANGE_SCHEMA),
                writes=tuple(sorted(targets)),
                without="somebody creates the properties by hand, or from `connector setup hubspot --as-source`."
                " Used once; may be a token of its own (HUBSPOT_ADMIN_TOKEN)",
            )
        )
        found.append(
            Access(
                WORKFLOWS,
                (AUTOMATION,),
                without="which workflows act on our fields is looked up by hand. Optional: HubSpot has no such scope"
                " for reading alone",
            )
        )
    found.append(
        Access(
            NAMES,
            (FORMS, LISTS, OWNERS),
            without="forms, lists and owners cannot be found by name in another account",
        )
    )
    return found


def needed(mapping: CrmMapping) -> dict[str, list[str]]:
    """The scopes a run needs, each with the features that need it."""
    found: dict[str, list[str]] = {}
    for each in access(mapping):
        if each.feature not in (SET_UP, NAMES, WORKFLOWS):
            for right in each.rights:
                found.setdefault(right, []).append(each.feature)
    return found


def useful(mapping: CrmMapping) -> frozenset[str]:
    """What a run's token may have without having too much: what it needs, the names, and the workflows."""
    return frozenset(right for each in access(mapping) if each.feature != SET_UP for right in each.rights) | {
        "oauth"
    }
