"""Deals of the made-up HubSpot: properties, pipelines, what a stage makes of a deal, and those of the population.

Serves nothing. Each pipeline has stages of its own, and a renamed or new one has a number for a name; whether a deal is
closed, won or lost is calculated from the stage it is in (knowledge.hubspot.com, "HubSpot's default deal properties").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.hubspot.sandbox.schema import Property
from adapters.hubspot.sandbox.table import Row
from adapters.hubspot.sandbox.wire import iso, to_ms
from connector.sandbox.cast import Population, SandboxDeal

DEALS = "deals"
READ = "crm.objects.deals.read"
PRIMARY_COMPANY = 5  # association type; developers.hubspot.com, "Associations v4"
CLOSED, WON, LOST = "hs_is_closed", "hs_is_closed_won", "hs_is_closed_lost"
MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")

_OPEN = "0.4"
PIPELINES: Mapping[
    str, tuple[str, tuple[tuple[str, str, str], ...]]
] = {  # id: label, stages (id, label, probability)
    "default": (
        "Sales Pipeline",
        (
            ("appointmentscheduled", "Appointment Scheduled", "0.2"),
            ("contractsent", "Contract Sent", "0.9"),
            ("closedwon", "Closed Won", "1.0"),
            ("closedlost", "Closed Lost", "0.0"),
        ),
    ),
    "98110001": (
        "Renewals",
        (
            ("98110002", "Up for renewal", _OPEN),
            ("98110003", "Renewed", "1.0"),
            ("98110004", "Left us", "0.0"),
        ),
    ),
}
_CHANCE = {stage: chance for _, stages in PIPELINES.values() for stage, _, chance in stages}
STAGES = {  # of the population: by pipeline, our word to theirs
    "default": {"open": "contractsent", "won": "closedwon", "lost": "closedlost"},
    "98110001": {"open": "98110002", "won": "98110003", "lost": "98110004"},
}


def deal_properties() -> dict[str, Property]:
    """Every deal property of a fresh account, by name."""
    labels = tuple((name, label) for name, (label, _) in PIPELINES.items())
    stages = tuple((stage, label) for _, each in PIPELINES.values() for stage, label, _ in each)
    yes_no = (("true", "Yes"), ("false", "No"))
    found = [
        _property("dealname", "string", "text"),
        _property("pipeline", "enumeration", "select", labels),
        _property("dealstage", "enumeration", "radio", stages),
        _property("amount", "number", "number"),
        _property("closedate", "datetime", "date"),
        _property("hubspot_owner_id", "enumeration", "select", external=True),
        *(_property(name, "bool", "booleancheckbox", yes_no, ours=False) for name in (CLOSED, WON, LOST)),
        *(_property(name, "string", "text", ours=False) for name in MERGED),
        *(_property(name, "datetime", "date", ours=False) for name in ("createdate", "hs_lastmodifieddate")),
        _property("hs_object_id", "number", "number", ours=False),
    ]
    return {definition.name: definition for definition in found}


def _property(
    name: str,
    kind: str,
    field_type: str,
    options: tuple[tuple[str, str], ...] = (),
    *,
    external: bool = False,
    ours: bool = True,
) -> Property:
    """`ours`: a client may write it."""
    label = name.removeprefix("hs_").replace("_", " ").capitalize()
    return Property(
        name,
        label,
        kind,
        field_type,
        "dealinformation",
        options,
        read_only=not ours,
        external_options=external,
    )


def pipelines() -> list[dict[str, Any]]:
    """As the pipelines API shows them."""
    stamps = {"createdAt": "2022-09-30T00:00:00Z", "updatedAt": "2022-09-30T00:00:00Z", "archived": False}
    return [
        {
            "id": name,
            "label": label,
            "displayOrder": place,
            "stages": [
                {
                    "id": stage,
                    "label": title,
                    "displayOrder": order,
                    "metadata": {"isClosed": str(_closed(stage)).lower(), "probability": chance},
                    **stamps,
                }
                for order, (stage, title, chance) in enumerate(stages)
            ],
            **stamps,
        }
        for place, (name, (label, stages)) in enumerate(PIPELINES.items())
    ]


def follows(values: Mapping[str, str], changes: Mapping[str, str], now: int) -> dict[str, str]:
    """What these changes of a deal bring about: its three booleans, and the day on which it was closed. `values`: as it
    stood; `now` in epoch milliseconds."""
    stage = changes.get("dealstage")
    if stage is None:
        return {}
    made = {
        CLOSED: str(_closed(stage)).lower(),
        WON: str(_CHANCE.get(stage) == "1.0").lower(),
        LOST: str(_CHANCE.get(stage) == "0.0").lower(),
    }
    if _closed(stage) and values.get(CLOSED) != "true" and not changes.get("closedate"):
        made["closedate"] = iso(now)
    return made


def _closed(stage: str) -> bool:
    return _CHANCE.get(stage) in ("0.0", "1.0")


def seeded(population: Population) -> list[tuple[Row, str | None, tuple[str, ...]]]:
    """The population's deals in HubSpot: each with the id of its company, and the ids of its contacts."""
    return [
        (_row(deal), population.companies[deal.company].hubspot_id, deal.contacts)
        for deal in population.hubspot_deals
    ]


def _row(deal: SandboxDeal) -> Row:
    pipeline = tuple(STAGES)[deal.n % 3 == 2]  # every third is a renewal
    stage = STAGES[pipeline][deal.stage]
    values = {
        "dealname": deal.name,
        "pipeline": pipeline,
        "dealstage": stage,
        "amount": str(deal.amount),
        "closedate": iso(to_ms(deal.closed_at)),
    }
    values |= follows({}, {"dealstage": stage, "closedate": values["closedate"]}, 0)
    return Row(int(deal.id), values, to_ms(deal.created_at), to_ms(deal.modified_at))
