"""Which rights in Salesforce each feature needs, and what stops without. Pure: asks nobody.

Rights are named as Salesforce's own pages name them (Setup > Permission Sets).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.salesforce.payload import SYSTEM_FIELDS
from connector.core.mapping import COUNTERS, CrmMapping, wanted_fields
from connector.ports import Access

API_ENABLED = "API Enabled"
VIEW_SETUP = "View Setup and Configuration"
_PARENTS: Mapping[str, tuple[str, ...]] = {  # whose rights an engagement stream follows
    "CampaignMember": ("Read on Campaign",),
    "Task": ("Access Activities",),
    "Event": ("Access Activities",),
    "EmailMessage": ("Access Activities",),
}
_WITHOUT: Mapping[str, str] = {
    "Lead": "no Lead is read, scored or written",
    "Contact": "no Contact is read, scored or written",
    "Account": "people lack what their company tells (size, industry ...)",
    "Opportunity": "nobody is seen to be an opportunity or a customer",
}


def access(mapping: CrmMapping) -> Sequence[Access]:
    """What this mapping needs, feature by feature. Set-up and names are apart: a run needs neither."""
    wanted = wanted_fields(mapping)
    found = [Access("connect", (API_ENABLED,), without="nothing is read or written")]
    targets = {
        name: tuple(dict.fromkeys(line.to for line in each.write if line.rule != "never"))
        for name, each in mapping.objects.items()
    }
    for name, each in mapping.objects.items():
        more = ("Read on OpportunityContactRole",) if name == "Opportunity" else ()
        reads = sorted(wanted.get(name, frozenset()) | set(SYSTEM_FIELDS.get(name, ())))
        rights = (f"Read on {name}", f"View All on {name}, where records are shared with few", *more)
        without = _WITHOUT.get(name, f"no {name} is read")
        found.append(Access(f"read {name} ({each.kind})", rights, tuple(reads), without=without))
    for name, stream in mapping.engagement.items():
        if name != COUNTERS:
            reads = sorted(wanted.get(name, frozenset()) | set(SYSTEM_FIELDS.get(name, ())))
            types = ", ".join(sorted(stream.source_of)) or "its events"
            rights = _PARENTS.get(name, (f"Read on {name}",))
            found.append(Access(f"read {name}", rights, tuple(reads), without=f"not counted: {types}"))
    for name, fields in targets.items():
        if fields:
            rights = (f"Edit on {name}", "field-level security: edit on these fields")
            found.append(
                Access(
                    f"write to {name}",
                    rights,
                    writes=fields,
                    without="plans are made and shown, none is sent",
                )
            )
    if any(targets.values()):
        found.append(
            Access(
                "set-up",
                (
                    "Customize Application",
                    "Manage Profiles and Permission Sets",
                    VIEW_SETUP,
                ),
                writes=tuple(f"{name}.{field}" for name, fields in targets.items() for field in fields),
                without="an administrator makes the fields by hand, or from `connector setup salesforce --as-source`. "
                "Used once, by a credential of its own (SALESFORCE_ADMIN_*); the connector's user must not have these",
            )
        )
        found.append(
            Access(
                "automations that act on what is written, or write it, for `check` and before a backfill",
                (VIEW_SETUP,),
                without="which flows, triggers and rules act on our fields is looked up by hand. Optional: the right "
                "shows set-up and changes nothing",
            )
        )
    found.append(
        Access(
            "names for `config export` and `check`",
            ("Read on Campaign",),
            without="campaigns cannot be found by name in another org",
        )
    )
    return found
