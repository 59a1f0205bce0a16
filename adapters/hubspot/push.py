"""Push to HubSpot: a batch goes in, one Receipt per Write comes out, in order. Never creates, and writes a stage
backward only where the plan says so.

What a batch update answers is in `batches`, what is checked before it in `checks`, stages that go back in `lower`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from adapters.hubspot.api import Api
from adapters.hubspot.batches import AT_ONCE, BATCH, KEPT, STAGE, WRITTEN, Fate, Input, send
from adapters.hubspot.checks import refusal
from adapters.hubspot.lower import lower
from adapters.hubspot.payload import wire
from connector.core.model import Outcome, Receipt, Write
from connector.errors import ConnectorError, SkipRecord
from connector.ports import FieldInfo

__all__ = ["AT_ONCE", "BATCH", "Pushing", "push"]

Schema = Callable[[str, bool], Awaitable[Mapping[str, FieldInfo]]]
"""The properties of an object, by name; True asks for them anew."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """What a push needs beside the batch. `backward` is the switch of that name (see `lower`)."""

    api: Api
    schema: Schema
    backward: str


async def push(pushing: Pushing, batch: Sequence[Write]) -> list[Receipt]:
    """Partial updates of known records of one object.

    Raises OutcomeUnknown when nobody can tell whether the batch arrived, RetryLater when nothing was sent
    for want of allowance, FixConfig when no write can succeed. Once a part of the batch was answered, the
    rest becomes receipts too (`unknown`, `waiting`) instead of an error that would hide that answer.
    """
    if not batch:
        return []
    object_ = batch[0].ref.object
    inputs, present, fates = _folded(batch)
    fates |= {one.id: WRITTEN for one in inputs if not one.properties}  # nothing to say is said
    fates |= await _checked(pushing.schema, object_, [one for one in inputs if one.properties])
    ready = [one for one in inputs if one.id not in fates]
    forward = [one for one in ready if one.id not in present]
    backward = [one for one in ready if one.id in present]
    first = True
    for start in range(0, len(forward), BATCH):
        fates |= await send(pushing.api, object_, forward[start : start + BATCH], first=first)
        first = False
    for start in range(0, len(backward), BATCH):
        part = backward[start : start + BATCH]
        fates |= await lower(pushing.api, object_, part, present, way=pushing.backward, first=first)
        first = False
    return [_receipt(write, fates[write.ref.id]) for write in batch]


def _folded(batch: Sequence[Write]) -> tuple[list[Input], dict[str, str], dict[str, Fate]]:
    """Each id once, or HubSpot refuses the whole batch; the stages that are to be lowered, and the records whose values
    cannot be sent, by id."""
    values: dict[str, dict[str, str]] = {}
    present: dict[str, str] = {}
    unfit: dict[str, Fate] = {}
    for write in batch:
        try:
            said = {name: wire(value) for name, value in write.values.items()}
            if STAGE in write.lowered:
                present[write.ref.id] = wire(write.lowered[STAGE])
        except SkipRecord as error:
            text = f"{error.message} Nothing was sent for this record."
            unfit[write.ref.id] = Fate(Outcome.REJECTED, text, "NOT_SENT")
            continue
        values.setdefault(write.ref.id, {}).update(said)
    trace = {write.ref.id: write.id for write in batch}
    inputs = [Input(id_, f"w{trace[id_]}-{id_}", found) for id_, found in values.items() if id_ not in unfit]
    return inputs, present, unfit


async def _checked(schema: Schema, object_: str, inputs: Sequence[Input]) -> dict[str, Fate]:
    """What the live schema speaks against. Before a record is turned away the schema is read anew: set-up may have
    added the property since. Where the schema cannot be read, HubSpot's own answers will say.
    """
    with suppress(ConnectorError):
        for anew in (False, True):
            known = await schema(object_, anew)
            found = {one.id: fate for one in inputs if (fate := refusal(one.properties, known))}
            if not found:
                return {}
        return found
    return {}


def _receipt(write: Write, fate: Fate) -> Receipt:
    # A stage that was kept speaks for itself alone: HubSpot has taken the fields beside it.
    beside = frozenset(write.values) - {STAGE} if fate.code == KEPT else frozenset[str]()
    return Receipt(write.id, fate.outcome, fate.reason, fate.code, fate.moved_to, fate.parked, beside)
