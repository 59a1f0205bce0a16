"""Move lifecycle stages backward: read, clear, set, read back; or clear alone, where none is to stand there. Only where
the write plan asks for it.

By API a stage goes only forward in the account's order; to go back it is cleared first and set by a second call
(developers.hubspot.com, "Contacts" and "Companies" guides). An id may be in a batch once, so these are two calls. What
a backward write without clearing does is told differently by different sources, so a probe may say that this
account takes it (`accepted`), or that not even the two steps work (`impossible`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.hubspot.api import Api
from adapters.hubspot.batches import STAGE, WRITTEN, Fate, Input, kept_fate, left_out, others_written, send
from adapters.hubspot.byid import batch_read, type_of
from connector.core.model import Outcome
from connector.errors import ConnectorError, RetryLater

CLEAR_FIRST, ACCEPTED, IMPOSSIBLE = "clear_first", "accepted", "impossible"
BACKWARD = (CLEAR_FIRST, ACCEPTED, IMPOSSIBLE)


async def lower(
    api: Api, object_: str, inputs: Sequence[Input], present: Mapping[str, str], *, way: str, first: bool
) -> dict[str, Fate]:
    """At most a hundred records whose stage goes back from `present` (by id). Four calls, two of them reads; three
    where stages are only cleared.

    The other fields go with the clearing, so that what is still to be done after it is the stage alone. A stage that
    is no longer the one to be lowered is left alone. Once a stage is cleared, anything but an answer is `unknown`: the
    next run finds it empty and finishes. Applied is written; ignored is rejected and parked; changed by somebody else
    is set aside. Raises as `send` does, while nothing was written.
    """
    if way == IMPOSSIBLE:
        return await _without_stage(api, object_, inputs, present, first=first)
    try:
        now = await _stages(api, object_, inputs)
    except RetryLater as error:
        if first:
            raise
        return {one.id: Fate(Outcome.WAITING, error.message) for one in inputs}
    fates: dict[str, Fate] = {}
    direct: list[Input] = []
    clearing: list[Input] = []
    setting: list[Input] = []
    for one in inputs:
        stands = now.get(one.id)
        if stands is None:
            fates[one.id] = await left_out(api, object_, one)
        elif stands == one.properties[STAGE]:
            if rest := _rest(one):
                direct.append(rest)
            else:
                fates[one.id] = WRITTEN
        elif stands == "":
            setting.append(one)
        elif stands == present[one.id] and way == ACCEPTED and one.properties[STAGE]:
            direct.append(one)
        elif stands == present[one.id]:
            clearing.append(one.holding({**one.properties, STAGE: ""}))
        else:
            fates[one.id] = _changed(stands)
    wanted = {one.id: one for one in inputs}
    first = first and not fates
    for id_, fate in (await send(api, object_, direct, first=first)).items():
        fates[id_] = fate if fate.kept is None else _kept(wanted[id_], fate.kept, present[id_])
    first = first and not direct
    cleared: list[Input] = []
    for id_, fate in (await send(api, object_, clearing, first=first)).items():
        if fate.outcome is Outcome.WRITTEN and not wanted[id_].properties[STAGE]:
            cleared.append(wanted[id_])
        elif fate.outcome is Outcome.WRITTEN:
            setting.append(wanted[id_].holding({STAGE: wanted[id_].properties[STAGE]}))
        elif fate.kept is not None:
            fates[id_] = _kept(wanted[id_], fate.kept, present[id_])
        else:
            fates[id_] = fate
    fates |= await _set(api, object_, setting, wanted, present, first=first and not clearing)
    return {**fates, **await _blank(api, object_, cleared, present)}


async def _blank(
    api: Api, object_: str, cleared: Sequence[Input], present: Mapping[str, str]
) -> dict[str, Fate]:
    """Stages that were cleared for good, read back."""
    try:
        now = await _stages(api, object_, cleared)
    except ConnectorError as error:
        why = f"The stage was cleared, and could not be read back. {error.message}"
        return {one.id: Fate(Outcome.UNKNOWN, why, "NOT_READ_BACK") for one in cleared}
    return {
        one.id: _kept(one, stands, present[one.id]) if (stands := now.get(one.id)) else WRITTEN
        for one in cleared
    }


async def _set(
    api: Api,
    object_: str,
    setting: Sequence[Input],
    wanted: Mapping[str, Input],
    present: Mapping[str, str],
    *,
    first: bool,
) -> dict[str, Fate]:
    """The second half. Nothing may end with an empty stage and no word of it."""
    if not setting:
        return {}
    try:
        fates = await send(api, object_, setting, first=first)
    except ConnectorError as error:
        if first:
            raise
        return {one.id: _unfinished(error.message) for one in setting}
    for id_, fate in fates.items():
        if fate.outcome is Outcome.WAITING:
            fates[id_] = _unfinished(fate.reason)
    asked = [one for one in setting if fates[one.id].outcome in (Outcome.WRITTEN, Outcome.REJECTED)]
    try:
        now = await _stages(api, object_, asked)
    except ConnectorError as error:
        return {**fates, **{one.id: _unfinished(error.message) for one in asked}}
    empty: list[Input] = []
    apart = {
        one.id: wanted[one.id] for one in setting if len(one.properties) == 1
    }  # the rest went with the clearing
    for one in asked:
        stands = now.get(one.id, "")
        if stands == one.properties[STAGE]:
            fates[one.id] = fates[one.id] if fates[one.id].kept is None else WRITTEN
        elif stands:
            fates[one.id] = _kept(wanted[one.id], stands, present[one.id])
        else:
            empty.append(one.holding({STAGE: present[one.id]}))
    return {**fates, **await _put_back(api, object_, empty, fates, apart)}


async def _put_back(
    api: Api,
    object_: str,
    inputs: Sequence[Input],
    refused: Mapping[str, Fate],
    apart: Mapping[str, Input],
) -> dict[str, Fate]:
    """A stage that was cleared and then refused stands again as it did."""
    if not inputs:
        return {}
    try:
        fates = await send(api, object_, inputs, first=False)
    except ConnectorError as error:
        return {one.id: _unfinished(error.message) for one in inputs}
    done: dict[str, Fate] = {}
    for one in inputs:
        if fates[one.id].outcome is Outcome.WRITTEN:
            before = refused[one.id]
            reason = f"{before.reason or 'HubSpot did not take the stage.'} `{one.properties[STAGE]}` was put back."
            reason += others_written(apart[one.id]) if one.id in apart else ""
            done[one.id] = Fate(Outcome.REJECTED, reason, before.code, parked=True)
        else:
            done[one.id] = _unfinished(fates[one.id].reason)
    return done


async def _without_stage(
    api: Api, object_: str, inputs: Sequence[Input], present: Mapping[str, str], *, first: bool
) -> dict[str, Fate]:
    """A probe found that this account takes no stage back: the other fields are written, the stage is not touched."""
    fates = await send(api, object_, [rest for one in inputs if (rest := _rest(one))], first=first)
    return {
        one.id: kept_fate(one, present[one.id], parked=True)
        if fates.get(one.id, WRITTEN).outcome is Outcome.WRITTEN
        else fates[one.id]
        for one in inputs
    }


def _rest(one: Input) -> Input | None:
    """The record without its stage; None where nothing else is to be written."""
    rest = {name: value for name, value in one.properties.items() if name != STAGE}
    return one.holding(rest) if rest else None


async def _stages(api: Api, object_: str, inputs: Sequence[Input]) -> dict[str, str]:
    """The stages as they stand, "" for none; records that are not there any more are left out."""
    if not inputs:
        return {}
    rows = await batch_read(api, type_of(object_), [one.id for one in inputs], [STAGE])
    return {
        id_: str((row.get("properties") or {}).get(STAGE) or "")
        for id_, row in rows.items()
        if str(row.get("id")) == id_
    }


def _kept(one: Input, stands: str, before: str) -> Fate:
    return kept_fate(one, stands, parked=True) if stands == before else _changed(stands)


def _changed(stands: str) -> Fate:
    reason = f"Somebody else set {STAGE} to `{stands}` since this was planned; it is left as it stands."
    return Fate(Outcome.SET_ASIDE, reason, "CHANGED_BY_OTHER")


def _unfinished(why: str) -> Fate:
    return Fate(Outcome.UNKNOWN, f"The stage is cleared and not set yet. {why}", "STAGE_CLEARED")
