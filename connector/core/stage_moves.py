"""How a state moves from one stage to another, whoever moves it: a rule, sales or a human's word. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connector.core.model import MqlStatus, StageState


def moved(state: StageState, stage: str, status: MqlStatus, at: datetime) -> StageState:
    """To a stage that is not MQL. What belonged to the stage before ends with it."""
    return replace(
        state,
        stage=stage,
        status=status,
        since=at,
        mql_since=None,
        by_human=False,
        dwell_from=at,
        raised_from="",
        handed_at=None,
        loosened=False,
    )


def made_mql(
    state: StageState, at: datetime, *, handed_at: datetime | None = None, loosened: bool = False
) -> StageState:
    """To MQL; nothing keeps from it any more. `loosened`: below the fixed bar."""
    return replace(
        moved(state, "mql", MqlStatus.QUALIFIED, at),
        mql_since=at,
        first_mql_at=state.first_mql_at or at,
        cool_off_until=None,
        disqualified_by=None,
        handed_at=handed_at,
        guarded="",
        waits=False,
        loosened=loosened,
    )
