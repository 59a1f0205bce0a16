"""What documents leave open about Salesforce, settled by trying on a test record. Puts back what was there."""

from __future__ import annotations

from adapters.salesforce.bulk_sink import ASSIGNS
from connector.ports import Switch

SWITCHES: tuple[Switch, ...] = (
    ASSIGNS,
    Switch(
        "converted_leads_editable",
        "The org lets the integration user edit converted Leads, so that no error tells of a conversion: Leads are "
        "looked at before each batch, for one call more.",
        False,
    ),
)
