"""What an undo takes back of a run and what not, field by field; judged again just before it is sent. Pure.

A field is taken back where the value that stands in its CRM is the one that the run wrote, and no write of ours came
after it. Write rules, scope and `backward` have no say: they guard against us, and an undo is a human's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.model import FieldWrite, HeldBack, JsonValue, PlannedWrite, Ref, VendorRecord
from connector.core.values import is_blank, place_in, same_value
from connector.core.write_plan import no_longer_there
from connector.errors import FixConfig

UNDO = "undo"  # in place of a write rule and of the criteria's rules

LATER, OTHERS, GONE, CLOSED, BACK = "later", "others", "gone", "closed", "back"
"""Why a field is not taken back: a later run wrote it, somebody else changed it, its record is gone (or merged, or
converted), it cannot be written to, or it holds the old value again anyway."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The run whose write is our last to a field; `undoes`: the run that it took back, where it was an undo."""

    run: int
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A field that an undo leaves as it stands. `now` and `before` in the vendor's spelling; `kind` as above."""

    field: str
    now: JsonValue
    before: JsonValue
    why: str
    kind: str

    def held_back(self) -> HeldBack:
        """As a plan's row keeps it."""
        return HeldBack(self.field, self.now, self.before, self.why)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What an undo means for one record: what goes back, what is left, and how much an undo took back before."""

    writes: tuple[FieldWrite, ...] = ()
    left: tuple[Left, ...] = ()
    done: int = 0


def written_by_run(rows: Iterable[Sequence[FieldWrite]]) -> tuple[FieldWrite, ...]:
    """The writes of one run to one record, oldest first, as one per field: from what stood there before the first of
    them to what the last one left."""
    found: dict[str, FieldWrite] = {}
    for writes in rows:
        for write in writes:
            first = found.get(write.field)
            found[write.field] = write if first is None else replace(write, before=first.before)
    return tuple(found.values())


def take_back(
    ref: Ref,
    run: int,
    written: Sequence[FieldWrite],
    last: Mapping[str, Writer],
    fresh: VendorRecord | None,
    *,
    closed: Mapping[str, str],
    lowers: Callable[[FieldWrite], bool],
) -> TakenBack:
    """Which fields of a record go back to what stood there before `run`.

    `written` as `written_by_run` tells it; `last` our last writer of each field, left out where nobody can tell.
    `fresh` is the record as it stands now, None: gone. `closed`: fields that cannot be written to, with why.
    `lowers`: whether the CRM takes this write of a stage only in two steps.
    """
    gone = no_longer_there(ref, fresh)
    writes: list[FieldWrite] = []
    left: list[Left] = []
    done = 0
    for write in written:
        writer = last.get(write.field)
        now = fresh.values.get(write.field) if fresh is not None and not gone else None
        if writer is not None and writer.undoes == run:
            done += 1
        elif writer is not None and writer.run != run:
            left.append(Left(write.field, now, write.before, _by_later(writer), LATER))
        elif gone:
            left.append(Left(write.field, None, write.before, gone, GONE))
        elif writer is None:
            why = "it is not known any more which run of ours wrote it last"
            left.append(Left(write.field, now, write.before, why, LATER))
        elif same_value(now, write.before):
            why = "it holds the value from before the run again"
            left.append(Left(write.field, now, write.before, why, BACK))
        elif not same_value(now, write.after):
            left.append(Left(write.field, now, write.before, "somebody else changed it", OTHERS))
        elif write.field in closed:
            left.append(Left(write.field, now, write.before, closed[write.field], CLOSED))
        else:
            back = FieldWrite(write.field, now, write.before, UNDO, write.result)
            writes.append(replace(back, two_step=lowers(back)))
    return TakenBack(tuple(writes), tuple(left), done)


def images_gone(run: int, crm: str, at: datetime) -> FixConfig:
    """Why a run cannot be taken back once its before-images were let go."""
    return FixConfig(
        f"Run {run} cannot be undone in {crm}: what stood there before it was removed from the ledger on "
        f"{at:%Y-%m-%d}, since before-images are kept for a limited time only.",
        next_step="Put right what is wrong in the CRM, or by the rules. `retention: before_images` of criteria.yaml "
        "says for how long later runs can be undone.",
        where=f"run {run}",
    )


def _by_later(writer: Writer) -> str:
    if writer.undoes is not None:
        return f"run {writer.run}, the undo of run {writer.undoes}, wrote it later"
    return f"run {writer.run} wrote it later"


def judge_undo(planned: PlannedWrite, fresh: VendorRecord | None) -> PlannedWrite | str:
    """The same write by what stands there just before the push, or why nothing of it is left.

    Only what still holds the undone value goes back; the rest is held back with the reason. `fresh` None: gone.
    """
    gone = no_longer_there(planned.ref, fresh)
    if gone or fresh is None:
        return gone
    open_: list[FieldWrite] = []
    held = list(planned.held_back)
    for write in planned.writes:
        now = fresh.values.get(write.field)
        if same_value(now, write.before):
            open_.append(replace(write, before=now))
        elif not same_value(now, write.after):
            held.append(
                HeldBack(write.field, now, write.after, "somebody changed it since the undo was planned")
            )
        else:
            held.append(
                HeldBack(write.field, now, write.after, "it holds the value from before the run again")
            )
    if not open_:
        whys = list(dict.fromkeys(each.why for each in held[len(planned.held_back) :]))
        return "; ".join(whys) or "nothing of it is left to take back"
    return replace(planned, writes=tuple(open_), held_back=tuple(held))


def in_two_steps(write: FieldWrite, stage_order: Sequence[str]) -> bool:
    """Whether a stage goes back in a CRM that lets stages only rise. A blank needs no second step: the clearing is all
    of it."""
    if write.result != "stage" or is_blank(write.after):
        return False
    places = [place_in(stage_order, value) for value in (write.before, write.after)]
    return None not in places and places[1] < places[0]  # type: ignore[operator]
