"""The definition that is in force: mappings and criteria, their versions and drafts."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from connector.app.api.guard import Viewer
from connector.app.api.paging import Page
from connector.app.api.v1.answers_rules import CriteriaTold, MappingTold, WholeVersion
from connector.app.api.v1.inputs import InPath
from connector.app.api.v1.words import Name
from connector.app.definition import CRITERIA
from connector.app.mapping_document import mapping_document
from connector.app.sidecar import Sidecar
from connector.app.versions import draft_document, edits_in_words, version_document
from connector.app.wiring import read_in
from connector.ledger.store_draft import OPEN

VERSIONS = "versions"
SMALL = 2**31 - 1  # versions are counted in an Integer


def router(side: Sidecar) -> APIRouter:
    """`/mappings/{crm}`, `/criteria`, `/criteria/{version}`."""
    app = APIRouter(tags=["definition"])
    ledger, zone = side.parts.ledger, side.parts.zone

    @app.get("/mappings/{crm}")
    async def mapping(caller: Viewer, crm: Name) -> MappingTold:
        """The mapping of a CRM that is in force: what is read from where, what is written where under which rule."""
        definition = side.current.definition
        found = definition.mappings.get(crm)
        if found is None:
            raise HTTPException(
                404, f"There is no mapping of that name; known: {', '.join(definition.mappings)}."
            )
        text = definition.texts.get(f"{crm}.yaml", "")
        return MappingTold.model_validate(
            {**mapping_document(found), "definition": await ledger.version(), "text": text}
        )

    @app.get("/criteria")
    async def criteria(caller: Viewer, page: Page) -> CriteriaTold:
        """The criteria that are in force, the drafts that wait, and the versions so far."""
        number, definition = await ledger.version(), side.current.definition
        in_force = await ledger.version_numbered(number) if number is not None else None
        rows = await ledger.versions_page(page.limit + 1, page.number(VERSIONS))
        found, more = page.cut(VERSIONS, rows, lambda each: each.version)
        return CriteriaTold.model_validate(
            {
                "in_force": version_document(in_force) if in_force else None,
                "name": definition.criteria.name,
                "text": definition.texts.get(CRITERIA, ""),
                "differs": side.current.told or None,
                "review": side.review() or None,
                "drafts": [draft_document(each) for each in await ledger.drafts(status=OPEN)],
                "versions": [version_document(each) for each in found],
                "next": more,
            }
        )

    @app.get("/criteria/{version}")
    async def one_version(caller: Viewer, version: InPath) -> WholeVersion:
        """A version of the definition, with its files and what it changed in the criteria."""
        found = await ledger.version_numbered(version) if version <= SMALL else None
        if found is None:
            raise HTTPException(404, f"There is no version {version}.")

        words = await edits_in_words(ledger, [found], lambda texts: asyncio.to_thread(read_in, texts, zone))
        return WholeVersion.model_validate(
            {
                **version_document(found),
                "files": dict(await ledger.files(version)),
                "words": words.get(version),
            }
        )

    return app
