"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Crms = Annotated[
    list[str] | None, typer.Argument(help="hubspot, salesforce; all connected ones when left out.")
]
People = Annotated[int, typer.Option("--people", min=1, max=1_000_000, help="Contacts in each CRM.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed makes the same world.")]
RunNumber = Annotated[int, typer.Argument(help="The run's number, as `runs list` prints it.")]
Mappings = Annotated[
    Path | None, typer.Option("--mappings", help="Folder of the files; else CONNECTOR_MAPPINGS_DIR.")
]
PlanNumber = Annotated[int, typer.Argument(help="The plan's number, as `sync` and `plan list` print it.")]
As = Annotated[str | None, typer.Option("--as", help="Your name; else that of the user of this process.")]
OfKind = Annotated[
    str | None, typer.Option("--kind", help="Only promotion, demotion, clearing, score or held_back.")
]
OfField = Annotated[str | None, typer.Option("--field", help="Only this field of the CRM.")]
OfStatus = Annotated[
    str | None, typer.Option("--status", help="Only planned, waiting, written, set_aside, rejected ...")
]
OfObject = Annotated[str | None, typer.Option("--object", help="Only this object: contact, Lead, Contact.")]
OfPerson = Annotated[
    str | None, typer.Option("--person", help="Only this person: e-mail address, record id or person:ID.")
]
OfRecord = Annotated[str | None, typer.Option("--record", help="Only this record: ID or crm:object:ID.")]
OfRule = Annotated[str | None, typer.Option("--rule", help="Only what this rule of the criteria is behind.")]
OfAudience = Annotated[
    str | None,
    typer.Option("--audience", help="Only this audience, by its id; `none`: those in no audience."),
]
Email = Annotated[bool, typer.Option("--email", help="Show the people's addresses too.")]
