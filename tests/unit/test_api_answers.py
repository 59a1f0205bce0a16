"""What the commands tell, the API tells too: no member of a document is left out of its answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from connector.app.api.v1.answers import HoldTold, OverrideTold
from connector.app.api.v1.answers_rules import (
    DraftTold,
    MappedObject,
    MappingTold,
    ReviewSideTold,
    ReviewTold,
    VersionTold,
)
from connector.app.api.v1.answers_work import (
    BackfillState,
    BackfillTold,
    PlanLine,
    PlanRowTold,
    RunLine,
    WholePlan,
)
from connector.app.backfill_document import backfill_of_run
from connector.app.commands.init import shipped
from connector.app.definition import load_definition
from connector.app.hold_document import hold_document
from connector.app.mapping_document import mapping_document
from connector.app.overriding import override_document
from connector.app.plans import head_document, info_document, row_document
from connector.app.reviewing import pair_document
from connector.app.run_document import run_document
from connector.app.versions import draft_document, version_document
from connector.app.wiring import plugins
from connector.core.facts import Hold
from connector.core.model import RecordState, Ref
from connector.core.override import NEVER, Override
from connector.ports import (
    Backfill,
    BackfillStream,
    Draft,
    PlanInfo,
    PlanRow,
    Range,
    Review,
    ReviewPair,
    ReviewSide,
    RunInfo,
    VersionInfo,
)

AT = datetime(2026, 11, 22, tzinfo=UTC)
REF = Ref("hubspot", "contact", "1")
PLAN = PlanInfo(1, 1, "hubspot", "open", AT, {"planned": 1})
STREAMS = (BackfillStream("contact", 1, 2, done=False),)
BACKFILL = backfill_of_run(
    Backfill(1, "hubspot", "", Range(), False, "queued", "", "", 1, AT, AT, {}, STREAMS)
)
SIDE = ReviewSide(REF, "Ada", ("ada@example.com",), "", "", "lead", "lead", RecordState.LIVE)
PAIR = pair_document(ReviewPair(Review(REF, REF, "why", found_at=AT), SIDE, SIDE), email=False)
MAPPINGS = {
    crm: mapping_document(each) for crm, each in load_definition(shipped(), plugins()).mappings.items()
}


@pytest.mark.parametrize(
    ("document", "answer", "beside"),
    [
        (info_document(PLAN), PlanLine, ()),
        (head_document(PLAN, {}, []), WholePlan, ("kinds",)),
        (row_document(PlanRow(1, 1, 1, REF, (), (), "", "planned")), PlanRowTold, ("name", "email", "by_override")),
        (run_document(RunInfo(1, "sync", "succeeded", ("hubspot",), AT, AT, {})), RunLine, ()),
        (BACKFILL, BackfillTold, ()),
        (BACKFILL["backfill"], BackfillState, ()),
        (override_document(Override(1, NEVER, "domain", "a.b", "Ada", "No.", AT), AT), OverrideTold, ()),
        (hold_document(Hold(REF, "field", "undone", "a", 1, AT, "why")), HoldTold, ()),
        (PAIR, ReviewTold, ()),
        (PAIR["records"][0], ReviewSideTold, ()),  # type: ignore[index]
        (version_document(VersionInfo(1, "Ada", "", AT)), VersionTold, ()),
        (draft_document(Draft(1, 1, {}, "", "Ada", "", "open", AT, AT)), DraftTold, ()),
        *((each, MappingTold, ("definition", "text")) for each in MAPPINGS.values()),
        *((one, MappedObject, ()) for each in MAPPINGS.values() for one in each["objects"].values()),
    ],
)  # fmt: skip
def test_an_answer_has_every_member_of_the_document_and_takes_it(
    document: dict[str, object], answer: type[BaseModel], beside: tuple[str, ...]
) -> None:
    assert {*document, *beside} == set(answer.model_fields)
    if not beside:
        answer.model_validate(document)
