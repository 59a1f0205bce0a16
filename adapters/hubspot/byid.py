"""Read records by their ids, from the strong store. Finds out what became of ids that HubSpot leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.hubspot.api import Api
from adapters.hubspot.errors import BadRequest, context_ids, errors_of, place
from adapters.hubspot.payload import (
    CRM,
    RECORD_KINDS,
    TYPES,
    UnreadableError,
    lenient_moment,
    merged_ids,
    record,
    row_id,
)
from adapters.hubspot.rows import id_of, results_of
from connector.core.model import RecordState, Ref, VendorRecord
from connector.errors import RetryLater, StopRun

READ_BATCH = 100
HISTORY_BATCH = 50
NEVER = datetime.min.replace(tzinfo=UTC)
UNEXPLAINED = 20  # records a batch read may leave out without a word before we call it broken


async def read_refs(api: Api, refs: Sequence[Ref], properties: Sequence[str]) -> dict[Ref, VendorRecord]:
    """Records of one object as they stand now, by the ref asked for; a merged one says where it went, a deleted
    one is missing. What a batch leaves out, with or without a word, is asked for one by one.
    """
    if not refs:
        return {}
    object_ = refs[0].object
    stream = type_of(object_)
    rows = await read_all(api, stream, list(dict.fromkeys(ref.id for ref in refs)), properties, doubt=False)
    found: dict[Ref, VendorRecord] = {}
    for ref in dict.fromkeys(refs):
        row = rows.get(ref.id)
        if row is None:
            row = await get_one(api, stream, ref.id, properties)
        if row is not None:
            found[ref] = _under(ref, row)
    return found


async def missing_of(api: Api, stream: str, ids: Sequence[str]) -> frozenset[str]:
    """Which of these ids no live record has, each that a batch leaves out asked for by itself."""
    rows = await read_all(api, stream, ids, ["hs_object_id"], doubt=False)
    left = [id_ for id_ in ids if id_ not in rows]
    return frozenset([id_ for id_ in left if await get_one(api, stream, id_, ["hs_object_id"]) is None])


def _under(ref: Ref, row: Any) -> VendorRecord:
    try:
        read = record(row, ref.object)
    except UnreadableError as error:
        raise StopRun(
            f"HubSpot sent {ref} in a form that cannot be read: {error}.",
            next_step="Nothing was written to it. If it happens again, tell HubSpot's support.",
        ) from None
    if read.ref == ref:
        return read
    return VendorRecord(ref, read.kind, {}, read.changed_at, state=RecordState.MERGED, moved_to=read.ref)


async def get_one(api: Api, stream: str, id_: str, properties: Sequence[str]) -> Any | None:
    """One record; an id that was merged away still answers, with the survivor's id. None: it no longer
    exists.
    """
    names = ",".join(properties)
    short = "hs_merged_object_ids" if api.too_wide(names) else names
    try:
        answer = await api.get(f"{api.paths.objects(stream)}/{id_}", {"properties": short})
    except BadRequest as error:
        if error.answer.status == 404 and error.answer.readable:
            return None
        if error.answer.status == 414 and short == names:
            api.found_too_wide(names)
            return await get_one(api, stream, id_, properties)
        raise
    if not isinstance(answer.json, Mapping) or not answer.json.get("id"):
        raise StopRun(
            "HubSpot answered with something that is not a record.",
            next_step="The next run asks again.",
            where=place(answer),
        )
    return answer.json


async def gone(api: Api, object_: str, hits: Mapping[str, Any]) -> tuple[VendorRecord, ...]:
    """Search hits that could not be read by id: merged or deleted since the index saw them."""
    records = []
    for id_, hit in hits.items():
        ref = Ref(CRM, object_, id_)
        row = await get_one(api, type_of(object_), id_, ["hs_merged_object_ids"])
        survivor = Ref(CRM, object_, row_id(row)) if row is not None else None
        changed = lenient_moment(hit.get("updatedAt")) or await api.now()
        if survivor == ref:
            continue  # it was only slow to appear; the overlap of the next window has it
        records.append(
            VendorRecord(
                ref=ref,
                kind=RECORD_KINDS[object_],
                values={},
                changed_at=changed,
                state=RecordState.MERGED if survivor else RecordState.GONE,
                moved_to=survivor,
            )
        )
    return tuple(records)


async def read_all(
    api: Api, stream: str, ids: Sequence[str], properties: Sequence[str], *, doubt: bool = True
) -> dict[str, Any]:
    """Records by id, a hundred a call, the calls side by side."""
    hundreds = [ids[start : start + READ_BATCH] for start in range(0, len(ids), READ_BATCH)]
    answers = await asyncio.gather(
        *(batch_read(api, stream, part, properties, doubt=doubt) for part in hundreds)
    )
    return {id_: row for part in answers for id_, row in part.items()}


async def batch_read(
    api: Api,
    stream: str,
    ids: Sequence[str],
    properties: Sequence[str],
    *,
    archived: bool = False,
    doubt: bool = True,
) -> dict[str, Any]:
    """At most a hundred records by the id asked for. What HubSpot leaves out is left out here too.

    `doubt`: raise RetryLater when it leaves out more than a merge or two without a word.
    """
    path = f"{api.paths.objects(stream)}/batch/read" + ("?archived=true" if archived else "")
    body = {
        "properties": list(properties),
        "propertiesWithHistory": [],
        "inputs": [{"id": id_} for id_ in ids],
    }
    answer = await api.post(path, body)
    asked = set(ids)
    rows: dict[str, Any] = {}
    for row in results_of(answer):
        id_ = id_of(row, answer)
        if id_ in asked:
            rows[id_] = row
            continue
        absorbed = merged_ids(row.get("properties") or {})
        for old in asked.intersection(absorbed) - rows.keys():
            rows[old] = row
    explained = {id_ for error in errors_of(answer.json) for id_ in context_ids(error, "ids")}
    unexplained = asked - rows.keys() - explained
    if doubt and (len(unexplained) > UNEXPLAINED or (unexplained == asked and len(asked) > 1)):
        raise RetryLater(
            f"HubSpot left out {len(unexplained)} of {len(asked)} {stream} that were asked for by id.",
            next_step="The watermark stays; the next run asks for them again.",
            where=place(answer),
        )
    return rows


async def batch_history(
    api: Api, stream: str, ids: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """The versions of these properties, newest first, by record and name; fifty records a call, side by side. What was
    never set, and who is no longer there under this id, is left out.
    """
    path = f"{api.paths.objects(stream)}/batch/read"
    parts = [ids[start : start + HISTORY_BATCH] for start in range(0, len(ids), HISTORY_BATCH)]
    shared = {"properties": ["hs_object_id"], "propertiesWithHistory": list(names)}
    answers = await asyncio.gather(
        *(api.post(path, {**shared, "inputs": [{"id": id_} for id_ in part]}) for part in parts)
    )
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for answer in answers:
        for row in results_of(answer):
            histories = row.get("propertiesWithHistory") if isinstance(row, Mapping) else None
            if isinstance(histories, Mapping):
                found[id_of(row, answer)] = {
                    name: versions for name in names if (versions := _newest_first(histories.get(name)))
                }
    return {id_: found[id_] for id_ in ids if id_ in found}


def _newest_first(versions: Any) -> list[Mapping[str, Any]]:
    """As documented already; sorted all the same, for much hangs on the first."""
    told = [each for each in versions or () if isinstance(each, Mapping)]
    return sorted(told, key=lambda each: lenient_moment(each.get("timestamp")) or NEVER, reverse=True)


def type_of(object_: str) -> str:
    """The path name of an object. Raises StopRun."""
    if object_ not in TYPES:
        raise StopRun(
            f"HubSpot has no object `{object_}` here.", next_step="Use `contact`, `company` or `deal`."
        )
    return TYPES[object_]
